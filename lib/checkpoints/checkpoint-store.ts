import type { TierOffReason } from '../events/reasons.js';
import { algorithmOf, compress } from '../entries/compression.js';
import type { LeasePort } from './leases.js';
import type { RemovalReason, RetentionRule } from './retention.js';

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
  /** The version from which the id was forked. */
  readonly parent?: { readonly id: string; readonly version: number };
  /** The process that saved it. */
  readonly savedBy?: string;
  /** How long the step took, in milliseconds. */
  readonly durationMs?: number;
  /** Hashes of the scalars in the metadata. Absent in versions that an earlier release saved. */
  readonly labels?: readonly string[];
  /** Bytes of the compressed state. Absent if it is not compressed. */
  readonly storedBytes?: number;
}

/** Bytes that the state takes in the store. */
export const storedBytesOf = ({ sizeBytes, storedBytes = sizeBytes }: CheckpointDraft): number => storedBytes;

/** What must hold for a save, and what it does besides. All of it is one transaction. */
export interface SaveConditions {
  /** The newest version that has not expired; 0 = there must be none. */
  readonly expectedVersion?: number;
  /** After a conflict the caller adopts the newer version, and does not save again. */
  readonly adopts?: boolean;
  /** The epoch of the draft's workflow when the step began: nobody has invalidated the workflow since. */
  readonly epoch?: number;
  /** The lease on the id that the saver must still hold. The save ends it. */
  readonly lease?: string;
  /** The lease on the id of a step around the save, which must still be held. The save leaves it. */
  readonly within?: { readonly id: string; readonly token: string };
  /** Versions of the id beyond these are removed. */
  readonly trim?: TrimRule;
}

/** How many versions of an id stay when another one is saved. */
export interface TrimRule {
  readonly keepVersions: number;
  readonly keepUnfinished: boolean;
}

/** The state of an id and its workflow when a step begins. */
export interface StepStart {
  /** The newest version of the id that has not expired; 0 = none. */
  readonly currentVersion: number;
  /** How often the workflow was invalidated; 0 without a workflow. */
  readonly epoch: number;
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

export type SaveOutcome =
  | { readonly outcome: 'saved'; readonly record: CheckpointRecord; readonly trimmed?: readonly number[] }
  | { readonly outcome: 'conflict'; readonly cause: ConflictCause; readonly currentVersion: number };

/** Which condition of a save did not hold. */
export type ConflictCause = 'version' | 'workflow' | 'lease';

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
  /** Hashes that all must be among the labels. */
  readonly labels?: readonly string[];
  readonly after?: ListPosition;
  readonly limit: number;
}

export interface ListSlice {
  readonly records: readonly CheckpointRecord[];
  readonly next?: ListPosition;
}

/** What a cleanup examines, and the rule by which it decides. */
export interface CleanupRule extends RetentionRule {
  readonly lane?: string;
  readonly workflow?: string;
  readonly mode: 'remove' | 'dry-run';
}

export interface CleanupPosition {
  readonly phase: 'expired' | 'old';
  readonly after?: { readonly time: number; readonly sequence: number };
}

/** A version that a cleanup removes, and why. */
export interface DueVersion {
  readonly record: CheckpointRecord;
  readonly reason: RemovalReason;
  /** Whether it is the newest version of its id at the moment of its removal. */
  readonly isNewest: boolean;
}

export interface CleanupSlice {
  readonly removed: readonly DueVersion[];
  readonly pinnedKept: number;
  readonly next?: CleanupPosition;
}

export interface WorkflowSlice {
  readonly removed: readonly { readonly id: string; readonly version: number }[];
  /** The position in the order of saving up to which versions are removed. Absent after the last slice. */
  readonly next?: number;
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

/** The state of every store once the app was closed. */
export const CLOSED: CheckpointStoreState = Object.freeze({
  state: 'off',
  reason: 'closed',
  detail: 'the app was closed',
});

export const isClosed = (store: CheckpointStoreState): boolean => store.state === 'off' && store.reason === 'closed';

/**
 * Stores versions; the port behind `CheckpointService`. Plain data and bytes are all that cross it. Writes resolve when
 * they are durable, and take effect in the order of the calls. Of two saves that expect the same version exactly one
 * succeeds. A call that fails rejects, with `StorageFault` where the cause is the disk.
 */
export interface CheckpointStore extends LeasePort {
  readonly state: CheckpointStoreState;
  /** `caller` is the process that saves, if not this one. Processes that expect the same versions take turns. */
  save(draft: CheckpointDraft, state: Uint8Array, conditions?: SaveConditions, caller?: object): Promise<SaveOutcome>;
  /** Where a step begins. A save with these as conditions conflicts with everything that was saved or invalidated since. */
  begin(id: string, workflow: string | undefined, now: number): Promise<StepStart>;
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
  /** Marks a workflow as done, until a version is saved in it. */
  finish(workflow: string): Promise<void>;
  /**
   * One slice of the removal of a workflow, in one transaction. The first one raises its epoch, so that steps that began
   * before cannot save; none of its versions saved before is found from then on. Pass `next` until it is absent: versions
   * that are saved meanwhile stay.
   */
  invalidateWorkflow(workflow: string, upTo?: number): Promise<WorkflowSlice>;
  /** Idempotent. Waits for accepted writes. Afterwards the state is off, `closed`. */
  close(): Promise<void>;
}

/** Whatever the lane asks for: a state must be readable by every Node, because it exists nowhere else. */
const CODEC = 'brotli';

/** The state as it is stored, at once where that is quick. Undefined if it is stored as it is. */
export function compressState(state: Uint8Array, fromBytes: number | undefined): ReturnType<typeof compress> {
  return fromBytes === undefined ? undefined : compress(state, { codec: CODEC, minBytes: fromBytes });
}

/** The state as it was encoded. Undefined if the stored bytes cannot be expanded to its size. */
export async function expandState(
  { sizeBytes, storedBytes }: CheckpointRecord,
  stored: Uint8Array,
): Promise<Uint8Array | undefined> {
  if (storedBytes === undefined) return stored;
  try {
    const state = await algorithmOf(CODEC)?.expandInPool(stored, { maxOutputLength: Math.max(sizeBytes, 1) });
    return state?.length === sizeBytes ? state : undefined;
  } catch {
    return undefined;
  }
}
