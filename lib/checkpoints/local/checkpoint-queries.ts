import { nextTurn } from '../../clock/clock.js';
import type { TableKey, RangeOptions } from '../../storage/environment.js';
import type { CheckpointRows } from './checkpoint-rows.js';
import {
  hasExpired,
  type CheckpointRecord,
  type CheckpointUsage,
  type CleanupPosition,
  type CleanupRule,
  type CleanupSlice,
  type ListPosition,
  type ListQuery,
  type ListSlice,
  type UsageCounts,
} from '../checkpoint-store.js';
import {
  END_OF_TIME,
  EVERYTHING,
  laneScope,
  numbersOf,
  pointerRow,
  ranges,
  scopeOf,
  type Pointer,
  type Scope,
  type FaultReportingTable,
} from './checkpoint-tables.js';
import type { CheckpointWriter } from './checkpoint-writer.js';
import type { WorkSlice } from './group-commit.js';

/** Rows that are read in one turn of the event loop. */
const SLICE = 100;

const positionOf = (key: TableKey): ListPosition => {
  const [first = 0, second] = numbersOf(key);
  return second === undefined ? { sequence: first } : { time: first, sequence: second };
};

/** A page, newest first. Reads one index row and one record per item, however many versions exist. */
export async function list(rows: CheckpointRows, query: ListQuery): Promise<ListSlice> {
  const { after, since, until, limit } = query;
  const scope = scopeOf(query);
  const byTime = since !== undefined || until !== undefined;
  const to = after?.time !== undefined ? ([after.time, after.sequence] as const) : upTo(until);
  const index = byTime ? rows.tables.ages : rows.tables.order;
  const range = byTime ? ranges.timesDown(scope, since, to) : ranges.orderDown(scope, after?.sequence);
  const found = [...index.range({ ...range, limit: limit + 1 })];
  const records: CheckpointRecord[] = [];
  for (let from = 0; from < Math.min(limit, found.length); from += SLICE) {
    if (from > 0) await nextTurn();
    const slice = found.slice(from, Math.min(from + SLICE, limit));
    records.push(...slice.flatMap(({ value }) => pointedAt(rows, value) ?? []));
  }
  const last = found.length > limit ? found[limit - 1] : undefined;
  return last === undefined ? { records } : { records, next: positionOf(last.key) };
}

const upTo = (until: number | undefined): readonly [time: number, sequence: number] =>
  until === undefined ? END_OF_TIME : [until, END_OF_TIME[1]];

/** The record an index row points to, if it is readable. */
function pointedAt(rows: CheckpointRows, value: Uint8Array): CheckpointRecord | undefined {
  const pointer = pointerRow.open(value);
  return pointer === undefined ? undefined : rows.record(...pointer);
}

/** The stored counts, less the ids of which no version can be restored. */
export async function usage(rows: CheckpointRows, now: number): Promise<CheckpointUsage> {
  const lost = await deadIds(rows, now);
  const lanes: Record<string, UsageCounts> = {};
  const prefix = laneScope('');
  for (const key of rows.tables.usage.keys({ start: prefix, end: `${prefix}\u{10ffff}` })) {
    const lane = String(key).slice(prefix.length);
    lanes[lane] = counts(rows, String(key), lost.byLane.get(lane) ?? 0);
  }
  return { total: counts(rows, EVERYTHING, lost.total), lanes };
}

function counts(rows: CheckpointRows, scope: Scope, lost: number): UsageCounts {
  const { ids, versions, bytes } = rows.usage(scope);
  const oldest = edge(rows, scope, 'oldest');
  const newest = edge(rows, scope, 'newest');
  const times = oldest === undefined || newest === undefined ? {} : { oldest, newest };
  return { ids: Math.max(0, ids - lost), versions, bytes, ...times };
}

