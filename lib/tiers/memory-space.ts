import { LRUCache } from 'lru-cache';
import type { EntryView, LaneStrategy } from '../lanes/strategy.js';
import type { MemoryEntry } from './memory-entry.js';
import type { TierUsage } from './tier.js';

export interface MemorySpaceOptions {
  readonly lane: string;
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly strategy: LaneStrategy | undefined;
  readonly now: () => number;
  /** An entry had to go for another; not called for removals. */
  readonly evicted: (entry: MemoryEntry, reason: 'entries' | 'bytes') => void;
}

/** What an entry costs beside its value: objects, map slot, promise (measured on Node 20, rounded up). */
const OVERHEAD_BYTES = 400;
/** Up to this many entries a strategy sees all of them; beyond, the least recently used ones only. */
const STRATEGY_SEES_ALL = 10_000;
const STRATEGY_TAIL = 64;

/** The memory of one lane: exact LRU within its entries and bytes, or the lane's strategy. */
export class MemorySpace {
  private readonly entries: LRUCache<string, MemoryEntry>;
  private crowded: 'entries' | 'bytes' = 'entries';

  constructor(private readonly options: MemorySpaceOptions) {
    this.entries = new LRUCache({
      max: options.maxEntries,
      maxSize: options.maxBytes,
      dispose: (entry, _key, reason) => {
        if (reason === 'evict') options.evicted(entry, this.crowded);
      },
    });
  }

  /** The entry, which is the most recently used one from here on. */
  get(key: string): MemoryEntry | undefined {
    return this.entries.get(key);
  }

  peek(key: string): MemoryEntry | undefined {
    return this.entries.peek(key);
  }

  /** Whether it was stored: an entry larger than the whole lane is not, and leaves nothing under its key. */
  set(entry: MemoryEntry): boolean {
    const size = sizeOf(entry);
    if (size > this.options.maxBytes) {
      this.entries.delete(entry.key);
      return false;
    }
    this.crowded = this.isShortOfBytes(entry.key, size) ? 'bytes' : 'entries';
    if (this.options.strategy !== undefined) this.makeRoom(entry.key, size, this.options.strategy);
    this.entries.set(entry.key, entry, { size });
    return true;
  }

  delete(key: string): boolean {
    return this.entries.delete(key);
  }

  clear(): void {
    this.entries.clear();
  }

  usage(): TierUsage {
    return { entries: this.entries.size, sizeBytes: this.entries.calculatedSize };
  }

  /** Most recently used first. */
  values(): Iterable<MemoryEntry> {
    return this.entries.values();
  }

  private isShortOfBytes(key: string, size: number): boolean {
    const excess = this.entries.calculatedSize + size - this.options.maxBytes;
    if (excess <= 0) return false;
    const replaced = this.entries.peek(key);
    return replaced === undefined || sizeOf(replaced) < excess;
  }

  private makeRoom(key: string, size: number, strategy: LaneStrategy): void {
    const { maxEntries, maxBytes } = this.options;
    if (this.entries.has(key)) return;
    while (this.entries.size >= maxEntries || this.entries.calculatedSize + size > maxBytes) {
      const victim = this.victim(strategy);
      if (victim === undefined) return;
      this.entries.delete(victim.key);
      this.options.evicted(victim, this.crowded);
    }
  }

  /** The highest priority of those looked at; the least recently used one among equals, or if the strategy fails. */
  private victim(strategy: LaneStrategy): MemoryEntry | undefined {
    const now = this.options.now();
    const looked = this.entries.size <= STRATEGY_SEES_ALL ? this.entries.size : STRATEGY_TAIL;
    let victim: MemoryEntry | undefined;
    let highest = -Infinity;
    let seen = 0;
    for (const entry of this.entries.rvalues()) {
      if (entry === undefined || seen++ >= looked) break;
      const priority = priorityOf(strategy, this.options.lane, viewOf(entry, now));
      if (victim === undefined || priority > highest) {
        victim = entry;
        highest = priority;
      }
    }
    return victim;
  }
}

/** How an entry in memory looks to a strategy and to listings. */
export function viewOf(entry: MemoryEntry, now: number): EntryView {
  return {
    key: entry.key,
    tags: entry.tags,
    tier: 'l1',
    sizeBytes: entry.sizeBytes,
    computeMs: entry.computeMs,
    accessCount: entry.accessCount,
    ageMs: now - entry.landedAt,
    idleMs: now - entry.usedAt,
    remainingMs: Math.max(0, entry.expiresAt - now),
  };
}

function priorityOf(strategy: LaneStrategy, lane: string, view: EntryView): number {
  try {
    const priority = strategy.getEvictionPriority(lane, view);
    return Number.isNaN(priority) ? -Infinity : priority;
  } catch {
    return -Infinity;
  }
}

function sizeOf(entry: MemoryEntry): number {
  return entry.sizeBytes + entry.key.length * 2 + OVERHEAD_BYTES;
}
