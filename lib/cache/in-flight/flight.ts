import { AsyncResource } from 'node:async_hooks';
import { LRUCache } from 'lru-cache';
import { checkTags } from '../../entries/tags.js';
import type { TierName } from '../../entries/tier-name.js';
import type { RefusalReason } from '../../events/reasons.js';
import type { InvalidationGuard } from '../../invalidation/lane-log.js';
import { toMilliseconds, type Duration } from '../../lanes/units.js';
import type { Compute, CallOptions, ComputeContext, StaleValue } from '../call-options.js';
import type { EncodedValue } from '../encoded-value.js';
import { type LaneContext, look } from '../lane-context.js';
import { type StaleCopy, staleValueOf, expiryIfValid, staleInMemory } from '../tier-lookup.js';
import { warnOfMilliseconds } from '../validate-call.js';
import type { Turn } from '../turns.js';
import { Computation, type Wait } from '../wait-graph.js';
import type { Refusal } from '../write.js';
import { ComputeTimeoutError, type TimedOut } from '../../errors/cache.errors.js';
import type { ComputeCost } from './compute-cost.js';

/** Why a flight was opened: for a caller who searches the tiers first, for `forceFresh`, or to refresh in the background. */
export type FlightPurpose = 'request' | 'forced' | 'refresh';

/** What a caller asks of a key that memory could not answer. */
export interface ComputeRequest {
  readonly key: string;
  readonly compute: Compute<unknown>;
  readonly call: CallOptions;
  readonly purpose: FlightPurpose;
  /** The async context of its caller, where the computation may start in that of another. */
  readonly asyncContext?: AsyncResource | undefined;
}

/** Where a flight stands. A queued flight has no guard, and so no birth. */
type FlightState =
  /** `behind` gives the flights of which one must end first. */
  | { readonly phase: 'queued'; readonly behind: () => readonly Flight[] }
  | { readonly phase: 'searching'; readonly guard: InvalidationGuard }
  | { readonly phase: 'computing'; readonly guard: InvalidationGuard; readonly startedAt: number }
  /** A tier had the value. */
  | { readonly phase: 'answered'; readonly answer: EncodedValue }
  /** Its last caller has timed out. A computation goes on, and its late result is dropped. */
  | { readonly phase: 'abandoned' };

const NONE: readonly Flight[] = Object.freeze([]);
const OPENED: FlightState = Object.freeze({ phase: 'queued', behind: () => NONE });
const ABANDONED: FlightState = Object.freeze({ phase: 'abandoned' });

/** The async context of this moment, which a computation that starts later runs in. */
export const asyncContextNow = (): AsyncResource => new AsyncResource('LaneCacheFlight');

/** One look-up and computation of a key that its callers share. */
export class Flight extends Computation {
  /** Callers who still wait. */
  readonly waiters = new Set<Waiter>();
  /** How many requests count with this flight's outcome, whether they still wait or not. */
  requests = 0;
  /** Tiers below memory that were asked and had nothing. Undefined until they have been asked. */
  missed: readonly TierName[] | undefined;
  /** A tier may hold a value that is older than the result. */
  mayHaveOlder = false;
  /** In lanes that share computations with other processes, once it has asked for a turn. */
  hasWaitedForTurn = false;
  /** The key was invalidated while the tiers were asked, and they were asked again. */
  hasSearchedAgain = false;
  /** In such lanes, from when it may compute until it ends. */
  turn: Turn | undefined;
  /** Called when another process has its turn, or another flight its callers. */
  blocked: (() => void) | undefined;
  /** Of a bulk computation: undefined while its result may be stored. Else resolves when it is worth asking again. */
  whenRoom: (() => Promise<void> | undefined) | undefined;
  stale: StaleCopy | undefined;
  /** Called when the computation ends, if it was given up before. */
  endAbandoned: (() => void) | undefined;
  /** The flight that callers could join until `forceFresh` opened this one. */
  displaced: Flight | undefined;
  state = OPENED;
  /** In lanes that decide by cost, while it computes. */
  cost: ComputeCost | undefined;
  /** Cancel functions of the timers that bound it, also of callers who have left. Few flights have any. */
  private limits: Set<() => void> | undefined;
  private controller: AbortController | undefined;

