import type { TierOffReason } from '../events/reasons.js';

/** The port behind `CheckpointService`: versions, indexes and transactions. Everything that crosses it is plain data or bytes. */

/** What the service hands over to be saved. Times are epoch milliseconds. */
export interface CheckpointDraft {
  readonly id: string;
  readonly lane: string;
  readonly workflow?: string;
  readonly step?: number | string;
  /** Encoded, as base64. */
  readonly metadata?: string;
  readonly savedAt: number;
  readonly expiresAt?: number;
  readonly sizeBytes: number;
  readonly checksum: string;
  /** Names one save: one that was stored already, and asked for again because its answer was lost, is not stored twice. */
  readonly token?: string;
}

/** A version as the store knows it. */
export interface CheckpointRecord extends CheckpointDraft {
  readonly version: number;
  /** Position in the order of all saves of the store. */
  readonly sequence: number;
  readonly pinned: boolean;
  /** A restore found that the state does not match its checksum. */
  readonly damaged: boolean;
}

export type SaveOutcome =
  | { readonly outcome: 'saved'; readonly record: CheckpointRecord }
  | { readonly outcome: 'conflict'; readonly currentVersion: number };

/** `found` is not verified yet: the checksum is the service's to check. */
export type ReadOutcome =
  | { readonly outcome: 'absent' }
  | { readonly outcome: 'found'; readonly record: CheckpointRecord; readonly state: Uint8Array }
  | { readonly outcome: 'damaged'; readonly version: number };

/** A given version, or the newest that has not expired as of a time. */
export type VersionSelector = { readonly version: number } | { readonly asOf: number };

/** A place in a listing; `time` only in listings by time. */
export interface ListPosition {
  readonly time?: number;
  readonly sequence: number;
}

export interface ListQuery {
  readonly lane?: string;
  readonly workflow?: string;
  /** Both inclusive. Either makes it a listing by time of saving; else it is by order of saving. */
  readonly since?: number;
  readonly until?: number;
  readonly after?: ListPosition;
  readonly limit: number;
}

export interface ListSlice {
  readonly records: readonly CheckpointRecord[];
  readonly next?: ListPosition;
}

/** Due is what was saved before `savedBefore` (and is not among the last `keepLast` of its id), and what expired before `now`. */
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
 * Where versions rest. Writes resolve when durable and take effect in the order of the calls; of two that expect the
 * same version exactly one is saved. A call that cannot be carried out rejects, with `StorageFault` where the cause is the disk.
 */
export interface CheckpointStore {
  readonly state: CheckpointStoreState;
  save(draft: CheckpointDraft, state: Uint8Array, expectedVersion?: number): Promise<SaveOutcome>;
  read(id: string, selector: VersionSelector): Promise<ReadOutcome>;
  /** All versions there are, newest first, readable or not. */
  versions(id: string): Promise<readonly number[]>;
  /** Newest first. */
  history(id: string, limit: number): Promise<readonly CheckpointRecord[]>;
  /** Newest first; never reads states, never reads more than the slice. */
  list(query: ListQuery): Promise<ListSlice>;
  /** One version, or all. Returns the versions that went. */
  remove(id: string, version?: number): Promise<readonly number[]>;
  /** Without a version: `unpinned` means every version, the others the newest. Returns whether there was one. */
  mark(id: string, mark: CheckpointMark, version?: number): Promise<boolean>;
  /** A bounded piece of a cleanup, in one transaction. Pass `next` until it is absent. */
  clean(rule: CleanupRule, from?: CleanupPosition): Promise<CleanupSlice>;
  usage(now: number): Promise<CheckpointUsage>;
  /** Idempotent. Waits for the accepted writes; afterwards the state is off, `closed`. */
  close(): Promise<void>;
}
