import { ComputeTimeoutError } from '../errors/cache.errors.js';
import type { Flight, Waiter } from './flight.js';
import { report } from './flight-accounts.js';
import type { LaneSpace } from './lane-context.js';
import type { StaleServing } from './stale-serving.js';

/** Lets callers wait for a flight on their own terms: soft and hard timeout, signal. */
export class Boarding {
  constructor(
    private readonly space: LaneSpace,
    private readonly staleServing: StaleServing,
    /** The last who waited has timed out. */
    private readonly abandon: (flight: Flight, error: unknown) => void,
  ) {}

  board(flight: Flight, waiter: Waiter): void {
    this.take(flight, waiter);
    const { softTimeoutMs, hardTimeoutMs, signal } = waiter.terms;
    if (flight.fence !== undefined && waiter.askedAt > flight.fence.birth) waiter.keepContext();
    if (signal !== undefined) this.followSignal(waiter, signal);
    if (hardTimeoutMs !== null) this.limit(flight, waiter, hardTimeoutMs);
    if (softTimeoutMs === 0) this.losePatience(waiter);
    else if (softTimeoutMs !== null && flight.waiters.has(waiter)) {
      waiter.afterwards(this.space.parts.clock.schedule(softTimeoutMs, () => this.losePatience(waiter)));
    }
  }

  /** A renewal has nobody who waits, and must come to an end all the same. */
  bound(flight: Flight, afterMs: number): void {
    const { clock } = this.space.parts;
    flight.limitBy(clock.schedule(afterMs, () => this.giveUp(flight, this.timeoutOf(flight, afterMs))));
  }

  /** Lets a caller who has waited for another flight wait for this one: its time goes on from where it stood. */
  transfer(flight: Flight, waiter: Waiter): void {
    this.take(flight, waiter);
    if (waiter.isImpatient) this.serveStale(waiter);
  }

  /** The flight has learnt what stale copy there is. */
  staleFound(flight: Flight): void {
    for (const waiter of flight.waiters) if (waiter.isImpatient) this.serveStale(waiter);
  }

  private losePatience(waiter: Waiter): void {
    waiter.isImpatient = true;
    this.serveStale(waiter);
  }

  private take(flight: Flight, waiter: Waiter): void {
    waiter.flight = flight;
    if (waiter.limit !== undefined) flight.limitBy(waiter.limit);
    flight.waiters.add(waiter);
    if (!waiter.terms.forceFresh) flight.requests++;
  }

  private serveStale(waiter: Waiter): void {
    const { flight } = waiter;
    if (flight?.waiters.has(waiter) !== true) return;
    if (this.staleServing.serve(flight, waiter, { cause: 'soft-timeout' })) flight.waiters.delete(waiter);
  }

  private timeOut(waiter: Waiter, afterMs: number): void {
    const { flight } = waiter;
    if (flight === undefined) return;
    const error = this.timeoutOf(flight, afterMs);
    if (flight.waiters.delete(waiter)) {
      report(this.space, flight, { outcome: 'timeout', ms: afterMs, error });
      if (!this.staleServing.serve(flight, waiter, { cause: 'compute-failed', error })) waiter.fail(error);
    }
    this.giveUp(flight, error);
  }

  private giveUp(flight: Flight, error: ComputeTimeoutError): void {
    if (flight.waiters.size > 0 || flight.isAbandoned) return;
    this.staleServing.failed(flight);
    this.abandon(flight, error);
  }

  private timeoutOf(flight: Flight, afterMs: number): ComputeTimeoutError {
    return new ComputeTimeoutError(this.space.lane, flight.key, afterMs);
  }

  private limit(flight: Flight, waiter: Waiter, afterMs: number): void {
    waiter.limit = this.space.parts.clock.schedule(afterMs, () => this.timeOut(waiter, afterMs));
    flight.limitBy(waiter.limit);
  }

  private followSignal(waiter: Waiter, signal: AbortSignal): void {
    const leave = (): void => {
      if (waiter.flight?.waiters.delete(waiter) === true) waiter.fail(signal.reason);
    };
    if (signal.aborted) {
      leave();
      return;
    }
    signal.addEventListener('abort', leave, { once: true });
    waiter.afterwards(() => signal.removeEventListener('abort', leave));
  }
}
