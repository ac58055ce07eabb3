import { plausibleMs } from '../../clock/clock.js';
import { ComputeTimeoutError } from '../../errors/cache.errors.js';
import { causeText } from '../../events/event-texts.js';
import type { TierName } from '../../entries/tier-name.js';
import type { InvalidationGuard } from '../../invalidation/lane-log.js';
import type { MemoryEntry } from '../../tiers/memory-tier.js';
import { EncodedValue } from '../encoded-value.js';
import { isPartitioned, isShared, type LaneContext } from '../lane-context.js';
import type { OlderValues } from '../invalidate.js';
import {
  entryInMemory,
  type Found,
  fresherOf,
  heldValue,
  matchesCall,
  staleInMemory,
  TierSearch,
} from '../tier-lookup.js';
import type { Turns } from '../turns.js';
import { type Computation, Queue, refuseCircle } from '../wait-graph.js';
import { GIVEN_UP, INVALIDATED, PARTITIONED, TURN_LOST, promote, refusalOf, refuse, store } from '../write.js';
import { AbandonedComputations } from './abandoned.js';
import {
  type ComputationEnd,
  countFlight,
  emitCompute,
  asyncContextNow,
  type ComputeRequest,
  Flight,
  FlightContext,
  type FlightPurpose,
  Waiter,
  StaleServing,
  Waiters,
} from './flight.js';

/** A key is computed at most this many times at once: one flight that was invalidated, and one that callers may join. */
const COMPUTATIONS_PER_KEY = 2;
const NONE: readonly Flight[] = Object.freeze([]);

/**
 * Single flight: the callers of a key share one look-up and one computation of it.
 *
 * A flight takes its birth, searches the tiers below memory, and computes if they have nothing. It takes another birth then if
 * others of the key run, so that births have the order of the computations. Per key at most one flight can be joined. A
 * flight that was invalidated runs on, and the next caller opens another. When two run, the next one is queued, and all
 * who come share it. A flight that was given up at its hardTimeout does not count.
 */
export class InFlight {
  readonly waiters: Waiters;
  private readonly staleServing: StaleServing;
  /** The flight of each key that callers may join. */
  private readonly joinable = new Map<string, Flight>();
  /** The flights of a key that run. */
  private readonly running = new Map<string, readonly Flight[]>();
  /** Made when the first computation is given up. */
  private abandoned: AbandonedComputations | undefined;

  constructor(
    private readonly context: LaneContext,
    readonly older: OlderValues,
  ) {
    this.staleServing = new StaleServing(context);
    this.waiters = new Waiters(context, this.staleServing, {
      overdue: (flight) => this.withdraw(flight),
      abandon: (flight, error) => this.abandon(flight, error),
    });
  }

  /** Flights that have started and have not ended. */
  get size(): number {
    let size = 0;
    for (const flights of this.running.values()) size += flights.length;
    return size;
  }

  /** The flight that a caller of `purpose` may wait for. */
  of(key: string, purpose: FlightPurpose): Flight | undefined {
    const flight = this.joinable.get(key);
    if (flight === undefined || !flight.isJoinable) return undefined;
    if (purpose !== 'forced' || flight.purpose === 'forced') return flight;
    if (flight.state.phase !== 'queued') return undefined;
    // It has not started, so it can still go straight to the computation.
    flight.purpose = 'forced';
    return flight;
  }

  /** Whether callers get the stale copy because the key's source failed a moment ago. */
  isBackingOff(key: string): boolean {
    return this.staleServing.isBackingOff(key);
  }

  /** Whether a flight that is opened now has to be queued. */
  isCrowded(key: string): boolean {
    return this.runningOf(key).length >= COMPUTATIONS_PER_KEY;
  }

  /** Throws ReentrantError if the computation that asks for the key would wait for itself. */
  refuseCircle(key: string, asker: Computation | undefined): void {
    if (asker === undefined) return;
    const running = this.runningOf(key);
    const joinable = this.joinable.get(key);
    const wanted: Computation[] = running.filter(
      (flight) => flight === asker || (flight === joinable && flight.isJoinable),
    );
    if (wanted.length === 0 && this.isCrowded(key)) wanted.push(new Queue(this.context.lane, key, running));
    refuseCircle(asker, wanted);
  }

