import { LRUCache } from 'lru-cache';
import { ComputeTimeoutError, type TimedOut } from '../../errors/cache.errors.js';
import { type LaneContext, look } from '../lane-context.js';
import { expiryIfValid, staleInMemory, type StaleCopy } from '../tier-lookup.js';
import { emitCompute } from './accounting.js';
import type { Flight, Waiter } from './computation.js';

/** Lets each caller wait for a flight with its own soft timeout, hard timeout and signal. */
export class Waiters {
  /** What to do once a signal aborts. Callers share one listener, because Node warns of more than ten on a signal. */
  private readonly leaving = new WeakMap<AbortSignal, Leaving>();

  constructor(
    private readonly context: LaneContext,
    private readonly staleServing: StaleServing,
    private readonly timedOut: {
      /** Called when a computation has taken longer than its own hard timeout, whether callers still wait or not. */
      readonly overdue: (flight: Flight) => void;
      /** Called when the last caller who waited has timed out. */
      readonly abandon: (flight: Flight, error: ComputeTimeoutError) => void;
    },
  ) {}

  join(flight: Flight, waiter: Waiter): void {
    this.add(flight, waiter);
    const { softTimeoutMs, hardTimeoutMs, signal } = waiter.call;
    const { guard } = flight;
    if (guard !== undefined && waiter.askedAt > guard.birth) waiter.keepAsyncContext();
    if (signal !== undefined) this.followSignal(waiter, signal);
    if (hardTimeoutMs !== null) this.limit(flight, waiter, hardTimeoutMs);
    if (softTimeoutMs === 0) this.softTimeoutPassed(waiter);
    else if (softTimeoutMs !== null && flight.waiters.has(waiter)) this.awaitSoftTimeout(waiter, softTimeoutMs);
  }

  /** Bounds a background refresh, for which nobody waits. */
  limitRefresh(flight: Flight, afterMs: number): void {
    const { clock } = this.context.shared;
    flight.limitBy(
      clock.schedule(afterMs, () => {
        this.timedOut.overdue(flight);
        this.abandonIfLeft(flight, this.timeoutOf(flight, afterMs));
      }),
    );
  }

  /** Lets a caller who waited for another flight wait for this one. Its timeouts go on. */
  transfer(flight: Flight, waiter: Waiter): void {
    this.add(flight, waiter);
    if (waiter.acceptsStale) this.serveStale(waiter);
  }

  /** The search of the flight found a stale copy. */
  staleFound(flight: Flight): void {
    for (const waiter of flight.waiters) if (waiter.acceptsStale) this.serveStale(waiter);
  }

  private awaitSoftTimeout(waiter: Waiter, afterMs: number): void {
    const { clock, hold } = this.context.shared;
    const leave = hold.enter();
    const cancel = clock.schedule(afterMs, () => {
      leave();
      this.softTimeoutPassed(waiter);
    });
    waiter.afterwards(cancel);
    waiter.afterwards(leave);
  }

  private softTimeoutPassed(waiter: Waiter): void {
    waiter.acceptsStale = true;
    this.serveStale(waiter);
  }

  private add(flight: Flight, waiter: Waiter): void {
    waiter.flight = flight;
    if (waiter.limit !== undefined) flight.limitBy(waiter.limit);
    flight.waiters.add(waiter);
    if (!waiter.call.forceFresh) flight.requests++;
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
    if (isOverdue(flight, this.context.shared.clock.monotonic())) this.timedOut.overdue(flight);
    if (flight.waiters.delete(waiter)) {
      emitCompute(this.context, flight, { outcome: 'timeout', ms: afterMs, error });
      if (!this.staleServing.serve(flight, waiter, { cause: 'compute-failed', error })) waiter.fail(error);
    }
    this.abandonIfLeft(flight, error);
  }

  private abandonIfLeft(flight: Flight, error: ComputeTimeoutError): void {
    if (flight.waiters.size > 0 || flight.isAbandoned) return;
    this.staleServing.failed(flight);
    this.timedOut.abandon(flight, error);
  }

  private timeoutOf(flight: Flight, afterMs: number): ComputeTimeoutError {
    const { phase } = flight.state;
    const what: TimedOut = phase === 'queued' || phase === 'searching' ? phase : 'computing';
    return new ComputeTimeoutError(this.context.lane, flight.key, afterMs, what);
  }

  private limit(flight: Flight, waiter: Waiter, afterMs: number): void {
    const { clock, hold } = this.context.shared;
    waiter.limit = clock.schedule(afterMs, () => this.timeOut(waiter, afterMs));
    flight.limitBy(waiter.limit);
    if (flight.waiters.has(waiter)) waiter.afterwards(hold.enter());
  }

