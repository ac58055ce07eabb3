import { nextTurn } from '../../clock/clock.js';
import type { RangeOptions, TableKey, TableRow } from '../../storage/environment.js';
import type { CheckpointRows } from './checkpoint-rows.js';
import { hasExpired, verdictOf } from '../retention.js';
import type {
  CheckpointRecord,
  CheckpointUsage,
  DueVersion,
  CleanupPosition,
  CleanupRule,
  CleanupSlice,
  ListPosition,
  ListQuery,
  ListSlice,
  UsageCounts,
} from '../checkpoint-store.js';
import {
  END_OF_TIME,
  EVERYTHING,
  labelScope,
  laneScope,
  numbersOf,
  pointerRow,
  ranges,
  scopeOf,
  versionsIn,
  type Pointer,
  type Scope,
  type FaultReportingTable,
} from './checkpoint-tables.js';
import type { CheckpointWriter, WorkSlice } from './checkpoint-writer.js';

/** Rows that are read in one turn of the event loop. */
const SLICE = 100;
/** Fewer where each is looked for in other indexes too: what follows is often skipped. */
const JOINED_SLICE = 16;

const positionOf = (key: TableKey): ListPosition => {
  const [first = 0, second] = numbersOf(key);
  return second === undefined ? { sequence: first } : { time: first, sequence: second };
};

/**
 * A page, newest first. Reads one index row and one record per item, however many versions exist. With labels of the
 * metadata it reads the index rows of each, and skips in one those that another cannot have.
 */
export async function list(rows: CheckpointRows, query: ListQuery): Promise<ListSlice> {
  const { limit, labels = [] } = query;
  const [scope = EVERYTHING, ...others] = scopesWanted(query, labels);
  const walk = walkOf(rows, query);
  const records: CheckpointRecord[] = [];
  let last: TableKey | undefined;
  let from: TableKey | undefined;
  for (;;) {
    const asked = others.length === 0 ? Math.min(limit + 1 - records.length, SLICE) : JOINED_SLICE;
    const found = [...walk.range(scope, from, asked)];
    let hasJumped = false;
    for (const { key, value } of found) {
      from = key;
      const behind = others.length === 0 ? key : walk.behind(others, key);
      if (behind === undefined) return { records };
      if (behind !== key) {
        // No version between the two has all labels.
        from = walk.before(behind);
        hasJumped = true;
        break;
      }
      if (labels.length === 0 && records.length === limit && last !== undefined)
        return { records, next: positionOf(last) };
      const record = pointedAt(rows, value);
      if (
        record === undefined ||
        rows.isInvalidated(record) ||
        !labels.every((label) => record.labels?.includes(label) === true)
      )
        continue;
      if (records.length === limit && last !== undefined) return { records, next: positionOf(last) };
      records.push(record);
      last = key;
    }
    if (found.length < asked && !hasJumped) return { records };
    await nextTurn();
  }
}

/** The scopes that a version must belong to. */
function scopesWanted(query: ListQuery, labels: readonly string[]): readonly Scope[] {
  const scopes = labels.map((label) => labelScope(label));
  const isNarrow = query.lane !== undefined || query.workflow !== undefined;
  return isNarrow || scopes.length === 0 ? [scopeOf(query), ...scopes] : scopes;
}

/** One way through the index rows of scopes, newest first: in the order of saving, or by time. */
interface Walk {
  /** The rows of a scope behind `from`. */
  range(scope: Scope, from: TableKey | undefined, limit: number): Iterable<TableRow>;
  /** The first position, at `key` or behind it, that no other scope excludes; `key` itself if all have it. */
  behind(others: readonly Scope[], key: TableKey): TableKey | undefined;
  /** The position right before `key`, from which a range begins with it. */
  before(key: TableKey): TableKey;
}

