import { AsyncResource } from 'node:async_hooks';
import type { Fence } from '../../invalidation/lane-log.js';
import { Flight, Waiter, type Departure, type FlightPurpose, FlightContext } from './computation.js';
import { account, report } from './accounting.js';
import { Boarding, StaleServing } from './waiters.js';
import type { LaneSpace } from '../lane-context.js';
import { staleInMemory, type Found, Search, fresherOf, isCutOff } from '../tier-lookup.js';
import { promote, CUT_OFF, FENCED, land, mayLand, refusalOf, refuse, type Brought, type Refusal } from '../write.js';
import { Payload } from '../encoded-value.js';
import type { Terms } from '../call-options.js';

/** The flights of one lane: opened, joined, brought to their end. A queued one takes its birth when it starts. */
export class Flights {
  private readonly flights = new FlightBoard();
  private readonly staleServing: StaleServing;
  private readonly boarding: Boarding;

  constructor(private readonly space: LaneSpace) {
    this.staleServing = new StaleServing(space);
    this.boarding = new Boarding(space, this.staleServing, (flight, error) => this.abandon(flight, error));
  }

  /** Flights that have not ended. */
  get size(): number {
    return this.flights.size;
  }

  /** The flight a caller of `purpose` may wait for. */
  of(key: string, purpose: FlightPurpose): Flight | undefined {
    return this.flights.of(key, purpose);
  }

  /** Whether callers get the stale copy because the key's source failed a moment ago. */
  isBackingOff(key: string): boolean {
    return this.staleServing.isLeftAlone(key);
  }

  /** Answers one caller: by a flight under way, or by one that is opened now. */
  request(departure: Departure): Promise<unknown> {
    const { key, purpose, terms } = departure;
    const joined = this.of(key, purpose);
    if (joined !== undefined || purpose !== 'request' || this.flights.isCrowded(key)) {
      return this.wait(departure, joined);
    }
    const look = lookAt(this.space, key, terms);
    if (!(look.search instanceof Promise) && look.search.found !== undefined && look.search.stillCounts) {
      return Promise.resolve(serveFound(this.space, departure, look.search.found, look));
    }
    return this.wait(departure, undefined, look);
  }

  private wait(departure: Departure, joined: Flight | undefined, look?: Look): Promise<unknown> {
    const askedAt = this.space.parts.log.position;
    const flight = joined ?? this.launch(departure, look);
    if (flight.answer !== undefined) return Promise.resolve(flight.answer.give(departure.terms.isolation));
    const waiter = new Waiter(departure.compute, departure.terms, askedAt);
    this.board(flight, waiter);
    return waiter.promise;
  }

  /** Opens a flight, or queues it behind those of its key. It may have its answer already when this returns. */
  launch(departure: Departure, look?: Look): Flight {
    const { key, terms, purpose } = departure;
    const isQueued = this.flights.isCrowded(key);
    // Whoever ends last starts the next one, which must not run as a part of it.
    const compute = isQueued ? AsyncResource.bind(departure.compute) : departure.compute;
    const scope = purpose === 'renewal' ? undefined : this.space.parts.scopes.current;
    const flight = new Flight(key, compute, terms, purpose, scope);
    this.flights.announce(flight);
    if (isQueued) return flight;
    flight.stale = departure.stale;
    this.start(flight, look);
    return flight;
  }

  /** Lets a caller wait for a flight that has no answer yet. */
  board(flight: Flight, waiter: Waiter): void {
    this.boarding.board(flight, waiter);
  }

  /** Aborts every computation's signal; what they bring is still given to those who wait. */
  abortAll(reason: unknown): void {
    for (const flight of this.flights.all()) flight.abort(reason);
  }

  private start(flight: Flight, look?: Look): void {
    const { parts, lane } = this.space;
    const { key, terms, purpose } = flight;
    this.flights.started(flight);
    const fence = parts.log.open({ lane, key, tags: terms.tags });
    flight.fence = fence;
    if (purpose === 'renewal' && terms.hardTimeoutMs !== null) this.boarding.bound(flight, terms.hardTimeoutMs);
    if (purpose === 'request') this.follow(flight, fence, look ?? lookAt(this.space, key, terms));
    else void this.compute(flight, fence);
  }

  private follow(flight: Flight, fence: Fence, look: Look): void {
    const { recorder, parts } = this.space;
    look.begun.guardedBy(fence);
    const step = (search: Search | Promise<Search>): void => {
      if (search instanceof Promise) {
        void search.then(step);
        return;
      }
      if (search.found !== undefined && !search.stillCounts) {
        step(search.discard());
        return;
      }
      recorder.lookedUp(parts.clock.monotonic() - look.startedAt);
      this.lookedUp(flight, fence, search);
    };
    step(look.search);
  }

