import { AsyncResource } from 'node:async_hooks';
import type { InvalidationGuard } from '../../invalidation/lane-log.js';
import { Flight, Waiter, type ComputeRequest, type FlightPurpose, FlightContext } from './computation.js';
import { account, report } from './accounting.js';
import { Waiters, StaleServing } from './waiters.js';
import type { LaneContext } from '../lane-context.js';
import { staleInMemory, type Found, TierSearch, fresherOf, isPartitioned } from '../tier-lookup.js';
import {
  promote,
  PARTITIONED,
  FENCED,
  store,
  mayStore,
  refusalOf,
  refuse,
  type CandidateValue,
  type Refusal,
} from '../write.js';
import { EncodedValue } from '../encoded-value.js';
import type { CallOptions } from '../call-options.js';

/** The flights of one lane: opened, joined, brought to their end. A queued one takes its birth when it starts. */
export class InFlight {
  private readonly inFlight = new FlightBoard();
  private readonly staleServing: StaleServing;
  private readonly waiting: Waiters;

  constructor(private readonly context: LaneContext) {
    this.staleServing = new StaleServing(context);
    this.waiting = new Waiters(context, this.staleServing, (flight, error) => this.abandon(flight, error));
  }

  /** Flights that have not ended. */
  get size(): number {
    return this.inFlight.size;
  }

  /** The flight a caller of `purpose` may wait for. */
  of(key: string, purpose: FlightPurpose): Flight | undefined {
    return this.inFlight.of(key, purpose);
  }

  /** Whether callers get the stale copy because the key's source failed a moment ago. */
  isBackingOff(key: string): boolean {
    return this.staleServing.isLeftAlone(key);
  }

  /** Answers one caller: by a flight under way, or by one that is opened now. */
  request(departure: ComputeRequest): Promise<unknown> {
    const { key, purpose, call } = departure;
    const joined = this.of(key, purpose);
    if (joined !== undefined || purpose !== 'request' || this.inFlight.isCrowded(key)) {
      return this.wait(departure, joined);
    }
    const look = lookAt(this.context, key, call);
    if (!(look.search instanceof Promise) && look.search.found !== undefined && look.search.stillCounts) {
      return Promise.resolve(serveFound(this.context, departure, look.search.found, look));
    }
    return this.wait(departure, undefined, look);
  }

  private wait(departure: ComputeRequest, joined: Flight | undefined, look?: Look): Promise<unknown> {
    const askedAt = this.context.shared.log.position;
    const flight = joined ?? this.launch(departure, look);
    if (flight.answer !== undefined) return Promise.resolve(flight.answer.valueFor(departure.call.isolation));
    const waiter = new Waiter(departure.compute, departure.call, askedAt);
    this.join(flight, waiter);
    return waiter.promise;
  }

  /** Opens a flight, or queues it behind those of its key. It may have its answer already when this returns. */
  launch(departure: ComputeRequest, look?: Look): Flight {
    const { key, call, purpose } = departure;
    const isQueued = this.inFlight.isCrowded(key);
    // Whoever ends last starts the next one, which must not run as a part of it.
    const compute = isQueued ? AsyncResource.bind(departure.compute) : departure.compute;
    const scope = purpose === 'renewal' ? undefined : this.context.shared.scopes.current;
    const flight = new Flight(key, compute, call, purpose, scope);
    this.inFlight.announce(flight);
    if (isQueued) return flight;
    flight.stale = departure.stale;
    this.start(flight, look);
    return flight;
  }

  /** Lets a caller wait for a flight that has no answer yet. */
  join(flight: Flight, waiter: Waiter): void {
    this.waiting.join(flight, waiter);
  }

  /** Aborts every computation's signal; what they bring is still given to those who wait. */
  abortAll(reason: unknown): void {
    for (const flight of this.inFlight.all()) flight.abort(reason);
  }

  private start(flight: Flight, look?: Look): void {
    const { shared, lane } = this.context;
    const { key, call, purpose } = flight;
    this.inFlight.started(flight);
    const guard = shared.log.open({ lane, key, tags: call.tags });
    flight.guard = guard;
    if (purpose === 'renewal' && call.hardTimeoutMs !== null) this.waiting.bound(flight, call.hardTimeoutMs);
    if (purpose === 'request') this.follow(flight, guard, look ?? lookAt(this.context, key, call));
    else void this.compute(flight, guard);
  }