function walkOf(rows: CheckpointRows, { since, until, after }: ListQuery): Walk {
  const byTime = since !== undefined || until !== undefined;
  const index = byTime ? rows.tables.ages : rows.tables.order;
  const start = after?.time !== undefined ? ([after.time, after.sequence] as const) : upTo(until);
  const boundsOf = (scope: Scope, from: TableKey | undefined): RangeOptions => {
    const numbers = from === undefined ? undefined : numbersOf(from);
    if (!byTime) return ranges.orderDown(scope, numbers?.[0] ?? after?.sequence);
    const [time = start[0], sequence = start[1]] = numbers ?? [];
    return ranges.timesDown(scope, since, [time, sequence]);
  };
  const before = (key: TableKey): TableKey => {
    const numbers = [...numbersOf(key)];
    return ['', ...numbers.slice(0, -1), (numbers.at(-1) ?? 0) + 1];
  };
  const firstFrom = (scope: Scope, key: TableKey): TableKey | undefined => {
    for (const first of index.keys({ ...boundsOf(scope, before(key)), limit: 1 })) return first;
    return undefined;
  };
  return {
    range: (scope, from, limit) => index.range({ ...boundsOf(scope, from), limit }),
    before,
    behind: (others, key) => {
      for (const scope of others) {
        const first = firstFrom(scope, key);
        if (first === undefined) return undefined;
        if (!isSamePosition(first, key)) return first;
      }
      return key;
    },
  };
}

const isSamePosition = (one: TableKey, other: TableKey): boolean => String(numbersOf(one)) === String(numbersOf(other));

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
  const prefix = laneScope('');
  const lanes = [...rows.tables.usage.keys({ start: prefix, end: `${prefix}\u{10ffff}` })].map((key) => {
    const lane = String(key).slice(prefix.length);
    return [lane, counts(rows, String(key), lost.byLane.get(lane) ?? 0)] as const;
  });
  return { total: counts(rows, EVERYTHING, lost.total), lanes: Object.fromEntries(lanes) };
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
    const head = rows.head(idKey);
    for (const [lane, versions] of lanes) {
      if (versions.size === versionsIn(head, lane)) byLane.set(lane, (byLane.get(lane) ?? 0) + 1);
    }
    const isAlive = Object.entries(head.lanes).some(([lane, count]) => (lanes.get(lane)?.size ?? 0) < count);
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

/** What a cleanup reads, and how it removes what is due. */
export type Remover = Pick<CheckpointWriter, 'rows' | 'remove' | 'removeIndexRow'>;

/** For a dry run. */
export const removesNothing = (rows: CheckpointRows): Remover => ({
  rows,
  remove: () => undefined,
  removeIndexRow: () => undefined,
});

/**
 * The next slice of a cleanup: first the expired versions, then the old ones, oldest first. It follows the indexes of
 * time, so that versions that are not due are never read. Ends early when `work` is spent.
 */
export function cleanSlice(remover: Remover, rule: CleanupRule, from: CleanupPosition, work: WorkSlice): CleanupSlice {
  const { rows } = remover;
  const { index, range } = rangeOf(rows, rule, from);
  const found = [...index.range({ ...range, limit: CLEANING_SLICE })];
  const removed: DueVersion[] = [];
  let pinnedKept = 0;
  let examined = 0;
  for (const { key, value } of found) {
    if (examined > 0 && work.isSpent) break;
    examined += 1;
    const pointer = pointerRow.open(value);
    const record = pointer && rows.record(...pointer);
    if (pointer === undefined || record === undefined) {
      // An unreadable version may be pinned.
      if (pointer === undefined || !rows.has(...pointer)) remover.removeIndexRow(index, key);
      continue;
    }
    // The first phase has removed what expired.
    if (from.phase === 'old' && hasExpired(record, rule.now)) continue;
    const verdict = verdictOf(record, rule, rows.neighboursOf(pointer[0], record, rule.now));
    if ('keep' in verdict) {
      if (verdict.keep === 'pinned') pinnedKept += 1;
      continue;
    }
    const isNewest = rows.head(pointer[0]).newest === pointer[1];
    remover.remove(...pointer);
    removed.push({ record, reason: verdict.remove, isNewest });
  }
  const isCut = examined < found.length || examined === CLEANING_SLICE;
  const next = nextPosition(from, isCut ? found[examined - 1]?.key : undefined, rule);
  return { removed, pinnedKept, ...(next !== undefined && { next }) };
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
