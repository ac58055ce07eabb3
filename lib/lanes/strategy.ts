import type { TierName } from '../entries/tier-name.js';

/** An entry as a strategy sees it. */
export interface EntryView {
  readonly key: string;
  readonly tags: readonly string[];
  readonly tier: TierName;
  readonly sizeBytes: number;
  readonly computeMs: number;
  readonly accessCount: number;
  readonly ageMs: number;
  /** Time since the last read. */
  readonly idleMs: number;
  readonly remainingMs: number;
}

/** A computed value about to be stored. */
export interface CacheCandidate {
  readonly lane: string;
  readonly key: string;
  readonly value: unknown;
  readonly tags: readonly string[];
  readonly sizeBytes: number;
  readonly computeMs: number;
}

/** Decides what a lane stores, and what it evicts first. */
export interface LaneStrategy {
  /** false = the value is not stored, counted as refused for 'strategy'. Throwing means true, plus one event. */
  shouldCache(candidate: CacheCandidate): boolean;
  /**
   * The highest priority is evicted first. In memory the choice is exact up to 10,000 entries, and above that among the
   * 64 least recently used; on disk it orders each slice of the sweep. Throwing or NaN means LRU.
   */
  getEvictionPriority(lane: string, entry: EntryView): number;
}

/**
 * The strategy to subclass. It stores everything storable, and evicts first what costs most for what it saves.
 *
 *     burden = (1 + idle seconds) x (1 + size in KB)            the cost of keeping it: space, while unused
 *     worth  = (1 + accesses) x (1 + compute time / 100 ms)     what it has saved, and what computing it again takes
 *     priority = burden / (burden + worth)
 *
 * The priority is a ratio, because each quantity spans orders of magnitude: twice the size is balanced by twice the
 * use, whatever their absolute numbers. It lies within [0, 1], so a subclass that adds or subtracts 100 for a tag
 * always decides.
 *
 * @example
 * ```ts
 * class KeepImportant extends LaneAwareCacheStrategy {
 *   override getEvictionPriority(lane: string, entry: EntryView): number {
 *     const priority = super.getEvictionPriority(lane, entry);
 *     return entry.tags.includes('important') ? priority - 100 : priority;
 *   }
 * }
 * ```
 */
export class LaneAwareCacheStrategy implements LaneStrategy {
  shouldCache(_candidate: CacheCandidate): boolean {
    return true;
  }

  getEvictionPriority(_lane: string, entry: EntryView): number {
    const burden = (1 + amount(entry.idleMs / 1_000)) * (1 + amount(entry.sizeBytes / 1_024));
    const worth = (1 + amount(entry.accessCount)) * (1 + amount(entry.computeMs / 100));
    return burden / (burden + worth);
  }
}

const amount = (value: number): number => (value > 0 ? Math.min(value, Number.MAX_SAFE_INTEGER) : 0);
