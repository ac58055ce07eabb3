import { ComputeTimeoutError } from '../errors/cache.errors.js';
import type { Flight } from './flight.js';
import { report } from './flight-accounts.js';
import type { LaneSpace } from './lane-space.js';
import type { StaleServing } from './stale-serving.js';
import type { Waiter } from './waiter.js';

/** Lets callers wait for a flight on their own terms: soft and hard timeout, signal. */
export class Boarding {
  private readonly boarded = new WeakMap<Waiter, Flight>();

  constructor(
    private readonly space: LaneSpace,
    private readonly staleServing: StaleServing,
    /** The last who waited has timed out. */
    private readonly abandon: (flight: Flight, error: unknown) => void,
  ) {}

  board(flight: Flight, waiter: Waiter): void {
    this.take(flight, waiter);
    const { softTimeoutMs, hardTimeoutMs, signal } = waiter.terms;
    if (flight.fence !== undefined && waiter.joinedAt > flight.fence.birth) waiter.keepContext();
    if (signal !== undefined) this.followSignal(waiter, signal);
    if (softTimeoutMs === 0) this.serveStale(waiter);
    if (!flight.waiters.has(waiter)) return;
    if (hardTimeoutMs !== null) this.after(waiter, hardTimeoutMs, () => this.timeOut(waiter, hardTimeoutMs));
    if (softTimeoutMs !== null) this.after(waiter, softTimeoutMs, () => this.serveStale(waiter));
  }

  /** Lets a caller who has waited for another flight wait for this one: its time goes on from where it stood. */
  transfer(flight: Flight, waiter: Waiter): void {
    this.take(flight, waiter);
    if (waiter.terms.softTimeoutMs === 0) this.serveStale(waiter);
  }

  private take(flight: Flight, waiter: Waiter): void {
    waiter.joinedAt = this.space.parts.log.position;
    this.boarded.set(waiter, flight);
    flight.waiters.add(waiter);
    if (!waiter.terms.forceFresh) flight.requests++;
  }

  private serveStale(waiter: Waiter): void {
    const flight = this.boarded.get(waiter);
    if (flight?.waiters.has(waiter) !== true) return;
    if (this.staleServing.serve(flight, waiter, { cause: 'soft-timeout' })) flight.waiters.delete(waiter);
  }

  private timeOut(waiter: Waiter, afterMs: number): void {
    const flight = this.boarded.get(waiter);
    if (flight?.waiters.delete(waiter) !== true) return;
    const error = new ComputeTimeoutError(this.space.lane, flight.key, afterMs);
    report(this.space, flight, { outcome: 'timeout', ms: afterMs, error });
    if (!this.staleServing.serve(flight, waiter, { cause: 'compute-failed', error })) waiter.fail(error);
    if (flight.waiters.size === 0) this.abandon(flight, error);
  }

  private after(waiter: Waiter, ms: number, run: () => void): void {
    waiter.afterwards(this.space.parts.clock.schedule(ms, run));
  }

  private followSignal(waiter: Waiter, signal: AbortSignal): void {
    const leave = (): void => {
      if (this.boarded.get(waiter)?.waiters.delete(waiter) === true) waiter.fail(signal.reason);
    };
    if (signal.aborted) {
      leave();
      return;
    }
    signal.addEventListener('abort', leave, { once: true });
    waiter.afterwards(() => signal.removeEventListener('abort', leave));
  }
}
