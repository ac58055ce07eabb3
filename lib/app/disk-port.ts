import type { Persistence } from '../cache/lane-context.js';
import type { LeaseTable } from '../cache/turns.js';
import type { CheckpointRecord, CheckpointStore } from '../checkpoints/checkpoint-store.js';
import { UnavailableCheckpointStore } from '../checkpoints/unavailable-checkpoint-store.js';
import type { Clock, LifeClock } from '../clock/clock.js';
import type { EventSink } from '../events/event-map.js';
import type { LaneRecorder } from '../events/recorder.js';
import type { LogJournal } from '../invalidation/journal.js';
import type { HostLog } from '../invalidation/host-log.js';
import type { Outbox, SharedOrder, SharedRecord } from '../invalidation/shared-log.js';
import type { ResolvedLane } from '../lanes/policy.js';
import type { EntryService } from '../ipc/entry-service.js';
import type { Answer } from '../ipc/server.js';
import { OffTier } from '../tiers/off-tier.js';
import type { StoredTierOptions } from '../tiers/stored-tier.js';
import type { HostReport } from '../metrics/lane-cache-metrics.js';
import type { Tier } from '../tiers/tier.js';

export interface DiskOptions {
  /** Absolute. */
  readonly root: string;
  /** Absolute; false keeps no checkpoints. */
  readonly checkpoints: string | false;
  readonly lanes: ReadonlyMap<string, ResolvedLane>;
  readonly clock: Clock;
  readonly life: LifeClock;
  readonly events: EventSink;
  readonly recorder: (lane: string) => LaneRecorder;
  /** Names what the start waits for. */
  readonly steps: { during<T>(what: string, step: Promise<T>): Promise<T> };
  /** Called for every entry that had to go, or whose time was over. */
  readonly evicted: NonNullable<StoredTierOptions['evicted']>;
  /** Whether other processes may ask this one while it is the owner. */
  readonly serves: 'others' | 'nobody';
  /** The app's `version`, for a person who looks at the processes of the directory. */
  readonly version: string;
  /** What the app shares entries through. Undefined for one that only looks. */
  readonly server: string | undefined;
  readonly minFreeBytes: number | undefined;
  /** The labels of a checkpoint that an earlier release saved. */
  readonly labelsOf: (record: CheckpointRecord) => readonly string[];
  readonly deadlineMs: number;
}

export interface Stranger {
  readonly pid: number;
  readonly server: string;
}

export interface Leftovers {
  readonly orphanedSessions: number;
  readonly quarantinesRemoved: number;
}

/** The part of an app's cache that is on disk. */
export interface Disk {
  readonly l2: Tier;
  readonly l3: Tier;
  /** The persistent tier's part of the log, when this process owns it. */
  readonly journal: LogJournal | undefined;
  readonly persistence: Persistence | undefined;
  /** What the processes of the directory let each other know. Absent without a directory. */
  readonly hostLog: HostLog | undefined;
  /** The processes of the directory. Undefined while there is none. */
  readonly host: HostReport | undefined;
  /** Other processes of the directory that share entries through another server. */
  readonly strangers: readonly Stranger[];
  /** The leases of computations among the processes of the directory. Absent without a directory. */
  readonly leases: LeaseTable | undefined;
  /** Whether nobody has taken a turn of the key since the one with this token, as far as this process knows. */
  mayStore(lane: string, key: string, turn: string): boolean;
  /** Keeps the records that the server has not received, when this process owns the directory. */
  readonly outbox: Outbox | undefined;
  /** Records that the server had perhaps not received when this process opened the directory of another one, by their ids. */
  readonly unpublished: ReadonlyMap<string, SharedRecord>;
  /** Where checkpoints are, asked anew at each call: ownership may come later. */
  checkpoints(): CheckpointStore;
  /**
   * `adopt` is called in the step in which the persistent tier begins to serve what another owner, or an earlier opening,
   * has stored: the log must go on from there, and let go of everything from before.
   */
  whenFound(adopt: (journal: LogJournal) => void): void;
  /** What this process answers to others while it is the owner, beside the calls for checkpoints. */
  answer(answers: () => readonly (readonly [string, Answer])[]): void;
  /**
   * Lets the processes of the directory share L3: while this one owns it, `service` answers the others; else L3 is the
   * owner's. Resolves once the owner was found, or was looked for. Never rejects.
   */
  shareEntries(sharing: EntrySharing): Promise<void>;
  /** Writes the app record, if this process owns the directory. Never rejects. */
  leaveRecord(record: unknown): Promise<void>;
  /** Removes what dead processes and old faults have left. */
  removeLeftovers(): Promise<Leftovers>;
  close(): Promise<void>;
}

/** What it takes to share L3 with the other processes of the directory. */
export interface EntrySharing {
  readonly service: EntryService;
  /** The position of this process's log. */
  readonly position: () => number;
  /** Absent without a server. */
  readonly sharedLog: SharedOrder | undefined;
}

/** Makes checkpoints that need no directory. */
export type MakeCheckpoints = (of: Pick<DiskOptions, 'clock' | 'events'>) => CheckpointStore;

const NO_DIRECTORY = "this app runs without a directory. Give it one with 'directory'.";

/** A cache in memory alone. */
export function noDisk(
  checkpoints: CheckpointStore = new UnavailableCheckpointStore('no-directory', NO_DIRECTORY),
): Disk {
  return {
    l2: new OffTier('l2', 'no-directory'),
    l3: new OffTier('l3', 'no-directory'),
    journal: undefined,
    persistence: undefined,
    hostLog: undefined,
    host: undefined,
    strangers: [],
    leases: undefined,
    mayStore: () => true,
    outbox: undefined,
    unpublished: new Map(),
    checkpoints: () => checkpoints,
    whenFound: () => undefined,
    answer: () => undefined,
    shareEntries: () => Promise.resolve(),
    leaveRecord: () => Promise.resolve(),
    removeLeftovers: () => Promise.resolve({ orphanedSessions: 0, quarantinesRemoved: 0 }),
    close: () => checkpoints.close(),
  };
}
