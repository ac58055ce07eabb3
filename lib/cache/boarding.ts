import { ComputeTimeoutError } from '../errors/cache.errors.js';
import type { Flight } from './flight.js';
import { report } from './flight-accounts.js';
import type { LaneSpace } from './lane-space.js';
import type { StaleServing } from './stale-serving.js';
import type { Waiter } from './waiter.js';

/** Lets callers wait for a flight on their own terms: soft and hard timeout, signal. */
export class Boarding {
  constructor(
    private readonly space: LaneSpace,
    private readonly staleServing: StaleServing,
    /** The last who waited has timed out. */
    private readonly abandon: (flight: Flight, error: unknown) => void,
  ) {}

  board(flight: Flight, waiter: Waiter): void {
    waiter.joinedAt = this.space.parts.log.position;
    flight.waiters.add(waiter);
    if (!waiter.terms.forceFresh) flight.requests++;
    const { softTimeoutMs, hardTimeoutMs, signal } = waiter.terms;
    if (signal !== undefined) followSignal(flight, waiter, signal);
    if (softTimeoutMs === 0) this.serveStale(flight, waiter);
    if (!flight.waiters.has(waiter)) return;
    if (hardTimeoutMs !== null) this.after(waiter, hardTimeoutMs, () => this.timeOut(flight, waiter, hardTimeoutMs));
    if (softTimeoutMs !== null) this.after(waiter, softTimeoutMs, () => this.serveStale(flight, waiter));
  }

  private serveStale(flight: Flight, waiter: Waiter): void {
    if (!flight.waiters.has(waiter)) return;
    if (this.staleServing.serve(flight, waiter, { cause: 'soft-timeout' })) flight.waiters.delete(waiter);
  }

  private timeOut(flight: Flight, waiter: Waiter, afterMs: number): void {
    if (!flight.waiters.delete(waiter)) return;
    const error = new ComputeTimeoutError(this.space.lane, flight.key, afterMs);
    report(this.space, flight, { outcome: 'timeout', ms: afterMs, error });
    if (!this.staleServing.serve(flight, waiter, { cause: 'compute-failed', error })) waiter.fail(error);
    if (flight.waiters.size === 0) this.abandon(flight, error);
  }

  private after(waiter: Waiter, ms: number, run: () => void): void {
    waiter.afterwards(this.space.parts.clock.schedule(ms, run));
  }
}

function followSignal(flight: Flight, waiter: Waiter, signal: AbortSignal): void {
  const leave = (): void => {
    if (flight.waiters.delete(waiter)) waiter.fail(signal.reason);
  };
  if (signal.aborted) {
    leave();
    return;
  }
  signal.addEventListener('abort', leave, { once: true });
  waiter.afterwards(() => signal.removeEventListener('abort', leave));
}
