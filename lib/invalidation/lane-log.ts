import type { KeyPattern } from '../entries/pattern.js';
import type { LogRecord } from './journal.js';

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
  private readonly guards = new Map<string, readonly InvalidationGuard[]>();
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
    for (const guards of this.guards.values()) open += guards.length;
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

  admit(guard: InvalidationGuard): void {
    const { key } = guard.subject;
    const others = this.guards.get(key);
    this.guards.set(key, others === undefined ? [guard] : [...others, guard]);
  }

  close(guard: InvalidationGuard): void {
    const { key } = guard.subject;
    const left = (this.guards.get(key) ?? []).filter((other) => other !== guard);
    if (left.length > 0) this.guards.set(key, left);
    else this.guards.delete(key);
    if (this.recentPatterns.length > 0) this.forgetPatterns();
  }

  guardsOf(key: string): readonly InvalidationGuard[] {
    return this.guards.get(key) ?? [];
  }

  *allGuards(): Iterable<InvalidationGuard> {
    for (const guards of this.guards.values()) yield* guards;
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
      for (const guard of this.allGuards()) guard.invalidate(record);
      this.recentPatterns = [];
    }
    this.mergePatterns();
  }

  /** A committed pattern matters only to flights that were open when it came: they may learn their tags late. */
  private forgetPatterns(): void {
    let oldestBirth = Infinity;
    for (const guard of this.allGuards()) oldestBirth = Math.min(oldestBirth, guard.birth);
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

/** A pattern that was named, and when. */
export interface PatternRecord {
  readonly pattern: KeyPattern;
  readonly position: number;
}

/** When a key was put past its ttl, and where in the order. */
interface KeyExpiry {
  readonly position: number;
  /** Life time of the call, epoch ms. */
  readonly at: number;
}

/** What a fence needs to know of the flight it stands before. */
export interface FlightSubject {
  readonly lane: string;
  readonly key: string;
  /** The tags known when the flight opens; the computation may add others, which are judged at the landing. */
  readonly tags: readonly string[];
}

/**
 * Stands between one flight and the place where its entry would land.
 *
 * It is opened with the flight, remembers the flight's birth and what was pending then, and is told of every record
 * that comes while the flight is under way.
 */
export class InvalidationGuard {
  /** The record that shut it, if any. */
  private invalidatedBy: LogRecord | undefined;
  private expiry: number | undefined;
  private left = false;
  private overtaken = false;

  constructor(
    readonly subject: FlightSubject,
    /** Counts up with every flight of the app; orders flights of one birth. */
    readonly number: number,
    readonly birth: number,
    /** Position of the newest removal of the key that had not been committed when the flight opened. */
    readonly removedAt: number,
    /** The lane's patterns, pending and recent, when the flight opened. */
    readonly patterns: readonly PatternRecord[],
    /** The latest expiry of the key that was not in place below when the flight opened. */
    readonly expiring: KeyExpiry | undefined,
  ) {}

  /** Nothing this flight brings may land. */
  get isInvalidated(): boolean {
    return this.left || this.overtaken || this.invalidatedBy !== undefined;
  }

  /** Nobody waits for this flight any more. */
  get isAbandoned(): boolean {
    return this.left;
  }

  /** Callers who come now may wait for this flight: nothing it started before has been named since. */
  get isJoinable(): boolean {
    return !this.isInvalidated && this.expiry === undefined;
  }

  /** Life time at which what this flight brings is past its ttl already, if it was expired on the way. */
  get expiredAt(): number | undefined {
    return this.expiry;
  }

  invalidate(record: LogRecord): void {
    this.invalidatedBy ??= record;
  }

  /** Nobody waits for this flight any more, and its late result is not wanted. */
  abandon(): void {
    this.left = true;
  }

  /** A flight that was opened later has landed already; this one must not replace what it brought. */
  overtake(): void {
    this.overtaken = true;
  }

  expire(at: number): void {
    this.expiry ??= at;
  }
}
