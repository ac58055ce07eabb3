import type { Table, TableKey } from '../storage/environment.js';
import type { CheckpointLedger } from './checkpoint-ledger.js';
import { hasExpired } from './checkpoint-rows.js';
import type { CheckpointRows } from './checkpoint-rows.js';
import type { CheckpointRecord, CleanupPosition, CleanupRule, CleanupSlice } from './checkpoint-store.js';
import { keyOf, numbersOf, pointerRow, ranges, scopeOf } from './checkpoint-tables.js';

/** So few that a slice with all its index rows stays well under two milliseconds. */
const SLICE = 50;

/** What happens to what is due. */
export interface Removal {
  remove(idKey: string, version: number): void;
  /** An index row that leads nowhere any more. */
  forget(index: Table, key: TableKey): void;
}

export const NO_REMOVAL: Removal = { remove: () => undefined, forget: () => undefined };

export const removalBy = (ledger: CheckpointLedger): Removal => ({
  remove: (idKey, version) => void ledger.remove(idKey, version),
  forget: (index, key) => ledger.dropIndexRow(index, key),
});

/**
 * The next piece of a cleanup: first what expired, then what is old, oldest first along the indexes of time, so that
 * what is not due is never looked at.
 */
export function cleanSlice(
  rows: CheckpointRows,
  rule: CleanupRule,
  from: CleanupPosition,
  removal: Removal,
): CleanupSlice {
  const { tables } = rows;
  const isExpiry = from.phase === 'expired';
  const index = isExpiry ? tables.expiries : tables.ages;
  const after = from.after === undefined ? undefined : ([from.after.time, from.after.sequence] as const);
  const range = ranges.timesUp(scopeOf(rule), after, isExpiry ? rule.now : rule.savedBefore);
  const found = [...index.range({ ...range, limit: SLICE })];
  const removed: CheckpointRecord[] = [];
  let newestOfId = 0;
  let pinnedKept = 0;
  for (const { key, value } of found) {
    const pointer = pointerRow.open(value);
    const record = pointer === undefined ? undefined : rows.record(...pointer);
    if (record === undefined) {
      if (pointer === undefined || !rows.has(...pointer)) removal.forget(index, key);
      continue;
    }
    if (!isExpiry && (hasExpired(record, rule.now) || isAmongLast(rows, record, rule))) continue;
    if (record.pinned) {
      pinnedKept += 1;
      continue;
    }
    const idKey = keyOf(record.id);
    if (rows.head(idKey).newest === record.version) newestOfId += 1;
    removal.remove(idKey, record.version);
    removed.push(record);
  }
  const next = nextPosition(from, found.length === SLICE ? found.at(-1)?.key : undefined, rule);
  return { removed, newestOfId, pinnedKept, ...(next !== undefined && { next }) };
}

function nextPosition(
  from: CleanupPosition,
  last: TableKey | undefined,
  rule: CleanupRule,
): CleanupPosition | undefined {
  if (last !== undefined) {
    const [time = 0, sequence = 0] = numbersOf(last);
    return { phase: from.phase, after: { time, sequence } };
  }
  return from.phase === 'expired' && Number.isFinite(rule.savedBefore) ? { phase: 'old' } : undefined;
}

function isAmongLast(rows: CheckpointRows, record: CheckpointRecord, { keepLast, now }: CleanupRule): boolean {
  if (keepLast === 0) return false;
  const idKey = keyOf(record.id);
  let newer = 0;
  for (const version of rows.versions(idKey)) {
    if (version <= record.version) return true;
    const other = rows.record(idKey, version);
    if (other !== undefined && !hasExpired(other, now)) newer += 1;
    if (newer === keepLast) return false;
  }
  return true;
}
