import { type Clock, nextTurn } from '../clock/clock.js';
import type { TierRow } from '../tiers/tier.js';
import type { GuardedTier } from './guarded-tier.js';
import { type EntryInfo, entryIn } from './entry-listing.js';
import { type LaneContext, look } from './lane-context.js';
import { expiryIfValid } from './tier-lookup.js';

/** A tier that can be searched: entries on a server are not listed. */
export type ListedTier = 'l1' | 'l2' | 'l3';

/** Where a search goes on: after so many entries of memory, or before this place in the order of use on disk. */
export interface SearchPosition {
  readonly tier: ListedTier;
  readonly at: number;
}

export interface EntrySearch {
  readonly matches: (key: string, tags: readonly string[]) => boolean;
  /** Only what this tier holds. Default: each key once, in the nearest tier that has it. */
  readonly tier?: ListedTier | undefined;
  readonly from?: SearchPosition | undefined;
  readonly limit: number;
}

export interface FoundEntries {
  readonly items: readonly EntryInfo[];
  /** Absent when the search has ended. */
  readonly next?: SearchPosition;
  readonly scanned: number;
}

/** By what entries stand out: the time that their hits saved, their size, or how often they were used. */
export type EntryOrder = 'saved' | 'size' | 'uses';

export const ENTRY_ORDERS: readonly EntryOrder[] = ['saved', 'size', 'uses'];

const TIERS: readonly ListedTier[] = ['l1', 'l2', 'l3'];
/** How long one call searches before it answers with what it has. */
const SEARCH_MS = 250;
/** A look at a whole lane takes at most so long. */
const LOOK_MS = 700;
const SLICE_MS = 1;
const ROWS_AT_ONCE = 64;
const TOP = 20;
const EXAMPLES = 20;

/** A page of entries that match, the most recently used first. It changes and counts nothing. */
export async function searchEntries(context: LaneContext, search: EntrySearch): Promise<FoundEntries> {
  const items: EntryInfo[] = [];
  const scan = new Scan(context, search.tier, search.from, SEARCH_MS);
  const where = search.tier === undefined ? 'nearest' : 'here';
  for await (const { tier, rows } of scan.batches()) {
    for (const [index, row] of rows.entries()) {
      if (!search.matches(row.key, row.tags) || !scan.counts(row)) continue;
      const entry = await entryIn(context, row.key, tier, where);
      if (entry !== undefined) items.push({ ...entry, accessCount: row.accessCount });
      if (items.length < search.limit) continue;
      scan.stopAfter(index);
      break;
    }
  }
  const { position: next, scanned } = scan;
  return next === undefined ? { items, scanned } : { items, next, scanned };
}

/** The entries that are first by `order`, among those used last if the lane is large. */
export async function topEntries(
  context: LaneContext,
  order: EntryOrder,
): Promise<{ readonly items: readonly EntryInfo[]; readonly scanned: number; readonly isComplete: boolean }> {
  const scan = new Scan(context, undefined, undefined, LOOK_MS);
  const best = new Map<string, { readonly row: Scanned; readonly tier: ListedTier; readonly score: number }>();
  let least = 0;
  for await (const { tier, rows } of scan.batches()) {
    for (const row of rows) {
      const score = scoreOf(row, order);
      if (score <= least || best.has(row.key) || !scan.counts(row)) continue;
      best.set(row.key, { row, tier, score });
    }
    if (best.size < TOP * 4) continue;
    for (const [key] of ranked(best).slice(TOP)) best.delete(key);
    least = Math.min(...[...best.values()].map((one) => one.score));
  }
  const items: EntryInfo[] = [];
  for (const [key, { row, tier }] of ranked(best)) {
    const entry = await entryIn(context, key, tier, 'here');
    if (entry !== undefined) items.push({ ...entry, accessCount: row.accessCount });
    if (items.length === TOP) break;
  }
  return { items, scanned: scan.scanned, isComplete: scan.position === undefined };
}

const ranked = <T extends { readonly score: number }>(
  best: ReadonlyMap<string, T>,
): readonly (readonly [string, T])[] => [...best].toSorted(([, a], [, b]) => b.score - a.score);

function scoreOf({ accessCount, computeMs, sizeBytes }: Scanned, order: EntryOrder): number {
  if (order === 'size') return sizeBytes;
  return order === 'uses' ? accessCount : accessCount * computeMs;
}