  private follow(flight: Flight, guard: InvalidationGuard, look: Look): void {
    const { recorder, shared } = this.context;
    look.begun.guardedBy(guard);
    const step = (search: TierSearch | Promise<TierSearch>): void => {
      if (search instanceof Promise) {
        void search.then(step);
        return;
      }
      if (search.found !== undefined && !search.stillCounts) {
        step(search.discard());
        return;
      }
      recorder.lookedUp(shared.clock.monotonic() - look.startedAt);
      this.lookedUp(flight, guard, search);
    };
    step(look.search);
  }

  private lookedUp(flight: Flight, guard: InvalidationGuard, search: TierSearch): void {
    const { found, missed, stale, reason } = search;
    flight.missed = missed;
    flight.stale = fresherOf(flight.stale, stale);
    if (found !== undefined) {
      this.answer(flight, found);
      return;
    }
    const { events } = this.context.shared;
    if (events.wants('miss') && !flight.hasWaitedForTurn) {
      events.emit('miss', { lane: this.context.lane, key: flight.key, reason });
    }
    if (search.stale !== undefined) this.waiting.staleFound(flight);
    if (guard.isAbandoned) this.depart(flight, () => undefined);
    else if (this.staleServing.isBackingOff(flight)) this.restOnStale(flight, guard);
    else void this.computeInTurn(flight, guard);
  }

  private answer(flight: Flight, found: Found): void {
    promote(this.context, found, flight.call.refreshAhead);
    flight.answer = found.encoded;
    if (flight.requests === 0) flight.requests = 1;
    account(this.context, flight, { outcome: 'hit', tier: found.tier, computeMs: found.record.computeMs });
    this.end(flight);
    for (const waiter of flight.waiters) waiter.give(found.encoded);
    flight.waiters.clear();
  }

  /** The source failed a moment ago and is left alone: who may have the stale copy gets it. */
  private restOnStale(flight: Flight, guard: InvalidationGuard): void {
    // Callers board in the step in which the flight is opened, so they are all here one microtask later.
    queueMicrotask(() => {
      for (const waiter of flight.waiters) {
        if (this.staleServing.serve(flight, waiter, { cause: 'compute-failed' })) flight.waiters.delete(waiter);
      }
      if (flight.waiters.size > 0) void this.compute(flight, guard);
      else this.depart(flight, () => undefined);
    });
  }

  /** Where instances compute a key one at a time: looks again when another one has had its turn. */
  private async computeInTurn(flight: Flight, guard: InvalidationGuard): Promise<void> {
    const { shared, policy, lane } = this.context;
    if (shared.turns === undefined || policy.l4.coalesce === 'process') return this.compute(flight, guard);
    const turn = await shared.turns.take(lane, flight.key);
    flight.hasWaitedForTurn = true;
    if (turn === 'ended' && !guard.isInvalidated)
      return this.follow(flight, guard, lookAt(this.context, flight.key, flight.call));
    if (guard.isAbandoned) this.depart(flight, () => undefined);
    else await this.compute(flight, guard);
    if (turn !== 'ended') turn.end();
  }

  private async compute(flight: Flight, guard: InvalidationGuard): Promise<void> {
    const { shared, recorder, lane } = this.context;
    if (!this.staleServing.stillCounts(flight)) flight.stale = undefined;
    const ctx = new FlightContext(this.context, flight);
    const holds = (key: string): boolean => key === flight.key && this.inFlight.isOpen(flight);
    const scope = { lane, holds, outer: flight.scope };
    const startedAt = shared.clock.monotonic();
    let value: unknown;
    try {
      // Async, so that what throws at once fails no sooner than its callers have boarded.
      value = await shared.scopes.within(scope, async () => flight.compute(ctx));
    } catch (error) {
      const ms = shared.clock.monotonic() - startedAt;
      recorder.failed(ms);
      report(this.context, flight, { outcome: 'failed', ms, error });
      this.failed(flight, error);
      return;
    }
    const ms = shared.clock.monotonic() - startedAt;
    recorder.computed(ms);
    report(this.context, flight, { outcome: 'ok', ms });
    this.arrived(flight, guard, { value, ctx, computeMs: ms });
  }

