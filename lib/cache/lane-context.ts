import type { Clock, LifeClock, KeepAlive } from '../clock/clock.js';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import type { KeyPattern } from '../entries/pattern.js';
import type { RecordReader } from '../entries/record.js';
import type { LowerTierName } from '../entries/tier-name.js';
import type { CacheEvents } from '../events/event-map.js';
import type { ReportFault } from '../events/reasons.js';
import type { LaneEviction } from '../eviction/lane-eviction.js';
import type { LaneRecorder } from '../events/recorder.js';
import type { InvalidationLog } from '../invalidation/invalidation-log.js';
import type { HostLogPort, SharedLog } from '../invalidation/shared-log.js';
import type { CachePolicy } from '../lanes/policy.js';
import type { LaneStrategy } from '../lanes/strategy.js';
import type { MemorySpace, MemoryTier } from '../tiers/memory-tier.js';
import type { CostMeter } from './in-flight/compute-cost.js';
import type { CallOptions } from './call-options.js';
import type { GuardedTier } from './guarded-tier.js';
import type { KeyHistory } from './key-history.js';
import type { Turns } from './turns.js';
import type { FlightScopes } from './wait-graph.js';

/** What invalidations need of the persistent tier: it carries them out durably, or is emptied as a whole. */
export interface Persistence {
  readonly directory: string;
  /** Whether it holds nothing that this process is responsible for: nothing stored, nothing queued. */
  isEmpty(): boolean;
  /** Empties the persistent tier so that nothing it held is ever served again. Rejects if even that fails. */
  invalidateAll(): Promise<void>;
  /**
   * In a process that does not own the tier: leaves a durable note that the tier missed an invalidation, unless the owner
   * hears of it by the log of the directory. Undefined in the owner.
   */
  noteMissed(): Promise<void> | undefined;
}

/** Follows what callers wait for, each time in the caller's trace. */
export interface Tracing {
  /** Runs a computation, so that what it calls is part of it. */
  compute<T>(flight: object, lane: string, key: string, run: () => Promise<T>): Promise<T>;
  /** A caller waits for the flight of another. */
  joined(flight: object, lane: string, key: string, answer: Promise<unknown>): void;
  /** A tier below memory is asked. */
  lookup<T extends { readonly outcome: string }>(
    tier: LowerTierName,
    lane: string,
    key: string,
    read: () => T | Promise<T>,
  ): T | Promise<T>;
  /** Something else is waited for: the turn of another process, or the log. */
  wait<T>(what: string, lane: string, waiting: Promise<T>): Promise<T>;
  /** A store whose calls are followed. */
  checkpoints(store: CheckpointStore): CheckpointStore;
}

/** What all lanes of an app share. */
export interface SharedContext {
  readonly clock: Clock;
  /** The time by which entries live. */
  readonly life: LifeClock;
  readonly log: InvalidationLog;
  readonly codec: ValueCodec;
  /** Reads records where they lie. */
  readonly reader: RecordReader;
  readonly events: CacheEvents;
  /** The memory of all lanes. */
  readonly memory: MemoryTier;
  /** The tiers below memory, nearest first. */
  readonly below: readonly GuardedTier[];
  /** Absent without a persistent tier. */
  readonly persistence: Persistence | undefined;
  /** The log that the instances share. Absent without a distributed tier. */
  readonly sharedLog?: SharedLog | undefined;
  /** The log of the processes of one directory. Absent without a directory. */
  readonly hostLog?: HostLogPort | undefined;
  /** Absent unless it is turned on. */
  readonly tracing?: Tracing | undefined;
  /** The app's `version`. A record of another version is a miss. */
  readonly appVersion: string;
  /** As part of which computation the current code runs. */
  readonly scopes: FlightScopes;
  /** Keeps the process alive while callers wait. */
  readonly hold: KeepAlive;
  /** Logs one warning for each subject. */
  readonly warnOnce: (subject: string, message: string | (() => string)) => void;
  /** Counts, emits and logs that what the app handed in failed. */
  readonly fault: ReportFault;
}

/** One lane: its policy, memory and counters, and what it shares with the other lanes. */
export interface LaneContext {
  readonly lane: string;
  readonly policy: CachePolicy;
  readonly strategy: LaneStrategy | undefined;
  /** Lets processes compute a key one at a time, in a lane that shares computations with others. */
  readonly turns?: Turns | undefined;
  /** Learns what is asked for, in an adaptive lane and in one that compares policies. */
  readonly eviction?: LaneEviction | undefined;
  /** Measures computations where `eviction` decides by their cost. */
  readonly costs?: CostMeter | undefined;
  /** The options of a call that gives none. */
  readonly defaults: CallOptions;
  /** Keys that match none of these go past the cache, if there are any. */
  readonly include: readonly KeyPattern[];
  /** Keys that match one of these go past the cache. */
  readonly exclude: readonly KeyPattern[];
  /** The memory of this lane. */
  readonly memory: MemorySpace;
  readonly recorder: LaneRecorder;
  /** What happened to its keys lately, for explanations. */
  readonly history: KeyHistory;
  readonly examples: Examples;
  readonly shared: SharedContext;
}

/**
 * One of each kind of object that lives no longer than a hit on disk. Where none of a kind is alive when V8 collects the
 * whole heap, V8 discards the code that handles them, and hits take longer until it has compiled that anew.
 */
export class Examples {
  /** The last search that found a small value, and what the tier had answered. */
  search: object | undefined = undefined;
  lookup: object | undefined = undefined;
}

/** Whether this instance has been away from the others for so long that it may serve and store nothing they share. */
export function isPartitioned({ shared, policy }: Pick<LaneContext, 'shared' | 'policy'>): boolean {
  return shared.sharedLog?.isStale === true && policy.l4.enabled;
}

/** Whether other processes put what they compute where this one finds it. */
export function isShared({ shared, policy }: Pick<LaneContext, 'shared' | 'policy'>): boolean {
  return (shared.sharedLog !== undefined && policy.l4.enabled) || shared.hostLog?.isOn === true;
}

/** Whether this process was held up and has not caught up with the shared log: what it holds may have been invalidated. */
export function isLagging({ shared, policy }: Pick<LaneContext, 'shared' | 'policy'>): boolean {
  return shared.sharedLog !== undefined && shared.life.now() >= shared.sharedLog.caughtUpUntil && policy.l4.enabled;
}

/**
 * Resolves when this process has caught up with the shared log, in a moment as a rule. Computing at once would hold up a
 * busy process even more.
 */
export async function whenCaughtUp({ shared, lane }: Pick<LaneContext, 'shared' | 'lane'>): Promise<void> {
  const caughtUp = shared.sharedLog?.whenCaughtUp();
  if (caughtUp === undefined) return;
  await (shared.tracing === undefined ? caughtUp : shared.tracing.wait('for the log', lane, caughtUp));
}

/** Applies what other processes of the directory have invalidated. Every call that reads starts with it. */
export function look({ shared }: Pick<LaneContext, 'shared'>): void {
  const { hostLog } = shared;
  if (hostLog !== undefined && shared.life.now() >= hostLog.freshUntil) hostLog.look();
}

/** Undefined while the tiers have room for more of a bulk write. Else resolves when it is worth asking again. A tier refuses what it has no room for. */
export function whenRoom({ shared, lane }: Pick<LaneContext, 'shared' | 'lane'>): Promise<void> | undefined {
  for (const tier of shared.below) {
    const room = tier.whenRoom(lane);
    if (room !== undefined) return room;
  }
  return undefined;
}