/** How many keys match, as far as they can be looked at in a moment, and some of them. */
export async function countEntries(
  context: LaneContext,
  matches: EntrySearch['matches'],
): Promise<{ readonly matches: number; readonly keys: readonly string[]; readonly isComplete: boolean }> {
  const scan = new Scan(context, undefined, undefined, LOOK_MS);
  const keys: string[] = [];
  let count = 0;
  for await (const { tier, rows } of scan.batches()) {
    for (const row of rows) {
      if (!matches(row.key, row.tags) || !scan.counts(row) || (await isAbove(context, tier, row.key))) continue;
      count++;
      if (keys.length < EXAMPLES) keys.push(row.key);
    }
  }
  return { matches: count, keys, isComplete: scan.position === undefined };
}

/** Whether a nearer tier has the key, so that it was looked at already. */
async function isAbove(context: LaneContext, tier: ListedTier, key: string): Promise<boolean> {
  if (tier === 'l1') return false;
  return (await entryIn(context, key, tier, 'nearest')) === undefined;
}

/** What is known of an entry without its value. */
type Scanned = Omit<TierRow, 'sequence'>;

/** Some rows of a tier, and where a search goes on behind each. */
interface Batch {
  readonly tier: ListedTier;
  readonly rows: readonly Scanned[];
  readonly behind: (index: number) => SearchPosition;
}

/**
 * Goes over the entries of a lane, tier by tier, the most recently used first. The event loop turns after each millisecond,
 * and the scan stops when its time is over. An entry that is used meanwhile may be met twice, or not at all.
 */
class Scan {
  scanned = 0;
  /** Where it stopped; undefined once it has ended. */
  position: SearchPosition | undefined;
  private batch: Batch | undefined;
  private readonly clock: Clock;
  private readonly until: number;
  private sliceEnd: number;

  constructor(
    private readonly context: LaneContext,
    private readonly only: ListedTier | undefined,
    private readonly from: SearchPosition | undefined,
    budgetMs: number,
  ) {
    this.clock = context.shared.clock;
    this.until = this.clock.monotonic() + budgetMs;
    this.sliceEnd = this.clock.monotonic() + SLICE_MS;
  }

  /** Ends the scan behind this row of the batch that was handed out last. */
  stopAfter(index: number): void {
    this.position = this.batch?.behind(index);
  }

  /** Whether the entry could be served. */
  counts(row: Scanned): boolean {
    look(this.context);
    const expiresAt = expiryIfValid(this.context, row);
    return expiresAt !== undefined && this.context.shared.life.now() < expiresAt;
  }

  async *batches(): AsyncGenerator<Batch> {
    const tiers = this.only === undefined ? TIERS : [this.only];
    const first = this.from === undefined ? 0 : Math.max(0, tiers.indexOf(this.from.tier));
    for (const tier of tiers.slice(first)) {
      const at = this.from?.tier === tier ? this.from.at : undefined;
      for await (const batch of tier === 'l1' ? this.inMemory(at ?? 0) : this.onDisk(tier, at ?? Infinity)) {
        this.batch = batch;
        yield batch;
        this.scanned += batch.rows.length;
        if (this.position !== undefined) return;
        if (this.clock.monotonic() < this.until) continue;
        this.position = batch.behind(batch.rows.length - 1);
        return;
      }
    }
  }

  private async *inMemory(skipped: number): AsyncGenerator<Batch> {
    let rows: Scanned[] = [];
    let index = 0;
    const batchOf = (end: number): Batch => {
      const start = end - rows.length;
      return { tier: 'l1', rows, behind: (at) => ({ tier: 'l1', at: start + at + 1 }) };
    };
    for (const entry of this.context.memory.values()) {
      index++;
      if (index > skipped) rows.push(entry);
      if (index % ROWS_AT_ONCE > 0) continue;
      if (rows.length > 0) yield batchOf(index);
      rows = [];
      await this.turn();
    }
    if (rows.length > 0) yield batchOf(index);
  }

  private async *onDisk(name: ListedTier, before: number): AsyncGenerator<Batch> {
    const tier = this.context.shared.below.find((one) => one.name === name);
    if (tier === undefined) return;
    for (let at = before; ; await this.turn()) {
      const rows = rowsOf(tier, this.context.lane, at);
      const last = rows.at(-1);
      if (last === undefined) return;
      at = last.sequence;
      yield { tier: name, rows, behind: (index) => ({ tier: name, at: rows[index]?.sequence ?? at }) };
    }
  }

  private async turn(): Promise<void> {
    if (this.clock.monotonic() < this.sliceEnd) return;
    await nextTurn();
    this.sliceEnd = this.clock.monotonic() + SLICE_MS;
  }
}

const rowsOf = (tier: GuardedTier, lane: string, before: number): readonly TierRow[] =>
  tier.rows(lane, before, ROWS_AT_ONCE) ?? [];
