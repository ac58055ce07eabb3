import type { KeyPattern } from '../entries/pattern.js';

/** A removal that has not been committed in the tiers below. */
export interface PendingRemoval {
  /** The tiers below no longer hold what it named. */
  committed(): void;
}

interface Pending<T> {
  readonly latest: T;
  readonly count: number;
}

/** So many committed patterns are remembered for the flights that were open when they came. */
const RECENT_PATTERNS = 64;

const NO_GUARDS: readonly InvalidationGuard[] = Object.freeze([]);

/** The log of one lane: its open flights, pending removals, patterns and last clear. */
export class LaneLog {
  clearAt = 0;
  /** The open guards by key. */
  readonly guards = new Map<string, readonly InvalidationGuard[]>();
  private readonly pendingKeys = new Map<string, Pending<number>>();
  private readonly pendingExpiries = new Map<string, Pending<KeyExpiry>>();
  private pendingPatterns: readonly PatternRecord[] = [];
  private recentPatterns: readonly PatternRecord[] = [];

  /** Pending and recent patterns as one immutable list. A guard keeps it as a snapshot. */
  patterns: readonly PatternRecord[] = [];

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

  /** Opens a guard, which collects every record about its flight until `close`. */
  open(subject: FlightSubject, number: number, birth: number): InvalidationGuard {
    const { key } = subject;
    const removedAt = this.pendingRemovalOf(key);
    const guard = new InvalidationGuard(subject, number, birth, removedAt, this.patterns, this.pendingExpiryOf(key));
    const others = this.guards.get(key);
    this.guards.set(key, others === undefined ? [guard] : [...others, guard]);
    return guard;
  }

  close(guard: InvalidationGuard): void {
    const { key } = guard.subject;
    const open = this.guards.get(key) ?? NO_GUARDS;
    const left = open.length > 1 ? open.filter((other) => other !== guard) : open;
    if (left !== open) this.guards.set(key, left);
    else if (open[0] === guard) this.guards.delete(key);
    if (this.recentPatterns.length > 0) this.forgetPatterns();
  }

  guardsOf(key: string): readonly InvalidationGuard[] {
    return this.guards.get(key) ?? NO_GUARDS;
  }

  removeKey(key: string, position: number): PendingRemoval {
    return keepPending(this.pendingKeys, key, Math.max(position, this.pendingRemovalOf(key)));
  }

  expireKey(key: string, expiry: KeyExpiry): PendingRemoval {
    return keepPending(this.pendingExpiries, key, expiry);
  }

  removePattern(pattern: KeyPattern, position: number): PendingRemoval {
    const pending = { pattern, position };
    this.pendingPatterns = [...this.pendingPatterns, pending];
    this.mergePatterns();
    return { committed: () => this.patternCommitted(pending) };
  }

  private patternCommitted(pending: PatternRecord): void {
    this.pendingPatterns = this.pendingPatterns.filter((other) => other !== pending);
    this.recentPatterns = [...this.recentPatterns, pending];
    this.forgetPatterns();
    if (this.recentPatterns.length > RECENT_PATTERNS) {
      for (const guards of this.guards.values()) for (const guard of guards) guard.invalidate();
      this.recentPatterns = [];
    }
    this.mergePatterns();
  }

  /** A committed pattern matters only to flights that were open when it came, because they may add tags late. */
  private forgetPatterns(): void {
    let oldestBirth = Infinity;
    for (const guards of this.guards.values())
      for (const guard of guards) oldestBirth = Math.min(oldestBirth, guard.birth);
    const still = this.recentPatterns.filter((recent) => recent.position > oldestBirth);
    if (still.length === this.recentPatterns.length) return;
    this.recentPatterns = still;
    this.mergePatterns();
  }

  private mergePatterns(): void {
    this.patterns = [...this.pendingPatterns, ...this.recentPatterns];
  }
}

/** The latest record of a key stays pending until all records of the key are committed. */
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

/** A pattern that was invalidated, and at which position. */
export interface PatternRecord {
  readonly pattern: KeyPattern;
  readonly position: number;
}

/** When a key was expired, and at which position. */
interface KeyExpiry {
  readonly position: number;
  /** Epoch ms. */
  readonly at: number;
}

/** The flight that a guard belongs to. */
export interface FlightSubject {
  readonly lane: string;
  readonly key: string;
  /** The tags known when the flight opens. The computation may add others, which are judged when its result is stored. */
  readonly tags: readonly string[];
}

/**
 * Collects what happens to the subject of one flight while the flight runs, and so decides whether its result may be
 * stored. It is opened with the flight, and keeps the flight's birth and what was pending then.
 */
export class InvalidationGuard {
  /** The result of this flight must not be stored. */
  isInvalidated = false;
  /** Nothing of the key is left that is older than the flight: it was removed, or a newer value was stored. */
  isSuperseded = false;
  /** A value that is older than the flight was stored while the flight ran. */
  hasOlder = false;
  /** When the result is past its ttl, if it was expired while it was computed. */
  expiredAt: number | undefined;

  constructor(
    readonly subject: FlightSubject,
    /** Grows with every flight of the app, and so orders flights of one birth. */
    readonly number: number,
    readonly birth: number,
    /** What is older than this position has been removed. The removal may not have been committed when the flight opened. */
    public removedAt: number,
    /** The lane's patterns, pending and recent, when the flight opened. */
    readonly patterns: readonly PatternRecord[],
    /** The latest expiry of the key that was not in place below when the flight opened. */
    readonly expiring: KeyExpiry | undefined,
  ) {}

  /** Callers who come now may wait for this flight: nothing has been invalidated or expired since it started. */
  get isJoinable(): boolean {
    return !this.isInvalidated && this.expiredAt === undefined;
  }

  /** A newer value was stored, or a record removed the key. */
  supersede(): void {
    this.isInvalidated = true;
    this.isSuperseded = true;
  }

  /** What is older than `position` was removed, which the flight is not. A look-up that has begun may still find it. */
  removedBefore(position: number): void {
    this.removedAt = Math.max(this.removedAt, position);
  }

  /** A record named the flight. What is older may be left, because it may carry other tags. */
  invalidate(): void {
    this.isInvalidated = true;
  }

  expire(at: number): void {
    this.expiredAt ??= at;
  }
}

/**
 * What was invalidated since a moment, in one lane. A bulk call that does its work in slices begins with one: an entry that
 * was handed in before an invalidation, and whose turn comes after it, is not stored.
 */
export class InvalidationsSince {
  private readonly keys = new Set<string>();
  private readonly tags = new Set<string>();
  private readonly patterns: KeyPattern[] = [];
  private everything = false;

  constructor(readonly lane: string) {}

  names(key: string, tags: readonly string[]): boolean {
    return (
      this.everything ||
      this.keys.has(key) ||
      tags.some((tag) => this.tags.has(tag)) ||
      this.patterns.some((pattern) => pattern.matchesEntry(key, tags))
    );
  }

  key(key: string): void {
    this.keys.add(key);
  }

  tag(tag: string): void {
    this.tags.add(tag);
  }

  pattern(pattern: KeyPattern): void {
    this.patterns.push(pattern);
  }

  all(): void {
    this.everything = true;
  }
}
