import type { RangeOptions, TableKey } from '../storage/environment.js';
import type { CheckpointLedger } from './checkpoint-ledger.js';
import { hasExpired, type CheckpointRows } from './checkpoint-rows.js';
import type { CheckpointRecord, CleanupPosition, CleanupRule, CleanupSlice } from './checkpoint-store.js';
import { numbersOf, pointerRow, ranges, scopeOf, type Pointer } from './checkpoint-tables.js';
import type { WatchedTable } from './watched-table.js';
import type { WorkSlice } from './work-slice.js';

/** The most versions that one slice looks at. */
const CLEANING_SLICE = 64;

/** What happens to what is due. */
export interface Removal {
  remove(idKey: string, version: number): void;
  /** An index row that leads nowhere any more. */
  forget(index: WatchedTable, key: TableKey): void;
}

export const NO_REMOVAL: Removal = { remove: () => undefined, forget: () => undefined };

export const removalBy = (ledger: CheckpointLedger): Removal => ({
  remove: (idKey, version) => void ledger.remove(idKey, version),
  forget: (index, key) => ledger.dropIndexRow(index, key),
});

/**
 * The next piece of a cleanup: first what expired, then what is old, oldest first along the indexes of time, so that
 * what is not due is never looked at. Ends early when `work` is spent.
 */
export function cleanSlice(
  rows: CheckpointRows,
  rule: CleanupRule,
  from: CleanupPosition,
  removal: Removal,
  work: WorkSlice,
): CleanupSlice {
  const { index, range } = rangeOf(rows, rule, from);
  const found = [...index.range({ ...range, limit: CLEANING_SLICE })];
  const removed: CheckpointRecord[] = [];
  let newestOfId = 0;
  let pinnedKept = 0;
  let looked = 0;
  for (const { key, value } of found) {
    if (looked > 0 && work.isSpent) break;
    looked += 1;
    const pointer = pointerRow.open(value);
    const record = pointer && rows.record(...pointer);
    if (pointer === undefined || record === undefined) {
      // an unreadable version may be pinned
      if (pointer === undefined || !rows.has(...pointer)) removal.forget(index, key);
      continue;
    }
    if (!isDue(rows, pointer, record, rule, from.phase)) continue;
    if (record.pinned) {
      pinnedKept += 1;
      continue;
    }
    if (rows.head(pointer[0]).newest === pointer[1]) newestOfId += 1;
    removal.remove(...pointer);
    removed.push(record);
  }
  const isCut = looked < found.length || looked === CLEANING_SLICE;
  const next = nextPosition(from, isCut ? found[looked - 1]?.key : undefined, rule);
  return { removed, newestOfId, pinnedKept, ...(next !== undefined && { next }) };
}

function rangeOf(
  { tables }: CheckpointRows,
  rule: CleanupRule,
  { phase, after }: CleanupPosition,
): { readonly index: WatchedTable; readonly range: RangeOptions } {
  const start = after === undefined ? undefined : ([after.time, after.sequence] as const);
  return phase === 'expired'
    ? { index: tables.expiries, range: ranges.timesUp(scopeOf(rule), start, rule.now) }
    : { index: tables.ages, range: ranges.timesUp(scopeOf(rule), start, rule.savedBefore) };
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

/** What expired was the first phase's business: it is not counted again when it is old as well. */
function isDue(
  rows: CheckpointRows,
  [idKey, version]: Pointer,
  record: CheckpointRecord,
  { now, keepLast }: CleanupRule,
  phase: CleanupPosition['phase'],
): boolean {
  if (hasExpired(record, now) || phase === 'expired') return phase === 'expired';
  if (keepLast === 0) return true;
  let newer = 0;
  for (const other of rows.versions(idKey)) {
    if (other <= version) return false;
    const found = rows.record(idKey, other);
    if (found !== undefined && !hasExpired(found, now)) newer += 1;
    if (newer === keepLast) return true;
  }
  return false;
}
