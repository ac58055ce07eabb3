import type { EntryBatch } from './entry-batch.js';
import type { EntryTables } from './entry-tables.js';
import { StorageFault } from './environment.js';
import { Eviction, exceeded } from './eviction.js';
import type { LaneRules } from './lane-rules.js';
import type { LaneUsage } from './lane-usage.js';

/** Who is told of an entry that was pushed out by its lane's limits, or whose time was over. */
export type EntryGone = (lane: string, key: string, reason: 'entries' | 'bytes' | 'expired') => void;

/** Keeps lanes within their rules, batch by batch. */
export class LaneLimits {
  /** Of the batch being filled. */
  private readonly evictions = new Map<string, Eviction>();

  constructor(
    private readonly tables: EntryTables,
    private readonly usage: LaneUsage,
    private readonly gone: EntryGone,
  ) {}

  /** Another batch begins: what was read for the last one does not hold any more. */
  startBatch(): void {
    this.evictions.clear();
  }

  /** Whether a batch that brings so much may push something out. */
  mayEvict(
    lanes: ReadonlyMap<string, LaneRules>,
    batch: { readonly entries: number; readonly bytes: number },
  ): boolean {
    for (const [lane, rules] of lanes) {
      const { entries, sizeBytes } = this.usage.of(lane);
      if (entries + batch.entries > rules.maxEntries || sizeBytes + batch.bytes > rules.maxBytes) return true;
    }
    return false;
  }

  /** Evicts within the batch until the lane is within its rules, at most `limit` entries. Returns how many went. */
  enforce(batch: EntryBatch, lane: string, rules: LaneRules, limit: number): number {
    const count = this.usage.of(lane);
    if (exceeded(count, rules) === undefined) return 0;
    let eviction = this.evictions.get(lane);
    if (eviction === undefined) this.evictions.set(lane, (eviction = new Eviction(this.tables, batch, lane, rules)));
    return eviction.enforce(count, (row, reason) => this.gone(lane, row.key, reason), limit);
  }

  /** Removes at most `limit` entries that have ended, found by index. Returns how many went. */
  removeExpired(batch: EntryBatch, lane: string, limit: number): number {
    const keys = this.tables.expired(lane, batch.now, limit);
    for (const key of keys) {
      if (!batch.remove(lane, key)) throw new StorageFault('damaged', `lane '${lane}' has an expiry without its entry`);
      this.gone(lane, key, 'expired');
    }
    return keys.length;
  }
}
