import type { ValueCodec } from '../entries/codec.js';
import type { CheckpointCounts, CheckpointInfo, CheckpointStatus } from './checkpoint.js';
import { decodeMetadata } from './state-codec.js';
import type { CheckpointRecord, CheckpointStoreState, CheckpointUsage, UsageCounts } from './checkpoint-store.js';

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
