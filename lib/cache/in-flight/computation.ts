import { AsyncResource } from 'node:async_hooks';
import { checkTags } from '../../entries/tags.js';
import type { TierName } from '../../entries/tier-name.js';
import type { RefusalReason } from '../../events/reasons.js';
import type { InvalidationGuard } from '../../invalidation/lane-log.js';
import { toMilliseconds, type Duration } from '../../lanes/units.js';
import type { Compute, CallOptions, ComputeContext, StaleValue } from '../call-options.js';
import type { EncodedValue } from '../encoded-value.js';
import type { LaneContext } from '../lane-context.js';
import { type StaleCopy, staleValueOf } from '../tier-lookup.js';
import type { ComputeCost } from './compute-cost.js';
import { warnOfMilliseconds } from '../validate-call.js';
import type { Turn } from '../turns.js';
import { Computation, type Wait } from '../wait-graph.js';
import type { Refusal } from '../write.js';

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
  /** Called when another process has its turn. */
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
