import type { LogRecord, StoredCursor } from './journal.js';

/** A record as instances share it. It has no position, because each instance counts its own. */
export type SharedRecord = Omit<LogRecord, 'position'>;

/** A place in the shared log. Sequence numbers are comparable within a generation only. */
export type LogCursor = StoredCursor;

/** The log that the instances of an app share, as the cache sees it. */
export interface SharedLog {
  /**
   * Publishes local records to the other instances. Resolves to whether the distributed tier held the subject, when the
   * shared log has the records, or when they are kept durably until it can be reached; rejects with
   * INVALIDATION_PENDING when neither is so in time. `local` settles when the tiers of this process have carried it out.
   */
  publish(records: readonly LogRecord[], local: Promise<unknown>): Promise<boolean>;
  /** Cut off for so long that nothing shared may be served. */
  readonly isStale: boolean;
  /**
   * Until this time (epoch ms) this process is known to have caught up with the log. After it, entries are not served until it has
   * again: this process was held up. Infinite while it is known to be cut off.
   */
  readonly caughtUpUntil: number;
  /** Resolves when this process has caught up with the log, or when that takes too long. */
  whenCaughtUp(): Promise<void>;
}

/** Keeps records that could not be published, so that a later process publishes them. It is apart from the persistent tier. */
export interface Outbox {
  /** What earlier processes left, by an id of each. */
  readonly found: ReadonlyMap<string, SharedRecord>;
  /** Resolves when they outlive this process; rejects when that is not certain. */
  keep(records: ReadonlyMap<string, SharedRecord>): Promise<void>;
  /** They have been published. */
  forget(ids: readonly string[]): void;
}

/** The cache, as the shared log sees it. Whatever memory and flights need is done in the step of the call. */
export interface LogFollower {
  /** Carries out a record of another instance. Resolves when the tiers below memory have it. */
  follow(record: SharedRecord): Promise<void>;
  /** A record of this instance came round; only the position moves. */
  pass(): void;
  /** Records were missed: lets go of everything. Resolves when nothing from before can come back after a restart. */
  drop(): Promise<void>;
  /** Nothing may be served from now on: running flights store nothing, and every entry is checked again. */
  suspect(): void;
  /** The persistent tier has carried out everything that was invalidated while this process did not run. */
  release(): void;
}