  private lookedUp(flight: Flight, fence: Fence, search: Search): void {
    const { found, missed, stale, reason } = search;
    flight.missed = missed;
    flight.stale = fresherOf(flight.stale, stale);
    if (found !== undefined) {
      this.answer(flight, found);
      return;
    }
    const { events } = this.space.parts;
    if (events.wants('miss') && !flight.hasWaitedForTurn) {
      events.emit('miss', { lane: this.space.lane, key: flight.key, reason });
    }
    if (search.stale !== undefined) this.boarding.staleFound(flight);
    if (fence.isAbandoned) this.depart(flight, () => undefined);
    else if (this.staleServing.isBackingOff(flight)) this.restOnStale(flight, fence);
    else void this.computeInTurn(flight, fence);
  }

  private answer(flight: Flight, found: Found): void {
    promote(this.space, found, flight.terms.refreshAhead);
    flight.answer = found.payload;
    if (flight.requests === 0) flight.requests = 1;
    account(this.space, flight, { outcome: 'hit', tier: found.tier, computeMs: found.record.computeMs });
    this.end(flight);
    for (const waiter of flight.waiters) waiter.give(found.payload);
    flight.waiters.clear();
  }

  /** The source failed a moment ago and is left alone: who may have the stale copy gets it. */
  private restOnStale(flight: Flight, fence: Fence): void {
    // Callers board in the step in which the flight is opened, so they are all here one microtask later.
    queueMicrotask(() => {
      for (const waiter of flight.waiters) {
        if (this.staleServing.serve(flight, waiter, { cause: 'compute-failed' })) flight.waiters.delete(waiter);
      }
      if (flight.waiters.size > 0) void this.compute(flight, fence);
      else this.depart(flight, () => undefined);
    });
  }

  /** Where instances compute a key one at a time: looks again when another one has had its turn. */
  private async computeInTurn(flight: Flight, fence: Fence): Promise<void> {
    const { parts, policy, lane } = this.space;
    if (parts.turns === undefined || policy.l4.coalesce === 'process') return this.compute(flight, fence);
    const turn = await parts.turns.take(lane, flight.key);
    flight.hasWaitedForTurn = true;
    if (turn === 'ended' && !fence.isShut)
      return this.follow(flight, fence, lookAt(this.space, flight.key, flight.terms));
    if (fence.isAbandoned) this.depart(flight, () => undefined);
    else await this.compute(flight, fence);
    if (turn !== 'ended') turn.end();
  }

  private async compute(flight: Flight, fence: Fence): Promise<void> {
    const { parts, recorder, lane } = this.space;
    if (!this.staleServing.stillCounts(flight)) flight.stale = undefined;
    const context = new FlightContext(this.space, flight);
    const holds = (key: string): boolean => key === flight.key && this.flights.isOpen(flight);
    const scope = { lane, holds, outer: flight.scope };
    const startedAt = parts.clock.monotonic();
    let value: unknown;
    try {
      // Async, so that what throws at once fails no sooner than its callers have boarded.
      value = await parts.scopes.within(scope, async () => flight.compute(context));
    } catch (error) {
      const ms = parts.clock.monotonic() - startedAt;
      recorder.failed(ms);
      report(this.space, flight, { outcome: 'failed', ms, error });
      this.failed(flight, error);
      return;
    }
    const ms = parts.clock.monotonic() - startedAt;
    recorder.computed(ms);
    report(this.space, flight, { outcome: 'ok', ms });
    this.arrived(flight, fence, { value, context, computeMs: ms });
  }

  private arrived(flight: Flight, fence: Fence, arrival: Arrival): void {
    const { payload, isCurrent } = settle(this.space, flight, fence, arrival);
    this.staleServing.recovered(flight.key);
    const late = isCurrent ? [] : [...flight.waiters].filter((waiter) => waiter.askedAt > fence.birth);
    for (const waiter of late) {
      flight.waiters.delete(waiter);
      if (waiter.limit !== undefined) flight.unlimit(waiter.limit);
      if (!waiter.terms.forceFresh) flight.requests--;
    }
    this.depart(flight, (waiter) => waiter.give(payload));
    for (const waiter of late) this.rebook(flight.key, waiter);
  }

  private failed(flight: Flight, error: unknown): void {
    this.staleServing.failed(flight);
    this.depart(flight, (waiter) => {
      if (!this.staleServing.serve(flight, waiter, { cause: 'compute-failed', error })) waiter.fail(error);
    });
  }

