import { LRUCache } from 'lru-cache';
import type { Flight, Waiter } from './flight.js';
import type { LaneSpace } from './lane-context.js';
import { staleInMemory, type StaleCopy } from './tier-lookup.js';

export interface StaleCause {
  readonly cause: 'compute-failed' | 'soft-timeout';
  readonly error?: unknown;
}

/** Keys whose source failed lately are remembered up to this many; a forgotten one is merely asked again. */
const REMEMBERED_FAILURES = 10_000;

/** Serves copies past their ttl, and leaves alone for a while a source that failed while there was one to serve. */
export class StaleServing {
  /** key -> life time until which the source is not asked again. Made with the first failure: it takes its room at once. */
  private backOff: LRUCache<string, number> | undefined;

  constructor(private readonly space: LaneSpace) {}

  /** Gives the waiter the flight's stale copy, if at this moment it counts and is inside the grace that both accept. */
  serve(flight: Flight, waiter: Waiter, cause: StaleCause): boolean {
    const stale = this.copyOf(flight);
    if (stale === undefined || !this.isServable(flight, stale, waiter.terms.acceptedGraceMs, cause)) return false;
    const { recorder, parts, lane } = this.space;
    recorder.staleServed();
    if (parts.events.wants('stale')) parts.events.emit('stale', { lane, key: flight.key, ...cause });
    waiter.give(stale.payload);
    return true;
  }

  isBackingOff(flight: Flight): boolean {
    return flight.stale !== undefined && this.isLeftAlone(flight.key);
  }

  /** Whether the key's source failed a moment ago. */
  isLeftAlone(key: string): boolean {
    const until = this.backOff?.get(key);
    return until !== undefined && this.space.parts.life.now() < until;
  }

  failed(flight: Flight): void {
    const { key, terms, stale, purpose } = flight;
    const now = this.space.parts.life.now();
    if (purpose === 'renewal') this.space.memory.peek(key)?.refreshFrom(now + terms.graceBackoffMs);
    if (stale === undefined || terms.graceBackoffMs === 0) return;
    this.backOff ??= new LRUCache({ max: REMEMBERED_FAILURES });
    this.backOff.set(key, now + terms.graceBackoffMs);
  }

  recovered(key: string): void {
    this.backOff?.delete(key);
  }

  /** Whether the flight's copy, if it has one, has not been invalidated since it was found. */
  stillCounts(flight: Flight): boolean {
    const { stale, fence } = flight;
    return stale === undefined || this.space.parts.log.counts({ ...stale, lane: this.space.lane }, fence);
  }

  /** A queued flight has no fence that would tell of what happens meanwhile, so it takes what is there at the moment. */
  private copyOf(flight: Flight): StaleCopy | undefined {
    return flight.fence === undefined ? staleInMemory(this.space, flight.key, flight.terms) : flight.stale;
  }

  private isServable(flight: Flight, stale: StaleCopy, acceptedGraceMs: number, { cause }: StaleCause): boolean {
    const { parts, lane } = this.space;
    const { fence } = flight;
    const candidate = { ...stale, lane };
    if (!parts.log.counts(candidate, fence)) return false;
    const expiresAt = Math.min(stale.expiresAt, parts.log.expiredAt(candidate, fence) ?? Infinity);
    const grace = Math.min(stale.staleUntil - stale.expiresAt, acceptedGraceMs);
    const now = parts.life.now();
    // Who forced a computation although the entry is good does not want the entry sooner, only rather than an error.
    if (cause === 'soft-timeout' && now < expiresAt) return false;
    return grace > 0 && now < expiresAt + grace;
  }
}