function edge(rows: CheckpointRows, scope: Scope, which: 'oldest' | 'newest'): number | undefined {
  const range =
    which === 'oldest'
      ? ranges.timesUp(scope, undefined, END_OF_TIME[0])
      : ranges.timesDown(scope, undefined, END_OF_TIME);
  for (const key of rows.tables.ages.keys({ ...range, limit: 1 })) return positionOf(key).time;
  return undefined;
}

interface DeadIds {
  readonly total: number;
  readonly byLane: ReadonlyMap<string, number>;
}

/** Ids whose versions are all expired or damaged. Reads only such versions, in slices. */
async function deadIds(rows: CheckpointRows, now: number): Promise<DeadIds> {
  const dead = new Map<string, Map<string, Set<number>>>();
  const { expiries, damaged } = rows.tables;
  await eachPointer(expiries, ranges.timesUp(EVERYTHING, undefined, now), note);
  await eachPointer(damaged, {}, note);
  let total = 0;
  const byLane = new Map<string, number>();
  for (const [idKey, lanes] of dead) {
    const all = rows.head(idKey).lanes;
    for (const [lane, versions] of lanes) {
      if (versions.size === all[lane]) byLane.set(lane, (byLane.get(lane) ?? 0) + 1);
    }
    const isAlive = Object.entries(all).some(([lane, count]) => (lanes.get(lane)?.size ?? 0) < count);
    if (!isAlive) total += 1;
  }
  return { total, byLane };

  function note([idKey, version]: Pointer): void {
    const lane = rows.record(idKey, version)?.lane;
    if (lane === undefined) return;
    const lanes = dead.get(idKey) ?? new Map<string, Set<number>>();
    dead.set(idKey, lanes.set(lane, (lanes.get(lane) ?? new Set()).add(version)));
  }
}

async function eachPointer(
  table: FaultReportingTable,
  range: { readonly start?: TableKey; readonly end?: TableKey },
  visit: (pointer: Pointer) => void,
): Promise<void> {
  let start = range.start;
  for (;;) {
    const slice = [...table.range({ ...range, ...(start !== undefined && { start }), limit: SLICE })];
    for (const { value } of slice) {
      const pointer = pointerRow.open(value);
      if (pointer !== undefined) visit(pointer);
    }
    const last = slice.at(-1);
    if (last === undefined || slice.length < SLICE) return;
    // Sorts right after the last key: an array is less than a longer one that starts with it.
    start = typeof last.key === 'object' ? [...last.key, 0] : [last.key, 0];
    await nextTurn();
  }
}

/** The most versions that one slice examines. */
const CLEANING_SLICE = 64;

/** What a cleanup does to the versions that are due. */
interface Removal {
  remove(idKey: string, version: number): void;
  /** Removes an index row that points to no version. */
  forget(index: FaultReportingTable, key: TableKey): void;
}

export const NO_REMOVAL: Removal = { remove: () => undefined, forget: () => undefined };

export const removalBy = (writer: CheckpointWriter): Removal => ({
  remove: (idKey, version) => void writer.remove(idKey, version),
  forget: (index, key) => writer.dropIndexRow(index, key),
});

/**
 * The next slice of a cleanup: first the expired versions, then the old ones, oldest first. It follows the indexes of
 * time, so that versions that are not due are never read. Ends early when `work` is spent.
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
  let examined = 0;
  for (const { key, value } of found) {
    if (examined > 0 && work.isSpent) break;
    examined += 1;
    const pointer = pointerRow.open(value);
    const record = pointer && rows.record(...pointer);
    if (pointer === undefined || record === undefined) {
      // An unreadable version may be pinned.
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
  const isCut = examined < found.length || examined === CLEANING_SLICE;
  const next = nextPosition(from, isCut ? found[examined - 1]?.key : undefined, rule);
  return { removed, newestOfId, pinnedKept, ...(next !== undefined && { next }) };
}

function rangeOf(
  { tables }: CheckpointRows,
  rule: CleanupRule,
  { phase, after }: CleanupPosition,
): { readonly index: FaultReportingTable; readonly range: RangeOptions } {
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

/** Expired versions belong to the first phase. The second does not count them again. */
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
