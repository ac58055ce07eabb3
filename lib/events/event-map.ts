import type { TierName } from '../entries/tier-name.js';
import type { Fault } from './reasons.js';
import type { BypassReason, InvalidationKind, MissReason, RefusalReason, TierOffReason } from './reasons.js';

/** An ISO 8601 time in UTC. */
export type IsoTime = string;

/** One round of housekeeping, all tiers and lanes together. */
export interface SweepReport {
  readonly expired: number;
  readonly evicted: number;
  readonly orphanedSessions: number;
  readonly quarantinesRemoved: number;
  readonly freedBytes: number;
  readonly durationMs: number;
}

/** The events, and the fields of each. */
export interface LaneCacheEventMap {
  hit: { readonly lane: string; readonly key: string; readonly tier: TierName };
  miss: { readonly lane: string; readonly key: string; readonly reason: MissReason };
  bypass: { readonly lane: string; readonly key: string; readonly reason: BypassReason };
  refuse: { readonly lane: string; readonly key: string; readonly reason: RefusalReason; readonly detail: string };
  store: { readonly lane: string; readonly key: string; readonly sizeBytes: number };
  compute: {
    readonly lane: string;
    readonly key: string;
    readonly outcome: 'ok' | 'failed' | 'timeout' | 'aborted';
    readonly ms: number;
    readonly background: boolean;
    readonly error?: unknown;
  };
  stale: {
    readonly lane: string;
    readonly key: string;
    readonly cause: 'compute-failed' | 'soft-timeout';
    readonly error?: unknown;
  };
  evict: {
    readonly lane: string;
    readonly key: string;
    readonly tier: TierName;
    readonly reason: 'entries' | 'bytes' | 'expired';
  };
  invalidate: {
    readonly lane: string | null;
    readonly kind: InvalidationKind;
    readonly subject: string;
    readonly position: number;
    readonly origin: 'local' | 'remote';
  };
  tier: {
    readonly tier: TierName | 'checkpoints';
    readonly state: 'on' | 'off';
    readonly reason?: TierOffReason;
    readonly detail: string;
    readonly error?: unknown;
  };
  owner: {
    readonly directory: string;
    readonly state: 'owned' | 'waiting' | 'taken-over' | 'refused';
    readonly ownerPid?: number;
  };
  /** The log by which the processes of the directory share their invalidations. */
  host: {
    readonly directory: string;
    /** `lost`: its history was lost, so that everything cached here was dropped. */
    readonly state: 'on' | 'off' | 'lost';
    readonly error?: unknown;
  };
  quarantine: { readonly directory: string; readonly movedTo: string; readonly cause: string };
  sweep: SweepReport;
  /** A list of keys or calls is warmed. `running`: some are done. `stopped`: the cache closed before all were. */
  warm: {
    readonly lane: string;
    /** `warm()`, or the method that says `warm`. */
    readonly source: string;
    readonly state: 'started' | 'running' | 'done' | 'stopped';
    readonly total: number;
    readonly computed: number;
    /** A tier had them. */
    readonly present: number;
    readonly failed: number;
    readonly durationMs: number;
    /** Of the first that failed. */
    readonly error?: unknown;
  };
  /** What the app handed in threw, rejected, did not answer, or answered what has no meaning. */
  fault: Fault;
  checkpoint: {
    readonly action: 'saved' | 'restored' | 'removed' | 'damaged';
    readonly id: string;
    readonly version: number;
    readonly workflow?: string;
    readonly step?: number | string;
    /** Of what was saved in a workflow. */
    readonly sizeBytes?: number;
    /** How long the step took that gave it. */
    readonly durationMs?: number;
  };
  /** A step that `runStep` or `@Checkpointed` runs. `adopted`: another caller's result was saved first. */
  step: {
    readonly action: 'started' | 'saved' | 'restored' | 'adopted' | 'failed';
    readonly id: string;
    readonly workflow?: string;
    readonly step?: number | string;
    readonly version?: number;
    readonly durationMs?: number;
  };
  workflow: {
    readonly action: 'finished' | 'invalidated';
    readonly workflow: string;
    /** How many versions were removed. */
    readonly removed?: number;
  };
  cleanup: {
    readonly removed: number;
    readonly bytes: number;
    readonly pinnedKept: number;
    /** How many of the removed were the newest version of their id. */
    readonly newestOfId: number;
  };
}

/** The name of an event. */
export type LaneCacheEventName = keyof LaneCacheEventMap;
/** What a listener gets: the details of the event, and when it happened. */
export type LaneCacheEvent<N extends LaneCacheEventName> = LaneCacheEventMap[N] & { readonly at: IsoTime };

/** Where an app listens. */
export interface LaneCacheEvents {
  /** Returns the function that stops listening. A listener that throws is reported once and dropped. */
  on<N extends LaneCacheEventName>(name: N, listener: (event: LaneCacheEvent<N>) => void): () => void;
  once<N extends LaneCacheEventName>(name: N, options?: { readonly signal?: AbortSignal }): Promise<LaneCacheEvent<N>>;
}

/** Where the library's rooms say what happened. */
export interface EventSink {
  /** Whether the event has listeners. Ask before building a payload on a hot path. */
  wants(name: LaneCacheEventName): boolean;
  emit<N extends LaneCacheEventName>(name: N, event: LaneCacheEventMap[N]): void;
}

/** The events of an app: where it listens, and where hits and everything else are emitted. */
export interface CacheEvents extends EventSink, LaneCacheEvents {
  /** As `wants('hit')`. Every hit asks, and a look-up by name takes longer than to count the hit. */
  readonly wantsHits: boolean;
}