  constructor(
    lane: string,
    override readonly key: string,
    readonly compute: Compute<unknown>,
    readonly call: CallOptions,
    public purpose: FlightPurpose,
    private readonly asyncContext?: AsyncResource,
  ) {
    super(lane, key);
  }

  override waitFor(wait: Wait): void {
    super.waitFor(wait);
    if (isOfOthers(wait)) this.cost?.pause();
  }

  override waitNoLongerFor(wait: Wait): void {
    super.waitNoLongerFor(wait);
    if (isOfOthers(wait)) this.cost?.resume();
  }

  /** The guard of a flight that runs. */
  get guard(): InvalidationGuard | undefined {
    const { state } = this;
    return state.phase === 'searching' || state.phase === 'computing' ? state.guard : undefined;
  }

  override get queuedBehind(): readonly Flight[] {
    return this.state.phase === 'queued' ? this.state.behind() : NONE;
  }

  /** Callers who come now may wait for it. */
  get isJoinable(): boolean {
    return this.state.phase === 'queued' || this.guard?.isJoinable === true;
  }

  /** Nobody waits for it any more, and its result is dropped. */
  get isAbandoned(): boolean {
    return this.state === ABANDONED;
  }

  abandon(): void {
    this.state = ABANDONED;
  }

  /** Runs its function in the async context of its caller. */
  run<T>(work: () => T): T {
    return this.asyncContext === undefined ? work() : this.asyncContext.runInAsyncScope(work);
  }

  limitBy(cancel: () => void): void {
    this.limits ??= new Set();
    this.limits.add(cancel);
  }

  /** The timer bounds another flight from here on. */
  unlimit(cancel: () => void): void {
    this.limits?.delete(cancel);
  }

  cancelLimits(): void {
    for (const cancel of this.limits ?? []) cancel();
  }

  /** Created when the computation first asks for it. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    return this.controller.signal;
  }

  abort(reason: unknown): void {
    this.controller ??= new AbortController();
    this.controller.abort(reason);
  }
}

/** A computation of several keys, which has no key, is what its own flights take. */
const isOfOthers = ({ flight }: Wait): boolean => flight === undefined || flight.key !== undefined;

/** One caller waiting for a flight, with timeouts, signal and isolation of its own. */
export class Waiter implements Wait {
  readonly promise: Promise<unknown>;
  /** The flight it waits for, or waited for last. */
  flight: Flight | undefined;
  /** Its soft timeout has passed, so it takes a stale copy as soon as there is one. */
  acceptsStale = false;
  /** Cancels its hard timeout, which bounds its flight even after it has left. */
  limit: (() => void) | undefined;
  /** The async context of its caller, if the end of another flight may start its computation. */
  asyncContext: AsyncResource | undefined;
  private resolve: (value: unknown) => void = unset;
  private reject: (error: unknown) => void = unset;
  private cleanUps: (() => void)[] | undefined;

