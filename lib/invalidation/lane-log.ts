import type { KeyPattern } from '../entries/pattern.js';
import type { Fence } from './fence.js';
import type { LogRecord } from './journal.js';
import type { PatternRecord } from './pattern-record.js';

/** A removal that was said but has not been committed below. */
export interface PendingRemoval {
  /** The tiers below no longer hold what it named. */
  committed(): void;
}

interface PendingKey {
  readonly position: number;
  readonly count: number;
}

/** At most this many committed patterns are remembered for the flights that were open when they came. */
const RECENT_PATTERNS = 64;

/** The log as far as it concerns one lane: its open flights, its pending removals, its patterns, its last clear. */
export class LaneLog {
  clearAt = 0;
  private readonly fences = new Map<string, readonly Fence[]>();
  private readonly pendingKeys = new Map<string, PendingKey>();
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
    return this.pendingKeys.size + this.pendingPatterns.length;
  }

  pendingRemovalOf(key: string): number {
    return this.pendingKeys.get(key)?.position ?? 0;
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
    const before = this.pendingKeys.get(key)?.count ?? 0;
    this.pendingKeys.set(key, { position, count: before + 1 });
    return { committed: () => this.keyCommitted(key) };
  }

  removePattern(pattern: KeyPattern, record: LogRecord): PendingRemoval {
    const pending = { pattern, position: record.position };
    this.pendingPatterns = [...this.pendingPatterns, pending];
    this.mergePatterns();
    return { committed: () => this.patternCommitted(pending, record) };
  }

  private keyCommitted(key: string): void {
    const pending = this.pendingKeys.get(key);
    if (pending === undefined) return;
    if (pending.count > 1) this.pendingKeys.set(key, { position: pending.position, count: pending.count - 1 });
    else this.pendingKeys.delete(key);
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