  /** Lets a caller wait for the flight that it can join. Else opens one, which takes over the search that has begun. */
  wait(asked: ComputeRequest, joined: Flight | undefined, search?: TierSearch): Promise<unknown> {
    const { shared } = this.context;
    const waiter = new Waiter(asked.compute, asked.call, shared.log.position, shared.scopes.current);
    const flight = joined ?? this.enqueue(asked);
    waiter.flight = flight;
    if (joined === undefined) this.startIfRoom(flight, search);
    this.join(flight, waiter);
    if (joined !== undefined) shared.tracing?.joined(flight, this.context.lane, asked.key, waiter.promise);
    return waiter.promise;
  }

  /** Lets a caller wait for a flight, or gives it the answer. */
  join(flight: Flight, waiter: Waiter): void {
    const { state } = flight;
    if (state.phase === 'answered') waiter.give(state.answer);
    else this.waiters.join(flight, waiter);
  }

  /** Opens a flight that renews an entry in the background, for which nobody waits. */
  refresh(asked: ComputeRequest): void {
    this.startIfRoom(this.enqueue(asked));
  }

  /** Makes a flight that callers can wait for. It runs from `startIfRoom` on. */
  enqueue({ key, compute, call, purpose, asyncContext }: ComputeRequest): Flight {
    // The end of another flight starts a queued one, which must not run as a part of that other.
    const runsIn = asyncContext ?? (this.isCrowded(key) ? asyncContextNow() : undefined);
    const flight = new Flight(this.context.lane, key, compute, call, purpose, runsIn);
    flight.displaced = this.joinable.get(key);
    this.joinable.set(key, flight);
    return flight;
  }

  /** Starts a flight, or queues it behind those of its key. It may have its answer when this returns. */
  startIfRoom(flight: Flight, search?: TierSearch): void {
    const { key } = flight;
    if (this.isCrowded(key)) flight.state = { phase: 'queued', behind: () => this.runningOf(key) };
    else this.start(flight, search);
  }

  /** The function that computes a flight is called in this step, which may be later than the flight began to compute. */
  begins(flight: Flight): void {
    const { state } = flight;
    if (state.phase !== 'computing') return;
    this.dropStale(flight);
    flight.state = { ...state, guard: this.guardOfComputation(flight, state.guard) };
  }

  /** Aborts the signal of every computation. What they return still goes to those who wait. */
  abortAll(reason: unknown): void {
    for (const flights of this.running.values()) for (const flight of flights) flight.abort(reason);
  }

  private runningOf(key: string): readonly Flight[] {
    return this.running.get(key) ?? NONE;
  }

  private start(flight: Flight, search?: TierSearch): void {
    const { shared, lane } = this.context;
    const { key, call } = flight;
    if (this.context.memory.peek(key) !== undefined) flight.stale = staleInMemory(this.context, key, call);
    const { purpose } = flight;
    const others = this.running.get(key);
    this.running.set(key, others === undefined ? [flight] : [...others, flight]);
    // So that their births tell which is older.
    if (others !== undefined) shared.log.pass();
    const guard = shared.log.open({ lane, key, tags: call.tags });
    flight.state = { phase: 'searching', guard };
    if (purpose === 'refresh' && call.hardTimeoutMs !== null) this.waiters.limitRefresh(flight, call.hardTimeoutMs);
    if (purpose === 'request') this.follow(flight, guard, search ?? this.searchFor(flight));
    else if (purpose === 'refresh' && isShared(this.context)) this.follow(flight, guard, this.searchFor(flight));
    else void this.compute(flight, guard);
  }

  /** A refresh takes what another process has computed since the entry was stored. */
  private searchFor({ key, call, purpose }: Flight): TierSearch {
    const storedAfter = purpose === 'refresh' ? this.context.memory.peek(key)?.storedAt : undefined;
    return new TierSearch(this.context, key, call, 'read', storedAfter).run();
  }

  private follow(flight: Flight, guard: InvalidationGuard, search: TierSearch): void {
    const { recorder, shared } = this.context;
    try {
      const ended = search.whenEnded(guard, (found) => {
        if (found === undefined && guard.isInvalidated && this.isOutrun(flight))
          return this.searchAgain(flight, guard, search);
        recorder.lookedUp(shared.clock.monotonic() - search.startedAt);
        this.searched(flight, guard, search, found);
      });
      ended?.catch(() => this.searchFailed(flight, guard));
    } catch {
      this.searchFailed(flight, guard);
    }
  }

