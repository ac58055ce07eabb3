import type { TierOffReason } from '../events/reasons.js';

/** A version to be saved. Times are epoch milliseconds. */
export interface CheckpointDraft {
  readonly id: string;
  readonly lane: string;
  readonly workflow?: string;
  readonly step?: number | string;
  /** Encoded, in base64. */
  readonly metadata?: string;
  readonly savedAt: number;
  readonly expiresAt?: number;
  readonly sizeBytes: number;
  readonly checksum: string;
  /** Identifies one save. A save that is repeated because its answer was lost is stored once. */
  readonly token?: string;
}

/** A stored version. */
export interface CheckpointRecord extends CheckpointDraft {
  readonly version: number;
  /** Position in the order of all saves of the store. */
  readonly sequence: number;
  readonly pinned: boolean;
  /** A restore found that the state does not match its checksum. */
  readonly damaged: boolean;
}

/** Whether the version has outlived its ttl. One of exactly its ttl has not. */
export const hasExpired = ({ expiresAt }: CheckpointRecord, now: number): boolean =>
  expiresAt !== undefined && now > expiresAt;

export type SaveOutcome =
  | { readonly outcome: 'saved'; readonly record: CheckpointRecord }
  | { readonly outcome: 'conflict'; readonly currentVersion: number };

/** `found` is not verified: the service compares the checksum. */
export type ReadOutcome =
  | { readonly outcome: 'absent' }
  | { readonly outcome: 'found'; readonly record: CheckpointRecord; readonly state: Uint8Array }
  | { readonly outcome: 'damaged'; readonly version: number };

/** A given version, or the newest that has not expired as of a time. */
export type VersionSelector = { readonly version: number } | { readonly asOf: number };

/** A position in a listing. `time` is set in listings by time only. */
export interface ListPosition {
  readonly time?: number;
  readonly sequence: number;
}

export interface ListQuery {
  readonly lane?: string;
  readonly workflow?: string;
  /** Both inclusive. With either the listing is by time of saving, else by order of saving. */
  readonly since?: number;
  readonly until?: number;
  readonly after?: ListPosition;
  readonly limit: number;
}

export interface ListSlice {
  readonly records: readonly CheckpointRecord[];
  readonly next?: ListPosition;
}

/** Due are versions that expired before `now`, and those saved before `savedBefore` that are not among the last `keepLast` of their id. */
export interface CleanupRule {
  readonly now: number;
  readonly savedBefore: number;
  readonly keepLast: number;
  readonly lane?: string;
  readonly workflow?: string;
  readonly mode: 'remove' | 'dry-run';
}

export interface CleanupPosition {
  readonly phase: 'expired' | 'old';
  readonly after?: { readonly time: number; readonly sequence: number };
}

export interface CleanupSlice {
  readonly removed: readonly CheckpointRecord[];
  /** How many of the removed were the newest version of their id. */
  readonly newestOfId: number;
  readonly pinnedKept: number;
  readonly next?: CleanupPosition;
}

export interface UsageCounts {
  readonly ids: number;
  readonly versions: number;
  readonly bytes: number;
  readonly oldest?: number;
  readonly newest?: number;
}

export interface CheckpointUsage {
  readonly total: UsageCounts;
  readonly lanes: Readonly<Record<string, UsageCounts>>;
}

export type CheckpointMark = 'pinned' | 'unpinned' | 'damaged';

export type CheckpointStoreState =
  { readonly state: 'on' } | { readonly state: 'off'; readonly reason: TierOffReason; readonly detail: string };

/**
 * Stores versions; the port behind `CheckpointService`. Plain data and bytes are all that cross it. Writes resolve when
 * they are durable, and take effect in the order of the calls. Of two saves that expect the same version exactly one
 * succeeds. A call that fails rejects, with `StorageFault` where the cause is the disk.
 */
export interface CheckpointStore {
  readonly state: CheckpointStoreState;
  /** `caller` is the process that saves, if not this one. Processes that expect the same versions take turns. */
  save(draft: CheckpointDraft, state: Uint8Array, expectedVersion?: number, caller?: object): Promise<SaveOutcome>;
  read(id: string, selector: VersionSelector): Promise<ReadOutcome>;
  /** All versions that exist, newest first, readable or not. */
  versions(id: string): Promise<readonly number[]>;
  /** Newest first. */
  history(id: string, limit: number): Promise<readonly CheckpointRecord[]>;
  /** Newest first. Reads no states, and nothing beyond the slice. */
  list(query: ListQuery): Promise<ListSlice>;
  /** One version, or all. Returns the removed versions. */
  remove(id: string, version?: number): Promise<readonly number[]>;
  /** Without `version`, `unpinned` applies to every version and the other marks to the newest. Returns whether there was one. */
  mark(id: string, mark: CheckpointMark, version?: number): Promise<boolean>;
  /** One slice of a cleanup, in one transaction. Pass `next` until it is absent. */
  clean(rule: CleanupRule, from?: CleanupPosition): Promise<CleanupSlice>;
  usage(now: number): Promise<CheckpointUsage>;
  /** Idempotent. Waits for accepted writes. Afterwards the state is off, `closed`. */
  close(): Promise<void>;
}