  private arrived(flight: Flight, guard: InvalidationGuard, arrival: ComputeResult): void {
    const { encoded, isCurrent } = settle(this.context, flight, guard, arrival);
    this.staleServing.recovered(flight.key);
    const late = isCurrent ? [] : [...flight.waiters].filter((waiter) => waiter.askedAt > guard.birth);
    for (const waiter of late) {
      flight.waiters.delete(waiter);
      if (waiter.limit !== undefined) flight.unlimit(waiter.limit);
      if (!waiter.call.forceFresh) flight.requests--;
    }
    this.depart(flight, (waiter) => waiter.give(encoded));
    for (const waiter of late) this.retry(flight.key, waiter);
  }

  private failed(flight: Flight, error: unknown): void {
    this.staleServing.failed(flight);
    this.depart(flight, (waiter) => {
      if (!this.staleServing.serve(flight, waiter, { cause: 'compute-failed', error })) waiter.fail(error);
    });
  }

  private depart(flight: Flight, answer: (waiter: Waiter) => void): void {
    account(this.context, flight, { outcome: 'miss' });
    this.end(flight);
    for (const waiter of flight.waiters) answer(waiter);
    flight.waiters.clear();
  }

  /** Who joined after what the flight brought had been invalidated needs another flight. */
  private retry(key: string, waiter: Waiter): void {
    const { compute, call } = waiter;
    const purpose = call.forceFresh ? 'forced' : 'request';
    const departure = { key, compute, call, purpose, stale: staleInMemory(this.context, key, call) } as const;
    const flight = this.of(key, purpose) ?? this.launch(departure);
    if (flight.answer === undefined) this.waiting.transfer(flight, waiter);
    else waiter.give(flight.answer);
  }

  private end(flight: Flight): void {
    if (flight.guard !== undefined) this.context.shared.log.close(flight.guard);
    flight.cancelLimits();
    const next = this.inFlight.ended(flight);
    if (next === undefined) return;
    next.stale = staleInMemory(this.context, next.key, next.call);
    this.start(next);
  }

  /** Nobody waits any more: the late result is dropped, and the key's next caller starts anew. */
  private abandon(flight: Flight, error: unknown): void {
    this.inFlight.withdraw(flight);
    flight.isAbandoned = true;
    flight.abort(error);
    if (flight.guard !== undefined) {
      flight.guard.abandon();
      return;
    }
    flight.cancelLimits();
    account(this.context, flight, { outcome: 'miss' });
  }
}

/** What a computation brought. */
interface ComputeResult {
  readonly value: unknown;
  readonly ctx: FlightContext;
  readonly computeMs: number;
}

/** What becomes of it: how it is given out, and whether it still counted. */
interface Settled {
  readonly encoded: EncodedValue;
  /** Neither invalidated nor expired on the way: also for those who joined late. */
  readonly isCurrent: boolean;
}

/**
 * Stores what a flight brought, or counts why not. From the judgement to the landing nothing is awaited, and no code
 * but ours runs.
 */
function settle(context: LaneContext, flight: Flight, guard: InvalidationGuard, arrival: ComputeResult): Settled {
  const { value, ctx, computeMs } = arrival;
  const { tags, ttlMs } = ctx;
  const { key, call } = flight;
  const { log, codec } = context.shared;
  const encoded = EncodedValue.of({ codec, lane: context.lane }, value);
  const { birth, number } = guard;
  const candidate = { key, value, encoded, tags, ttlMs, computeMs };
  const refusal = refusalOfResult(context, ctx, candidate);
  const counts = mayStore(context, guard, tags);
  const expiredAt = log.expiredAt({ lane: context.lane, key, tags, birth }, guard);
  if (!counts) refuse(context, key, FENCED);
  else if (isPartitioned(context)) refuse(context, key, PARTITIONED);
  else if (refusal !== undefined) refuse(context, key, refusal);
  else store(context, candidate, { birth, flight: number, call, expiredAt });
  return { encoded, isCurrent: counts && expiredAt === undefined };
}