  private searchFailed(flight: Flight, guard: InvalidationGuard): void {
    if (flight.state.phase === 'searching') void this.compute(flight, guard);
  }

  /**
   * The key was invalidated during the search, so what the tiers had does not count. Another instance may have stored a
   * newer value since. The flight searches anew, once, unless another was opened or memory holds a newer value.
   */
  private isOutrun(flight: Flight): boolean {
    if (flight.hasSearchedAgain || flight.isAbandoned) return false;
    return this.joinable.get(flight.key) === flight && this.context.memory.peek(flight.key) === undefined;
  }

  /** All who wait have asked before the new birth, so what the flight finds or computes is for them too. */
  private searchAgain(flight: Flight, guard: InvalidationGuard, search: TierSearch): void {
    const { shared, lane } = this.context;
    this.dropStale(flight);
    shared.log.close(guard);
    flight.hasSearchedAgain = true;
    const again = search.again();
    const fresh = shared.log.open({ lane, key: flight.key, tags: flight.call.tags });
    flight.state = { phase: 'searching', guard: fresh };
    this.follow(flight, fresh, again);
  }

  private searched(flight: Flight, guard: InvalidationGuard, search: TierSearch, found: Found | undefined): void {
    const { missed, stale, reason } = search;
    const { turns } = this.context;
    if (flight.isAbandoned) return;
    const stored = found === undefined ? this.storedMeanwhile(flight, guard) : undefined;
    if (stored !== undefined) {
      const { computeMs } = stored;
      this.answer(flight, guard, { encoded: heldValue(this.context, stored), tier: 'l1', computeMs });
      return;
    }
    if (found === undefined && this.handsOver(flight, guard)) return;
    flight.missed = missed;
    flight.mayHaveOlder = search.mayHoldOlder;
    if (stale !== undefined) flight.stale = fresherOf(flight.stale, stale);
    if (found !== undefined) {
      promote(this.context, found, flight.call.refreshAhead);
      this.answer(flight, guard, { encoded: found.encoded, tier: found.tier, computeMs: found.record.computeMs });
      return;
    }
    if (!flight.hasWaitedForTurn && flight.purpose !== 'refresh') this.context.recorder.notFound(flight.key, reason);
    if (stale !== undefined) this.waiters.staleFound(flight);
    if (flight.stale !== undefined && this.staleServing.isBackingOff(flight.key))
      this.serveStaleOrCompute(flight, guard);
    else if (turns === undefined || flight.turn !== undefined) void this.compute(flight, guard);
    else void this.takeTurn(flight, guard, turns);
  }

  /** What was stored in memory while the flight searched below it. Its callers need no computation, which would replace it. */
  private storedMeanwhile({ key, call, purpose }: Flight, guard: InvalidationGuard): MemoryEntry | undefined {
    if (purpose !== 'request' || !guard.isInvalidated) return undefined;
    const { context } = this;
    const entry = entryInMemory(context, key);
    if (entry === undefined || context.shared.life.now() >= entry.expiresAt) return undefined;
    return matchesCall(context, entry, call) ? entry : undefined;
  }

  /**
   * Whether those who wait were given to another flight, which was opened when the key was invalidated during this one's
   * search. They have asked before that, so they need no second computation.
   */
  private handsOver(flight: Flight, guard: InvalidationGuard): boolean {
    const { key } = flight;
    const other = guard.isJoinable || flight.purpose !== 'request' ? undefined : this.of(key, 'request');
    if (other === undefined || other === flight) return false;
    const waiters = [...flight.waiters];
    try {
      for (const { asker } of waiters) this.refuseCircle(key, asker);
    } catch {
      return false;
    }
    for (const waiter of waiters) this.takeFrom(flight, waiter);
    // Its batch does not wait for the other one.
    flight.blocked?.();
    this.settle(flight, guard, () => undefined);
    for (const waiter of waiters) this.retry(key, waiter);
    return true;
  }

  /** The caller waits for this flight no more, and does not count with it. */
  private takeFrom(flight: Flight, waiter: Waiter): void {
    flight.waiters.delete(waiter);
    if (waiter.limit !== undefined) flight.unlimit(waiter.limit);
    if (!waiter.call.forceFresh) flight.requests--;
  }