  constructor(
    readonly compute: Compute<unknown>,
    readonly call: CallOptions,
    /**
     * Position of the log when it asked. It is read before a flight is opened for it: the computation starts at once, and
     * may invalidate its own key.
     */
    readonly askedAt: number,
    /** The computation that it is a part of. */
    readonly asker: Computation | undefined,
  ) {
    asker?.waitFor(this);
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Keeps its caller's async context, because the end of another flight may call its function. */
  keepAsyncContext(): void {
    this.asyncContext = asyncContextNow();
  }

  /** Runs once the caller has its answer. */
  afterwards(cleanUp: () => void): void {
    (this.cleanUps ??= []).push(cleanUp);
  }

  give(encoded: EncodedValue): void {
    this.settle();
    try {
      this.resolve(encoded.valueFor(this.call.isolation));
    } catch (error) {
      this.reject(error);
    }
  }

  fail(error: unknown): void {
    this.settle();
    this.reject(error);
  }

  private settle(): void {
    this.asker?.waitNoLongerFor(this);
    if (this.cleanUps === undefined) return;
    for (const cleanUp of this.cleanUps) cleanUp();
    this.cleanUps = undefined;
  }
}

function unset(): never {
  throw new TypeError('the promise has not been made yet');
}

/** What a running computation can ask, and what it decides about its result. */
export class FlightContext implements ComputeContext {
  readonly key: string;
  readonly lane: string;
  readonly stale?: StaleValue<unknown>;
  /** @internal the tags of the result */
  tags: readonly string[];
  /** @internal the ttl of the result */
  ttlMs: number;
  /** @internal why the result is not stored */
  refusal: Refusal | undefined;
  /** @internal whether the turn was still held when it was asked last */
  hasAskedForTurn = false;

  constructor(
    private readonly context: LaneContext,
    private readonly flight: Flight,
  ) {
    this.key = flight.key;
    this.lane = context.lane;
    this.tags = flight.call.tags;
    this.ttlMs = flight.call.ttlMs;
    if (flight.stale !== undefined) this.stale = staleValueOf(flight.stale, context.shared.life.now());
  }

  get signal(): AbortSignal {
    return this.flight.signal;
  }

  // Each can be taken from the context by destructuring. A computation that does not ask for one makes none.

  get setTags(): (tags: readonly string[]) => void {
    return (tags) => {
      this.tags = checkTags(Array.isArray(tags) ? [...this.tags, ...tags] : tags, this.lane);
    };
  }

  get setTtl(): (ttl: Duration) => void {
    return (ttl) => {
      this.ttlMs = toMilliseconds(ttl, { lane: this.lane, field: 'ttl' });
      warnOfMilliseconds(this.context, ttl);
    };
  }

  get skipCache(): () => void {
    return () => this.refuse('skip-cache');
  }

  /** @internal The result is returned and not stored, for this reason. The first reason counts. */
  refuse(reason: RefusalReason): void {
    this.refusal ??= { reason, detail: 'the computation asked for it' };
  }
}

/** How a flight ended: a tier had the value, or it was computed. */
type FlightOutcome =
  { readonly outcome: 'hit'; readonly tier: TierName; readonly computeMs: number } | { readonly outcome: 'miss' };

/**
 * Counts the requests of a flight that has ended.
 *
 * If a tier answered, each request counts as if it had looked for itself. If the value was computed, the request that
 * opened the flight did the looking, and the others joined.
 */
export function countFlight(context: LaneContext, flight: Flight, result: FlightOutcome): void {
  const { recorder } = context;
  const { requests, missed, key } = flight;
  const lookers = result.outcome === 'hit' ? requests : Math.min(requests, missed === undefined ? 0 : 1);
  for (let looker = 0; looker < lookers; looker++) for (const tier of missed ?? []) recorder.lookupMiss(tier);
  for (let request = 0; request < requests; request++) {
    if (result.outcome === 'hit') recorder.hit(key, result.tier, result.computeMs);
    else recorder.miss();
    if (result.outcome === 'miss' && request >= lookers) recorder.joined();
  }
}

export interface ComputationEnd {
  readonly outcome: 'ok' | 'failed' | 'timeout' | 'aborted';
  readonly ms: number;
  readonly error?: unknown;
}

/** Emits how a computation ended. */
export function emitCompute(context: LaneContext, flight: Flight, end: ComputationEnd): void {
  const { events } = context.shared;
  if (!events.wants('compute')) return;
  events.emit('compute', {
    ...end,
    lane: context.lane,
    key: flight.key,
    background: flight.purpose === 'refresh' || flight.waiters.size === 0,
  });
}

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