  private depart(flight: Flight, answer: (waiter: Waiter) => void): void {
    account(this.space, flight, { outcome: 'miss' });
    this.end(flight);
    for (const waiter of flight.waiters) answer(waiter);
    flight.waiters.clear();
  }

  /** Who joined after what the flight brought had been invalidated needs another flight. */
  private rebook(key: string, waiter: Waiter): void {
    const { compute, terms } = waiter;
    const purpose = terms.forceFresh ? 'forced' : 'request';
    const departure = { key, compute, terms, purpose, stale: staleInMemory(this.space, key, terms) } as const;
    const flight = this.of(key, purpose) ?? this.launch(departure);
    if (flight.answer === undefined) this.boarding.transfer(flight, waiter);
    else waiter.give(flight.answer);
  }

  private end(flight: Flight): void {
    if (flight.fence !== undefined) this.space.parts.log.close(flight.fence);
    flight.cancelLimits();
    const next = this.flights.ended(flight);
    if (next === undefined) return;
    next.stale = staleInMemory(this.space, next.key, next.terms);
    this.start(next);
  }

  /** Nobody waits any more: the late result is dropped, and the key's next caller starts anew. */
  private abandon(flight: Flight, error: unknown): void {
    this.flights.withdraw(flight);
    flight.isAbandoned = true;
    flight.abort(error);
    if (flight.fence !== undefined) {
      flight.fence.abandon();
      return;
    }
    flight.cancelLimits();
    account(this.space, flight, { outcome: 'miss' });
  }
}

/** What a computation brought. */
interface Arrival {
  readonly value: unknown;
  readonly context: FlightContext;
  readonly computeMs: number;
}

/** What becomes of it: how it is given out, and whether it still counted. */
interface Settled {
  readonly payload: Payload;
  /** Neither invalidated nor expired on the way: also for those who joined late. */
  readonly isCurrent: boolean;
}

/**
 * Stores what a flight brought, or counts why not. From the judgement to the landing nothing is awaited, and no code
 * but ours runs.
 */
function settle(space: LaneSpace, flight: Flight, fence: Fence, arrival: Arrival): Settled {
  const { value, context, computeMs } = arrival;
  const { tags, ttlMs } = context;
  const { key, terms } = flight;
  const { log, codec } = space.parts;
  const payload = Payload.of({ codec, lane: space.lane }, value);
  const { birth, number } = fence;
  const brought = { key, value, payload, tags, ttlMs, computeMs };
  const refusal = refusalOfResult(space, context, brought);
  const counts = mayLand(space, fence, tags);
  const expiredAt = log.expiredAt({ lane: space.lane, key, tags, birth }, fence);
  if (!counts) refuse(space, key, FENCED);
  else if (isCutOff(space)) refuse(space, key, CUT_OFF);
  else if (refusal !== undefined) refuse(space, key, refusal);
  else land(space, brought, { birth, flight: number, terms, expiredAt });
  return { payload, isCurrent: counts && expiredAt === undefined };
}

function refusalOfResult(space: LaneSpace, context: FlightContext, brought: Brought): Refusal | undefined {
  if (context.refusal !== undefined) return { reason: context.refusal, detail: 'the computation said so' };
  return refusalOf(space, brought);
}

/** A search through the tiers below memory that has begun, and may have ended in the same step. */
interface Look {
  readonly begun: Search;
  readonly search: Search | Promise<Search>;
  readonly startedAt: number;
}

function lookAt(space: LaneSpace, key: string, terms: Terms): Look {
  const startedAt = space.parts.clock.monotonic();
  const begun = new Search(space, key, terms);
  return { begun, search: begun.run(), startedAt };
}

/** Promotes, counts and gives out what a look found in the step of the call: nobody could have joined a flight for it. */
function serveFound(
  space: LaneSpace,
  asked: { readonly key: string; readonly terms: Terms },
  found: Found,
  look: Look,
): unknown {
  const { recorder, parts, lane } = space;
  const { key, terms } = asked;
  const { tier, record, payload } = found;
  promote(space, found, terms.refreshAhead);
  for (const missed of look.begun.missed) recorder.lookupMiss(missed);
  recorder.hit(tier, record.computeMs);
  recorder.lookedUp(parts.clock.monotonic() - look.startedAt);
  if (parts.events.wants('hit')) parts.events.emit('hit', { lane, key, tier });
  return payload.give(terms.isolation);
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
    if (flight.fence !== undefined) return undefined;
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
    return next?.fence === undefined ? next : undefined;
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