  /** A tier had it: answers all who wait. */
  private answer(flight: Flight, guard: InvalidationGuard, { encoded, tier, computeMs }: TierAnswer): void {
    flight.state = { phase: 'answered', answer: encoded };
    if (flight.requests === 0 && flight.purpose === 'request') flight.requests = 1;
    countFlight(this.context, flight, { outcome: 'hit', tier, computeMs });
    this.end(flight, guard);
    for (const waiter of flight.waiters) waiter.give(encoded);
    flight.waiters.clear();
  }

  /** The source failed a moment ago and is not asked again yet. Callers who accept the stale copy get it. */
  private serveStaleOrCompute(flight: Flight, guard: InvalidationGuard): void {
    // Callers join in the step in which the flight is opened, so all of them are here one microtask later.
    queueMicrotask(() => {
      if (flight.isAbandoned) return;
      for (const waiter of flight.waiters) {
        if (this.staleServing.serve(flight, waiter, { cause: 'compute-failed' })) flight.waiters.delete(waiter);
      }
      if (flight.waiters.size > 0) void this.compute(flight, guard);
      else this.settle(flight, guard, () => undefined);
    });
  }

  /** Processes compute the key one at a time. Another one may have stored it since the tiers were asked, so they are asked again. */
  private async takeTurn(flight: Flight, guard: InvalidationGuard, turns: Turns): Promise<void> {
    const { lane, shared } = this.context;
    const taken = turns.take(lane, flight.key, flight.blocked);
    const turn = await (shared.tracing === undefined ? taken : shared.tracing.wait('for a turn', lane, taken));
    flight.hasWaitedForTurn = true;
    if (flight.isAbandoned) {
      if (turn !== 'ended') turn.end();
      return;
    }
    if (turn !== 'ended') flight.turn = turn;
    this.follow(flight, guard, this.searchFor(flight));
  }

  private async compute(flight: Flight, opened: InvalidationGuard): Promise<void> {
    const { shared } = this.context;
    this.dropStale(flight);
    const fullBy = this.abandoned?.fullBy(flight.key);
    if (fullBy !== undefined) return this.refuseToCompute(flight, opened, fullBy.timeoutMs);
    const ctx = new FlightContext(this.context, flight);
    const startedAt = shared.clock.monotonic();
    flight.state = { phase: 'computing', guard: this.guardOfComputation(flight, opened), startedAt };
    const cost = this.context.costs?.begin();
    flight.cost = cost;
    let value: unknown;
    try {
      value = await flight.run(() => shared.scopes.within(flight, () => this.called(flight, ctx)));
    } catch (error) {
      cost?.end();
      this.ended(flight, { outcome: 'failed', ms: shared.clock.monotonic() - startedAt, error });
      if (flight.guard !== undefined) this.failed(flight, flight.guard, error);
      return;
    }
    const computeMs = plausibleMs(cost?.end() ?? shared.clock.monotonic() - startedAt);
    this.ended(flight, { outcome: 'ok', ms: computeMs });
    for (let wait = this.untilStorable(flight, ctx); wait !== undefined; wait = this.untilStorable(flight, ctx)) {
      // oxlint-disable-next-line no-await-in-loop -- it stores in the step in which nothing is left to wait for
      await wait;
    }
    const { guard } = flight;
    if (guard === undefined) refuse(this.context, flight.key, GIVEN_UP);
    else this.computed(flight, guard, { value, ctx, computeMs });
  }

  /** The guard knows what was invalidated since the copy was found. The next guard does not. */
  private dropStale(flight: Flight): void {
    if (flight.stale !== undefined && !this.staleServing.stillCounts(flight)) flight.stale = undefined;
  }

  /**
   * The births of a key's flights tell which result is newer, so they have the order in which the computations began. A
   * flight that searched while others ran takes another birth, and so does one during whose search anything was invalidated
   * or expired: its computation may add the tag.
   */
  private guardOfComputation(flight: Flight, opened: InvalidationGuard): InvalidationGuard {
    const { log } = this.context.shared;
    const isAlone = opened.isJoinable && this.runningOf(flight.key).length < 2;
    if (isAlone && log.position === opened.birth) return opened;
    flight.mayHaveOlder ||= !isAlone || opened.hasOlder;
    log.close(opened);
    if (!isAlone) log.pass();
    return log.open(opened.subject);
  }

