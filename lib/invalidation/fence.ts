import type { LogRecord } from './journal.js';
import type { KeyExpiry } from './key-expiry.js';
import type { PatternRecord } from './pattern-record.js';

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
export class Fence {
  /** The record that shut it, if any. */
  private shutBy: LogRecord | undefined;
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
  get isShut(): boolean {
    return this.left || this.overtaken || this.shutBy !== undefined;
  }

  /** Nobody waits for this flight any more. */
  get isAbandoned(): boolean {
    return this.left;
  }

  /** Callers who come now may wait for this flight: nothing it started before has been named since. */
  get isJoinable(): boolean {
    return !this.isShut && this.expiry === undefined;
  }

  /** Life time at which what this flight brings is past its ttl already, if it was expired on the way. */
  get expiredAt(): number | undefined {
    return this.expiry;
  }

  shut(record: LogRecord): void {
    this.shutBy ??= record;
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
