import { AsyncResource } from 'node:async_hooks';
import type { TierName } from '../../entries/tier-name.js';
import type { InvalidationGuard } from '../../invalidation/lane-log.js';
import type { Compute, CallOptions, ComputeContext, StaleValue } from '../call-options.js';
import type { EncodedValue } from '../encoded-value.js';
import type { FlightScope } from '../reentrancy.js';
import { type StaleCopy, staleValueOf } from '../tier-lookup.js';
import { checkTags } from '../../entries/tags.js';
import type { RefusalReason } from '../../events/reasons.js';
import { toMilliseconds, type Duration } from '../../lanes/units.js';
import type { LaneContext } from '../lane-context.js';

/** Why a flight was opened: for a caller who looks first, for one who wants it computed anew, or to renew in the background. */
export type FlightPurpose = 'request' | 'forced' | 'renewal';

/** What a caller asks of a key that memory could not answer. */
export interface ComputeRequest {
  readonly key: string;
  readonly compute: Compute<unknown>;
  readonly call: CallOptions;
  readonly purpose: FlightPurpose;
  readonly stale: StaleCopy | undefined;
}

/** The one look-up and computation of a key that all callers of the moment share. */
export class Flight {
  /** Those who still wait. */
  readonly waiters = new Set<Waiter>();
  /** Nobody waits for it any more, and what it brings is not wanted. */
  isAbandoned = false;
  /** How many requests will count with this flight's outcome, whether they still wait or not. */
  requests = 0;
  /** Put up when the flight starts; a queued flight has none, and so no birth, yet. */
  guard: InvalidationGuard | undefined;
  /** Tiers below memory that were asked and had nothing; undefined until they have been asked. */
  missed: readonly TierName[] | undefined;
  /** The tiers had nothing before another instance had its turn; they have been asked again since. */
  hasWaitedForTurn = false;
  /** What a tier answered. */
  answer: EncodedValue | undefined;
  stale: StaleCopy | undefined;
  /** The flight that callers could join until this one was asked for with force. */
  displaced: Flight | undefined;
  /** Cancels of the timers that bound it: also of callers who have left by now. Few flights have any. */
  private limits: Set<() => void> | undefined;
  private controller: AbortController | undefined;

  constructor(
    readonly key: string,
    readonly compute: Compute<unknown>,
    readonly call: CallOptions,
    public purpose: FlightPurpose,
    /** The computations that wait for this one. */
    readonly scope?: FlightScope,
  ) {}

  /** Callers who come now may wait for it. */
  get isJoinable(): boolean {
    return this.guard === undefined || this.guard.isJoinable;
  }

  limitBy(cancel: () => void): void {
    this.limits ??= new Set();
    this.limits.add(cancel);
  }

  /** The timer goes on elsewhere. */
  unlimit(cancel: () => void): void {
    this.limits?.delete(cancel);
  }

  cancelLimits(): void {
    for (const cancel of this.limits ?? []) cancel();
  }

  /** Made when the computation first asks for it. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    return this.controller.signal;
  }

  abort(reason: unknown): void {
    this.controller ??= new AbortController();
    this.controller.abort(reason);
  }
}

/** One caller waiting for a flight, with timeouts, signal and isolation of its own. */
export class Waiter {
  readonly promise: Promise<unknown>;
  /** The one it waits for, or has waited for last. */
  flight: Flight | undefined;
  /** Its soft timeout has passed: it takes a stale copy as soon as there is one. */
  isImpatient = false;
  /** Cancels its hard timeout, which bounds its flight even when it waits no more. */
  limit: (() => void) | undefined;
  private resolve: (value: unknown) => void = unset;
  private reject: (error: unknown) => void = unset;
  private cleanUps: (() => void)[] = [];

  constructor(
    public compute: Compute<unknown>,
    readonly call: CallOptions,
    /**
     * Position of the log when it asked. Taken before a flight is opened for it: the computation starts at once, and
     * may invalidate what it is about.
     */
    readonly askedAt: number,
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Its function may be called by another flight's end, and must then run as a part of its own caller. */
  keepContext(): void {
    this.compute = AsyncResource.bind(this.compute);
  }

  /** Runs once the caller has got its answer. */
  afterwards(cleanUp: () => void): void {
    this.cleanUps.push(cleanUp);
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
    for (const cleanUp of this.cleanUps) cleanUp();
    this.cleanUps = [];
  }
}

function unset(): never {
  throw new TypeError('the promise has not been made yet');
}

/** What a running computation is told, and what it said about its result. */
export class FlightContext implements ComputeContext {
  readonly key: string;
  readonly lane: string;
  readonly stale?: StaleValue<unknown>;
  private givenTags: readonly string[] | undefined;
  private givenTtlMs: number | undefined;
  private refused: RefusalReason | undefined;

  constructor(
    context: LaneContext,
    private readonly flight: Flight,
  ) {
    this.key = flight.key;
    this.lane = context.lane;
    if (flight.stale !== undefined) this.stale = staleValueOf(flight.stale, context.shared.life.now());
  }

  get signal(): AbortSignal {
    return this.flight.signal;
  }

  setTags(tags: readonly string[]): void {
    this.givenTags = checkTags([...this.tags, ...tags], this.lane);
  }

  setTtl(ttl: Duration): void {
    this.givenTtlMs = toMilliseconds(ttl, { lane: this.lane, field: 'ttl' });
  }

  skipCache(): void {
    this.refuse('skip-cache');
  }

  /** The result is returned and not stored, for this reason. */
  refuse(reason: RefusalReason): void {
    this.refused ??= reason;
  }

  get tags(): readonly string[] {
    return this.givenTags ?? this.flight.call.tags;
  }

  get ttlMs(): number {
    return this.givenTtlMs ?? this.flight.call.ttlMs;
  }

  get refusal(): RefusalReason | undefined {
    return this.refused;
  }
}
