import type { LogRecord, StoredCursor } from './journal.js';

/** A record as instances share it. It has no position, because each instance counts its own. */
export interface SharedRecord extends Omit<LogRecord, 'position'> {
  /** When the ttl ended, for `expire`. Epoch ms, by the life clock. Default: when the record is applied. */
  readonly at?: number;
  /** In the log of a directory: the same record in the log of the server, which may never get it. */
  readonly copy?: ServerCopy | undefined;
}

/** Names every entry of every lane. */
export const EVERYTHING: SharedRecord = Object.freeze({ kind: 'all', lane: null, subject: '*' });

/** A place in the shared log. Sequence numbers are comparable within a generation only. */
export type LogCursor = StoredCursor;

/** A record as it goes to the server. */
export interface ServerCopy {
  /** The author and a number. No other record has it, and a record that is published again keeps it. */
  readonly id: string;
  /** Where the server has it. Undefined while that is not known. */
  readonly place: LogCursor | undefined;
}

/** What a record may name. */
export interface Subject {
  readonly lane: string;
  readonly key: string;
  readonly tags: readonly string[];
}

/** What is known of an entry that counted at some place of a log. `unknown`: the records since then are forgotten. */
export type Standing = 'counts' | 'named' | 'unknown';

/** The log that the instances of an app share, as the cache sees it. */
export interface SharedLog {
  /** Publishes local records to the other instances. `local` settles when the tiers of this process have carried them out. */
  publish(records: readonly LogRecord[], local: Promise<unknown>): PublishedRecords;
  /**
   * The log of the directory has a record, of which this log has, gets or may get a copy. Returns what has carried it out if
   * this log had it first; else the record is to be followed now, and not when this log has it.
   */
  receivedOnHost(record: SharedRecord, copy: ServerCopy): Promise<unknown> | undefined;
  /** This process has a newer value of the key, and stores it nowhere. It reads no older entry from the distributed tier. */
  hideOlder(lane: string, key: string): void;
  /** This process has been disconnected for so long that nothing shared may be served. */
  readonly isStale: boolean;
  /**
   * Until this time (epoch ms) this process is known to have caught up with the log. After it, the process was held up, and
   * serves no entries until it has caught up again. Infinity while it is known to be disconnected.
   */
  readonly caughtUpUntil: number;
  /** Resolves when this process has caught up with the log, or when that takes too long. */
  whenCaughtUp(): Promise<void>;
  /** How far this process has followed the log. Undefined while it has not. */
  readonly cursor: LogCursor | undefined;
  /** Whether an entry that counted as of `asOf`, in any process, counts as of `cursor`. Records of this process do not matter. */
  judge(asOf: LogCursor, subject: Subject): Standing;
}

/** Records on their way to the other instances. */
export interface PublishedRecords {
  /**
   * Resolves to whether the distributed tier held the subject. It does so when the shared log has the records, or when they
   * are kept durably until the log can be reached. Rejects with INVALIDATION_PENDING when neither is so in time.
   */
  readonly held: Promise<boolean>;
  /** In the order of the records. Undefined for one of a lane that is not shared. */
  readonly copies: readonly (ServerCopy | undefined)[];
}

/** What processes of one directory need of the shared log to judge each other's entries. */
export type SharedOrder = Pick<SharedLog, 'cursor' | 'judge'>;

/** Keeps records that could not be published, for a later process to publish. It does not depend on the persistent tier. */
export interface Outbox {
  /** The records that earlier processes left, by their ids. */
  readonly found: ReadonlyMap<string, SharedRecord>;
  /** Resolves when they outlive this process; rejects when that is not certain. */
  keep(records: ReadonlyMap<string, SharedRecord>): Promise<void>;
  /** They have been published. */
  forget(ids: readonly string[]): void;
}

/** The log of the processes of one directory, as the cache sees it. */
export interface HostLogPort {
  /** Until this time (epoch ms, by the life clock) no record can have come of which JavaScript knows already. */
  readonly freshUntil: number;
  readonly isOn: boolean;
  /** Applies what other processes have invalidated. To be called before every call that reads, once `freshUntil` is over. */
  look(): void;
  /**
   * Appends local records for the other processes. Resolves when they are durable, and in the order of the log. Rejects when
   * that cannot be had. Undefined while there is no log. `local` settles when the tiers of this process have carried it out.
   * Where the records are published to a server as well, nothing is appended before that has settled.
   */
  publish(
    records: readonly SharedRecord[],
    local: Promise<unknown>,
    server?: ServerPublishing,
  ): Promise<void> | undefined;
}

/** How records are published to a server. */
export interface ServerPublishing extends Pick<PublishedRecords, 'copies'> {
  /** The server has the records, or does not get them now. */
  readonly settled: Promise<unknown>;
}

/** The cache, as the shared log sees it. All that memory and flights need is done in the step of the call. */
export interface InvalidatedCache {
  /** Carries out a record of another instance. Resolves when the tiers below memory have it. */
  apply(record: SharedRecord): Promise<void>;
  /** The shared log returned a record of this instance. Only the position moves. */
  pass(): void;
  /** Drops everything, because records were missed. Resolves when nothing from before can come back after a restart. */
  drop(): Promise<void>;
  /** Nothing from before is served any more, in this step. What lies on disk stays there. */
  bar(): void;
  /** Nothing may be served for now. Running flights store nothing, and every entry is checked again before it is served. */
  suspect(): void;
  /** The persistent tier has carried out everything that was invalidated while this process did not run. */
  release(): void;
}
