import type { KeyPattern } from '../entries/pattern.js';
import type { Fence } from './fence.js';
import type { LogRecord } from './journal.js';
import type { KeyExpiry } from './key-expiry.js';
import type { PatternRecord } from './pattern-record.js';

/** A removal that was said but has not been committed below. */
export interface PendingRemoval {
  /** The tiers below no longer hold what it named. */
  committed(): void;
}

interface Pending<T> {
  readonly latest: T;
  readonly count: number;
}

/** At most this many committed patterns are remembered for the flights that were open when they came. */
const RECENT_PATTERNS = 64;

/** The log as far as it concerns one lane: its open flights, its pending removals, its patterns, its last clear. */
export class LaneLog {
  clearAt = 0;
  private readonly fences = new Map<string, readonly Fence[]>();
  private readonly pendingKeys = new Map<string, Pending<number>>();
  private readonly pendingExpiries = new Map<string, Pending<KeyExpiry>>();
  private pendingPatterns: readonly PatternRecord[] = [];
  private recentPatterns: readonly PatternRecord[] = [];

  /** Pending and recent, as one immutable list, so that a fence can keep it as a snapshot. */
  private livePatterns: readonly PatternRecord[] = [];

  get patterns(): readonly PatternRecord[] {
    return this.livePatterns;
  }

  get openFlights(): number {
    let open = 0;
    for (const fences of this.fences.values()) open += fences.length;
    return open;
  }

  get pendingRemovals(): number {
    return this.pendingKeys.size + this.pendingExpiries.size + this.pendingPatterns.length;
  }

  pendingRemovalOf(key: string): number {
    return this.pendingKeys.get(key)?.latest ?? 0;
  }

  /** The latest expiry of the key that the tiers below do not know yet. */
  pendingExpiryOf(key: string): KeyExpiry | undefined {
    return this.pendingExpiries.get(key)?.latest;
  }

  admit(fence: Fence): void {
    const { key } = fence.subject;
    const others = this.fences.get(key);
    this.fences.set(key, others === undefined ? [fence] : [...others, fence]);
  }

  dismiss(fence: Fence): void {
    const { key } = fence.subject;
    const left = (this.fences.get(key) ?? []).filter((other) => other !== fence);
    if (left.length > 0) this.fences.set(key, left);
    else this.fences.delete(key);
    if (this.recentPatterns.length > 0) this.forgetPatterns();
  }

  fencesOf(key: string): readonly Fence[] {
    return this.fences.get(key) ?? [];
  }

  *allFences(): Iterable<Fence> {
    for (const fences of this.fences.values()) yield* fences;
  }

  removeKey(key: string, position: number): PendingRemoval {
    return keepPending(this.pendingKeys, key, position);
  }

  expireKey(key: string, expiry: KeyExpiry): PendingRemoval {
    return keepPending(this.pendingExpiries, key, expiry);
  }

  removePattern(pattern: KeyPattern, record: LogRecord): PendingRemoval {
    const pending = { pattern, position: record.position };
    this.pendingPatterns = [...this.pendingPatterns, pending];
    this.mergePatterns();
    return { committed: () => this.patternCommitted(pending, record) };
  }

  private patternCommitted(pending: PatternRecord, record: LogRecord): void {
    this.pendingPatterns = this.pendingPatterns.filter((other) => other !== pending);
    this.recentPatterns = [...this.recentPatterns, pending];
    this.forgetPatterns();
    if (this.recentPatterns.length > RECENT_PATTERNS) {
      for (const fence of this.allFences()) fence.shut(record);
      this.recentPatterns = [];
    }
    this.mergePatterns();
  }

  /** A committed pattern matters only to flights that were open when it came: they may learn their tags late. */
  private forgetPatterns(): void {
    let oldestBirth = Infinity;
    for (const fence of this.allFences()) oldestBirth = Math.min(oldestBirth, fence.birth);
    const still = this.recentPatterns.filter((recent) => recent.position > oldestBirth);
    if (still.length === this.recentPatterns.length) return;
    this.recentPatterns = still;
    this.mergePatterns();
  }

  private mergePatterns(): void {
    this.livePatterns = [...this.pendingPatterns, ...this.recentPatterns];
  }
}

/** The latest of a key stands until all that were said of it have been committed. */
function keepPending<T>(pending: Map<string, Pending<T>>, key: string, latest: T): PendingRemoval {
  pending.set(key, { latest, count: (pending.get(key)?.count ?? 0) + 1 });
  return {
    committed: () => {
      const now = pending.get(key);
      if (now !== undefined && now.count > 1) pending.set(key, { latest: now.latest, count: now.count - 1 });
      else pending.delete(key);
    },
  };
}
