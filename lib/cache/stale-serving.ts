import { LRUCache } from 'lru-cache';
import type { Flight } from './flight.js';
import type { LaneSpace } from './lane-space.js';
import type { StaleCopy } from './stale-copy.js';
import type { Waiter } from './waiter.js';

export interface StaleCause {
  readonly cause: 'compute-failed' | 'soft-timeout';
  readonly error?: unknown;
}

/** Keys whose source failed lately are remembered up to this many; a forgotten one is merely asked again. */
const REMEMBERED_FAILURES = 10_000;

/** Serves copies past their ttl, and leaves alone for a while a source that failed while there was one to serve. */
export class StaleServing {
  /** key -> life time until which the source is not asked again */
  private readonly backOff = new LRUCache<string, number>({ max: REMEMBERED_FAILURES });

  constructor(private readonly space: LaneSpace) {}

  /** Gives the waiter the flight's stale copy, if at this moment it counts and is inside the grace that both accept. */
  serve(flight: Flight, waiter: Waiter, cause: StaleCause): boolean {
    const { stale } = flight;
    if (stale === undefined || !this.isServable(flight, stale, waiter.terms.acceptedGraceMs)) return false;
    const { recorder, parts, lane } = this.space;
    recorder.staleServed();
    if (parts.events.wants('stale')) parts.events.emit('stale', { lane, key: flight.key, ...cause });
    waiter.give(stale.payload);
    return true;
  }

  isBackingOff(flight: Flight): boolean {
    if (flight.stale === undefined) return false;
    const until = this.backOff.get(flight.key);
    return until !== undefined && this.space.parts.life.now() < until;
  }

  failed(flight: Flight): void {
    const { key, terms, stale, purpose } = flight;
    const now = this.space.parts.life.now();
    if (purpose === 'renewal') this.space.memory.peek(key)?.refreshFrom(now + terms.graceBackoffMs);
    if (stale !== undefined && terms.graceBackoffMs > 0) this.backOff.set(key, now + terms.graceBackoffMs);
  }

  recovered(key: string): void {
    this.backOff.delete(key);
  }

  private isServable(flight: Flight, stale: StaleCopy, acceptedGraceMs: number): boolean {
    const { parts, lane } = this.space;
    const candidate = { ...stale, lane };
    if (!parts.log.counts(candidate, flight.fence)) return false;
    const expiresAt = Math.min(stale.expiresAt, parts.log.expiredAt(candidate, flight.fence) ?? Infinity);
    const grace = Math.min(stale.staleUntil - stale.expiresAt, acceptedGraceMs);
    return parts.life.now() < expiresAt + grace;
  }
}