  /**
   * Undefined when the result may be stored, in this step: there is room for it, and its turn is still held. Else what to
   * wait for. The function has answered in time, so its callers' limits do not count while it waits for room.
   */
  private untilStorable(flight: Flight, ctx: FlightContext): Promise<void> | undefined {
    // One that was given up has ended its turn, and is not stored.
    if (flight.isAbandoned) return undefined;
    const room = flight.whenRoom?.();
    if (room !== undefined) {
      flight.cancelLimits();
      ctx.hasAskedForTurn = false;
      return room;
    }
    const { turn } = flight;
    if (turn === undefined || ctx.hasAskedForTurn) return undefined;
    ctx.hasAskedForTurn = true;
    return turn.isHeld().then((isHeld) => {
      if (!isHeld && !flight.isAbandoned) ctx.refusal ??= TURN_LOST;
    });
  }

  /**
   * Calls the function of the flight. Async, so that one that throws at once fails no sooner than its callers have joined, and
   * so that what a thenable begins when it is awaited is part of the flight.
   */
  private async called(flight: Flight, ctx: FlightContext): Promise<unknown> {
    const { tracing } = this.context.shared;
    const compute = (): unknown =>
      flight.cost === undefined ? flight.compute(ctx) : flight.cost.measure(() => flight.compute(ctx));
    return tracing === undefined ? compute() : tracing.compute(flight, ctx.lane, ctx.key, async () => compute());
  }

  /** Counts and emits that a computation has ended. */
  private ended(flight: Flight, end: ComputationEnd): void {
    if (end.outcome === 'ok') this.context.recorder.computed(end.ms);
    else this.context.recorder.failed(end.ms);
    flight.endAbandoned?.();
    emitCompute(this.context, flight, end);
  }

  /** Too many computations of the key that were given up still run. No other is started. */
  private async refuseToCompute(flight: Flight, guard: InvalidationGuard, timeoutMs: number): Promise<void> {
    const { lane } = this.context;
    // All callers have joined one microtask later.
    await Promise.resolve();
    if (!flight.isAbandoned)
      this.failed(flight, guard, new ComputeTimeoutError(lane, flight.key, timeoutMs, 'crowded'));
  }

  /** Stores the result if it still counts, and gives it to those who asked before it was invalidated. */
  private computed(flight: Flight, guard: InvalidationGuard, result: ComputeResult): void {
    const { encoded, isCurrent } = storeResult(this.context, this.older, { flight, guard, result });
    this.staleServing.recovered(flight.key);
    const late = isCurrent ? [] : [...flight.waiters].filter((waiter) => waiter.askedAt > guard.birth);
    for (const waiter of late) this.takeFrom(flight, waiter);
    this.settle(flight, guard, (waiter) => waiter.give(encoded));
    for (const waiter of late) this.retry(flight.key, waiter);
  }

  private failed(flight: Flight, guard: InvalidationGuard, error: unknown): void {
    this.staleServing.failed(flight);
    this.settle(flight, guard, (waiter) => {
      if (!this.staleServing.serve(flight, waiter, { cause: 'compute-failed', error })) waiter.fail(error);
    });
  }

  /** Ends a flight that no tier answered, and answers all who wait. */
  private settle(flight: Flight, guard: InvalidationGuard, answer: (waiter: Waiter) => void): void {
    countFlight(this.context, flight, { outcome: 'miss' });
    this.end(flight, guard);
    for (const waiter of flight.waiters) answer(waiter);
    flight.waiters.clear();
  }

  /** A caller who joined after the result had been invalidated needs another flight. */
  private retry(key: string, waiter: Waiter): void {
    const { compute, call, asker, asyncContext } = waiter;
    try {
      this.refuseCircle(key, asker);
    } catch (error) {
      waiter.fail(error);
      return;
    }
    const purpose = call.forceFresh ? 'forced' : 'request';
    const joined = this.of(key, purpose);
    const flight = joined ?? this.enqueue({ key, compute, call, purpose, asyncContext });
    waiter.flight = flight;
    if (joined === undefined) this.startIfRoom(flight);
    if (flight.state.phase !== 'answered') return this.waiters.transfer(flight, waiter);
    waiter.limit?.();
    waiter.give(flight.state.answer);
  }

  /** Closes the flight, and starts the one that is queued behind it. */
  private end(flight: Flight, guard: InvalidationGuard): void {
    const { key } = flight;
    this.context.shared.log.close(guard);
    flight.turn?.end();
    flight.cancelLimits();
    const running = this.runningOf(key);
    if (running.length > 1)
      this.running.set(
        key,
        running.filter((other) => other !== flight),
      );
    else if (running[0] === flight) this.running.delete(key);
    this.withdraw(flight);
    const next = this.joinable.get(key);
    if (next?.state.phase === 'queued') this.start(next);
  }