  private followSignal(waiter: Waiter, signal: AbortSignal): void {
    const leave = (): void => {
      if (waiter.flight?.waiters.delete(waiter) === true) waiter.fail(signal.reason);
    };
    if (signal.aborted) {
      leave();
      return;
    }
    const leaving = this.leaving.get(signal) ?? this.listenTo(signal);
    leaving.each.add(leave);
    waiter.afterwards(() => {
      leaving.each.delete(leave);
      if (leaving.each.size > 0) return;
      signal.removeEventListener('abort', leaving.all);
      this.leaving.delete(signal);
    });
  }

  private listenTo(signal: AbortSignal): Leaving {
    const each = new Set<() => void>();
    const all = (): void => {
      for (const leave of each) leave();
    };
    signal.addEventListener('abort', all, { once: true });
    const leaving = { each, all };
    this.leaving.set(signal, leaving);
    return leaving;
  }
}

/** The callers who share a signal, and its listener. */
interface Leaving {
  readonly each: Set<() => void>;
  readonly all: () => void;
}

/** Timers may be early by a fraction of a millisecond. */
const EARLY_MS = 2;

/** Whether the computation has run for as long as the caller that opened it allows. */
function isOverdue({ state, call }: Flight, now: number): boolean {
  return state.phase === 'computing' && now - state.startedAt >= (call.hardTimeoutMs ?? Infinity) - EARLY_MS;
}

interface StaleCause {
  readonly cause: 'compute-failed' | 'soft-timeout';
  readonly error?: unknown;
}

/** So many keys whose source failed are remembered. The source of a forgotten key is asked again. */
const REMEMBERED_FAILURES = 10_000;

/** Serves copies past their ttl. A source that failed while there was such a copy is not asked again for a while. */
export class StaleServing {
  /** key -> time until which the source is not asked again. Created at the first failure, because it allocates its room at once. */
  private backOff: LRUCache<string, number> | undefined;

  constructor(private readonly context: LaneContext) {}

  /** Gives the waiter the flight's stale copy, if it counts now and is inside the grace that both accept. */
  serve(flight: Flight, waiter: Waiter, cause: StaleCause): boolean {
    look(this.context);
    const stale = this.staleCopyOf(flight);
    if (stale === undefined || !this.isServable(flight, stale, waiter.call.acceptedGraceMs, cause)) return false;
    const { recorder, shared, lane } = this.context;
    recorder.staleServed();
    if (shared.events.wants('stale')) shared.events.emit('stale', { lane, key: flight.key, ...cause });
    waiter.give(stale.encoded);
    return true;
  }

  /** Whether the key's source failed a moment ago. */
  isBackingOff(key: string): boolean {
    const until = this.backOff?.get(key);
    return until !== undefined && this.context.shared.life.now() < until;
  }

  failed(flight: Flight): void {
    const { key, call, stale, purpose } = flight;
    const now = this.context.shared.life.now();
    if (purpose === 'refresh') this.context.memory.peek(key)?.refreshFrom(now + call.graceBackoffMs);
    if (stale === undefined || call.graceBackoffMs === 0) return;
    this.backOff ??= new LRUCache({ max: REMEMBERED_FAILURES });
    this.backOff.set(key, now + call.graceBackoffMs);
  }

  recovered(key: string): void {
    this.backOff?.delete(key);
  }

  /** Whether the flight's copy, if it has one, has not been invalidated since it was found. */
  stillCounts(flight: Flight): boolean {
    const { stale, guard } = flight;
    return stale === undefined || expiryIfValid(this.context, stale, guard) !== undefined;
  }

  /** A queued flight has no guard that collects invalidations, so it takes the copy that memory has now. */
  private staleCopyOf(flight: Flight): StaleCopy | undefined {
    return flight.state.phase === 'queued' ? staleInMemory(this.context, flight.key, flight.call) : flight.stale;
  }

  private isServable(flight: Flight, stale: StaleCopy, acceptedGraceMs: number, { cause }: StaleCause): boolean {
    const { guard } = flight;
    const expiresAt = expiryIfValid(this.context, stale, guard);
    if (expiresAt === undefined) return false;
    const grace = Math.min(stale.staleUntil - stale.expiresAt, acceptedGraceMs);
    const now = this.context.shared.life.now();
    // A caller with `forceFresh` takes a good entry only instead of an error, not instead of waiting.
    if (cause === 'soft-timeout' && now < expiresAt) return false;
    return grace > 0 && now < expiresAt + grace;
  }
}
