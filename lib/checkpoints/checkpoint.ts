import type { IsoTime } from '../events/event-map.js';
import type { TierOffReason } from '../events/reasons.js';
import type { Duration } from '../lanes/units.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import type { CheckpointRecord, CheckpointStoreState, CheckpointUsage, UsageCounts } from './checkpoint-store.js';
import { createHash } from 'node:crypto';
import { LaneCacheError } from '../errors/lane-cache.error.js';

/** What to note with a saved state. */
export interface SaveCheckpointOptions {
  /** The label under which the version is listed, counted and kept. Default: the app's lane. */
  readonly lane?: string;
  readonly workflow?: string;
  readonly step?: number | string;
  /** At most 64 KB once encoded. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** The version the caller built on; 0 = must not exist yet. Another one rejects with `CheckpointConflictError`. */
  readonly expectedVersion?: number;
  /** After it the version is not restored any more, and the next cleanup removes it unless it is pinned. Default none. */
  readonly ttl?: Duration;
}

/** One version of a saved state, without the state. */
export interface CheckpointInfo {
  readonly id: string;
  /** 1, 2, … per id; never used twice, not even after removal. */
  readonly version: number;
  readonly lane: string;
  readonly workflow?: string;
  readonly step?: number | string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly savedAt: IsoTime;
  readonly expiresAt?: IsoTime;
  /** Bytes of the encoded state. */
  readonly sizeBytes: number;
  /** SHA-256 of the encoded state, hexadecimal. */
  readonly checksum: string;
  readonly pinned: boolean;
}

/** One version with its state. */
export interface Checkpoint<T = unknown> extends CheckpointInfo {
  readonly state: T;
}

/** Which version to restore. */
export interface RestoreCheckpointOptions {
  /** Default: the newest that has not outlived its ttl. */
  readonly version?: number;
  /** An older one counts as absent. */
  readonly maxAge?: Duration;
  /** If the version is damaged, give the newest sound one before it. Default false. */
  readonly fallback?: boolean;
}

/** Which versions to list. */
export interface CheckpointFilter {
  readonly workflow?: string;
  readonly lane?: string;
  /** Saved at or after. */
  readonly since?: Date | IsoTime;
  /** Saved at or before. */
  readonly until?: Date | IsoTime;
  /** `next` of the page before. */
  readonly after?: string;
  /** 1 to 1,000. Default 100. */
  readonly limit?: number;
}

/** Newest first. */
export interface CheckpointPage {
  readonly items: readonly CheckpointInfo[];
  /** Pass as `after`. Absent on the last page. */
  readonly next?: string;
}

/** What a cleanup may remove. */
export interface CleanupOptions {
  /** A version goes when it is older than this; one of exactly this age stays. Default 7. */
  readonly maxAgeDays?: number;
  /** So many newest versions of each id stay, however old. Default 0. */
  readonly keepLast?: number;
  readonly lane?: string;
  readonly workflow?: string;
  /** Remove nothing, say what would go. Default false. */
  readonly dryRun?: boolean;
}

/** What a cleanup removed, or would remove. */
export interface CleanupReport {
  readonly removed: number;
  readonly bytes: number;
  /** Due, but pinned. */
  readonly pinnedKept: number;
  readonly dryRun: boolean;
  /** Dry run only; at most 1,000. */
  readonly checkpoints?: readonly CheckpointInfo[];
}

/** A lane's checkpoints in numbers. */
interface CheckpointCounts {
  /** Ids that restore. */
  readonly cachedCheckpoints: number;
  /** All versions. */
  readonly versions: number;
  readonly bytes: number;
  readonly oldest?: IsoTime;
  readonly newest?: IsoTime;
}

/** All checkpoints in numbers. An id with versions in two lanes counts once here and once in each lane. */
export interface CheckpointStatus extends CheckpointCounts {
  readonly state: 'on' | 'off';
  readonly reason?: TierOffReason;
  readonly lanes: Readonly<Record<string, CheckpointCounts>>;
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** What callers see of a record. */
export function toInfo(record: CheckpointRecord, codec: ValueCodec): CheckpointInfo {
  const { id, version, lane, workflow, step, savedAt, expiresAt, sizeBytes, checksum, pinned } = record;
  const metadata = record.metadata === undefined ? undefined : decodeMetadata(codec, record.metadata);
  return {
    id,
    version,
    lane,
    ...(workflow !== undefined && { workflow }),
    ...(step !== undefined && { step }),
    ...(metadata !== undefined && { metadata }),
    savedAt: iso(savedAt),
    ...(expiresAt !== undefined && { expiresAt: iso(expiresAt) }),
    sizeBytes,
    checksum,
    pinned,
  };
}

export function toStatus(usage: CheckpointUsage, store: CheckpointStoreState): CheckpointStatus {
  const lanes = Object.entries(usage.lanes).map(([lane, counts]) => [lane, toCounts(counts)] as const);
  return {
    ...toCounts(usage.total),
    state: store.state,
    ...(store.state === 'off' && { reason: store.reason }),
    lanes: Object.fromEntries(lanes),
  };
}

const toCounts = ({ ids, versions, bytes, oldest, newest }: UsageCounts): CheckpointCounts => ({
  cachedCheckpoints: ids,
  versions,
  bytes,
  ...(oldest !== undefined && { oldest: iso(oldest) }),
  ...(newest !== undefined && { newest: iso(newest) }),
});

export const checksumOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A value as bytes, or `CHECKPOINT_UNSTORABLE` naming what in it cannot be stored faithfully. */
export function encodeOrRefuse(codec: ValueCodec, value: unknown, id: string, field: 'state' | 'metadata'): Uint8Array {
  const encoded = codec.encode(value);
  // A restore returns undefined when there is no checkpoint.
  if (encoded.storable && value !== undefined) return encoded.bytes;
  const reason = encoded.storable ? 'undefined would look like no checkpoint' : encoded.reason;
  throw new LaneCacheError(
    'CHECKPOINT_UNSTORABLE',
    `The ${field} of checkpoint '${id}' cannot be stored faithfully: ${reason}. Save plain data, or list the class under 'types'.`,
    { key: id, field },
  );
}

/** The state as its caller declares it. Rejects with `CHECKPOINT_INVALID` what is sound but cannot be rebuilt by this app. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- declared by the caller of a restore
export function decodeState<T>(codec: ValueCodec, { id, version }: CheckpointRecord, bytes: Uint8Array): T {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what was saved is the caller's to know
    return codec.decode(bytes) as T;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it cannot be decoded';
    throw new LaneCacheError(
      'CHECKPOINT_INVALID',
      `Version ${version} of checkpoint '${id}' is intact, but this app cannot rebuild its state: ${why} List the class under 'types' as it was when the state was saved, or give it a 'migrate'.`,
      { key: id, field: 'state', cause },
    );
  }
}

/** What was noted, or undefined where this app cannot rebuild it: a listing must not fail for one of its items. */
function decodeMetadata(codec: ValueCodec, encoded: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const metadata = codec.decode(Buffer.from(encoded, 'base64'));
    return isRecord(metadata) ? metadata : undefined;
  } catch {
    return undefined;
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