  /**
   * Lets nobody join the flight any more, if it was the one to join. Callers may join again the flight that it displaced,
   * if that one still runs and counts.
   */
  private withdraw(flight: Flight): void {
    const { key, displaced } = flight;
    if (this.joinable.get(key) !== flight) return;
    if (displaced !== undefined && this.runningOf(key).includes(displaced) && displaced.isJoinable)
      this.joinable.set(key, displaced);
    else this.joinable.delete(key);
  }

  /** Nobody waits any more. The late result is dropped, and the key's next caller opens another flight. */
  private abandon(flight: Flight, error: ComputeTimeoutError): void {
    const { guard, key } = flight;
    if (flight.state.phase === 'computing') {
      this.abandoned ??= new AbandonedComputations(this.context);
      flight.endAbandoned = this.abandoned.add(key, error);
    }
    flight.abandon();
    countFlight(this.context, flight, { outcome: 'miss' });
    this.withdraw(flight);
    flight.abort(error);
    if (guard === undefined) flight.cancelLimits();
    else this.end(flight, guard);
  }
}

interface TierAnswer {
  readonly encoded: EncodedValue;
  readonly tier: TierName;
  readonly computeMs: number;
}

/** What a computation returned. */
interface ComputeResult {
  readonly value: unknown;
  readonly ctx: FlightContext;
  readonly computeMs: number;
}

interface EndedFlight {
  readonly flight: Flight;
  readonly guard: InvalidationGuard;
  readonly result: ComputeResult;
}

interface StoredResult {
  readonly encoded: EncodedValue;
  /** It was neither invalidated nor expired while it was computed, so late joiners get it too. */
  readonly isCurrent: boolean;
}

/**
 * Stores the result of a flight, or counts why not. From the judgement to the store nothing is awaited, and no code but
 * ours runs.
 */
function storeResult(context: LaneContext, older: OlderValues, ended: EndedFlight): StoredResult {
  try {
    return storeOrRefuse(context, older, ended);
  } catch (error) {
    // Whatever fails here is no trouble of the callers. They get the value, and none is kept.
    const { flight, guard, result } = ended;
    older.remove(guard);
    const detail = `storing it failed: ${causeText(error)}`;
    refuse(context, flight.key, { reason: 'unstorable', detail });
    return {
      encoded: EncodedValue.asItIs({ codec: context.shared.codec, lane: context.lane }, result.value, detail),
      isCurrent: false,
    };
  }
}

function storeOrRefuse(context: LaneContext, older: OlderValues, ended: EndedFlight): StoredResult {
  const { flight, guard, result } = ended;
  const { value, ctx, computeMs } = result;
  const { lane, shared } = context;
  const { key, call } = flight;
  const { tags, ttlMs } = ctx;
  const encoded = EncodedValue.of({ codec: shared.codec, lane }, value, context.policy.isolation);
  const candidate = { key, value, encoded, tags, ttlMs, computeMs };
  const refusal = ctx.refusal ?? refusalOf(context, candidate);
  const judged = { lane, key, tags, birth: guard.birth };
  const counts = shared.log.counts(judged, guard);
  const expiredAt = shared.log.expiredAt(judged, guard);
  const refused = counts ? (isPartitioned(context) ? PARTITIONED : refusal) : INVALIDATED;
  const origin = flight.purpose === 'request' ? 'computed' : 'given';
  if (refused === undefined) {
    const turn = flight.turn?.token;
    store(context, candidate, { birth: guard.birth, flight: guard.number, call, expiredAt, origin, turn });
  } else {
    // What the process stores that has the turn now is not older. Before the refusal, because a listener may store another value.
    if (refused !== TURN_LOST && !guard.isSuperseded && mayHaveOlder(context, flight, guard)) older.remove(guard);
    refuse(context, key, refused);
  }
  return { encoded, isCurrent: counts && expiredAt === undefined };
}

/** A flight that has searched all tiers and found nothing leaves nothing older, unless it was stored since. */
function mayHaveOlder(context: LaneContext, flight: Flight, guard: InvalidationGuard): boolean {
  if (flight.purpose !== 'request' || flight.mayHaveOlder || guard.hasOlder) return true;
  return context.memory.peek(flight.key) !== undefined;
}