function refusalOfResult(context: LaneContext, ctx: FlightContext, candidate: CandidateValue): Refusal | undefined {
  if (ctx.refusal !== undefined) return { reason: ctx.refusal, detail: 'the computation said so' };
  return refusalOf(context, candidate);
}

/** A search through the tiers below memory that has begun, and may have ended in the same step. */
interface Look {
  readonly begun: TierSearch;
  readonly search: TierSearch | Promise<TierSearch>;
  readonly startedAt: number;
}

function lookAt(context: LaneContext, key: string, call: CallOptions): Look {
  const startedAt = context.shared.clock.monotonic();
  const begun = new TierSearch(context, key, call);
  return { begun, search: begun.run(), startedAt };
}

/** Promotes, counts and gives out what a look found in the step of the call: nobody could have joined a flight for it. */
function serveFound(
  context: LaneContext,
  asked: { readonly key: string; readonly call: CallOptions },
  found: Found,
  look: Look,
): unknown {
  const { recorder, shared, lane } = context;
  const { key, call } = asked;
  const { tier, record, encoded } = found;
  promote(context, found, call.refreshAhead);
  for (const missed of look.begun.missed) recorder.lookupMiss(missed);
  recorder.hit(tier, record.computeMs);
  recorder.lookedUp(shared.clock.monotonic() - look.startedAt);
  if (shared.events.wants('hit')) shared.events.emit('hit', { lane, key, tier });
  return encoded.valueFor(call.isolation);
}

/** A key is computed at most this many times at once: one flight that was shut, and one that callers may join. */
const COMPUTATIONS_PER_KEY = 2;

/**
 * Which flights of a lane there are.
 *
 * Per key at most one flight can be joined. A flight whose fence was shut is left to end, and the next caller opens
 * another; when two are under way the next one is queued, shared by all who come.
 */
class FlightBoard {
  private readonly joinable = new Map<string, Flight>();
  private readonly underWay = new Map<string, number>();
  private readonly open = new Set<Flight>();

  /** Flights that have started and have not ended. */
  get size(): number {
    return this.open.size;
  }

  all(): Iterable<Flight> {
    return this.open;
  }

  isOpen(flight: Flight): boolean {
    return this.open.has(flight);
  }

  /** The flight a caller of `purpose` may wait for. */
  of(key: string, purpose: FlightPurpose): Flight | undefined {
    const flight = this.joinable.get(key);
    if (flight === undefined || !flight.isJoinable) return undefined;
    if (purpose !== 'forced' || flight.purpose === 'forced') return flight;
    if (flight.guard !== undefined) return undefined;
    // It has not started: it can still go straight to the computation.
    flight.purpose = 'forced';
    return flight;
  }

  /** Whether another flight of the key has to wait for one to end. */
  isCrowded(key: string): boolean {
    return (this.underWay.get(key) ?? 0) >= COMPUTATIONS_PER_KEY;
  }

  /** Callers who come from here on join this flight. */
  announce(flight: Flight): void {
    flight.displaced = this.joinable.get(flight.key);
    this.joinable.set(flight.key, flight);
  }

  started(flight: Flight): void {
    this.open.add(flight);
    this.underWay.set(flight.key, (this.underWay.get(flight.key) ?? 0) + 1);
  }

  /** Returns the flight that may start now. */
  ended(flight: Flight): Flight | undefined {
    const { key } = flight;
    this.open.delete(flight);
    const left = (this.underWay.get(key) ?? 1) - 1;
    if (left > 0) this.underWay.set(key, left);
    else this.underWay.delete(key);
    this.withdraw(flight);
    const next = this.joinable.get(key);
    return next?.guard === undefined ? next : undefined;
  }

  /**
   * Nobody joins it any more, if it was the one to join. Callers may join again the one that it took the place of, if
   * that is still under way and counts.
   */
  withdraw(flight: Flight): void {
    const { key, displaced } = flight;
    if (this.joinable.get(key) !== flight) return;
    if (displaced !== undefined && this.open.has(displaced) && displaced.isJoinable) this.joinable.set(key, displaced);
    else this.joinable.delete(key);
  }
}
