import type { LogRecord, StoredCursor } from './journal.js';

/** What one instance says to the others. Positions are each instance's own, so it has none. */
export type SharedRecord = Omit<LogRecord, 'position'>;

/** A place in the shared log. Sequence numbers are comparable within a generation only. */
export type LogCursor = StoredCursor;

/** The log that the instances of an app share, as the cache sees it. */
export interface SharedLog {
  /**
   * Says to the others what was just said here. Resolves to whether the distributed tier held the subject, when the
   * shared log has the records, or when they are kept durably until it can be reached; rejects with
   * INVALIDATION_PENDING when neither is so in time. `local` settles when the tiers of this process have been told.
   */
  publish(records: readonly LogRecord[], local: Promise<unknown>): Promise<boolean>;
  /** Cut off for so long that nothing shared may be served. */
  readonly isStale: boolean;
  /**
   * Life time up to which what others said has been heard in time. Beyond, what is held is not served until they are heard
   * again: this process was held up. Infinite while it is known to be cut off.
   */
  readonly caughtUpUntil: number;
  /** Resolves when the others have been heard again, or when that takes too long. */
  whenCaughtUp(): Promise<void>;
}

/** Keeps what could not be said yet, so that a later process says it. It lies apart from the persistent tier. */
export interface Outbox {
  /** What earlier processes left, by an id of each. */
  readonly found: ReadonlyMap<string, SharedRecord>;
  /** Resolves when they outlive this process; rejects when that is not certain. */
  keep(records: ReadonlyMap<string, SharedRecord>): Promise<void>;
  /** They have been said. */
  forget(ids: readonly string[]): void;
}

/** The cache, as the shared log sees it. Whatever memory and flights need is done in the step of the call. */
export interface LogFollower {
  /** Does here what another instance said. Resolves when the tiers below memory have it. */
  follow(record: SharedRecord): Promise<void>;
  /** A record of this instance came round; only the position moves. */
  pass(): void;
  /** Records were missed: lets go of everything. Resolves when nothing from before can come back after a restart. */
  drop(): Promise<void>;
  /** Nothing may be served from now on: what is under way lands nowhere, and every entry is looked at again. */
  suspect(): void;
  /** The persistent tier has been told everything that was said while this process was away. */
  release(): void;
}
