import { nextTurn } from '../clock/clock.js';
import { Slices } from '../clock/slices.js';
import { toMilliseconds } from '../lanes/units.js';
import type { ComputeMany, CallOptions, Compute, ComputeContext, ComputeManyContext } from './call-options.js';
import { Flight, Waiter } from './in-flight/flight.js';
import type { InFlight } from './in-flight/in-flight.js';
import { type LaneContext, whenRoom } from './lane-context.js';
import { bypassReason, freshInMemory, HAS_OLDER } from './read.js';
import { heldValue } from './tier-lookup.js';
import { checkComputed } from './validate-call.js';
import { Computation } from './wait-graph.js';

interface ManyRequest {
  /** Without duplicates. */
  readonly keys: readonly string[];
  readonly computeMissing: ComputeMany<unknown>;
  readonly call: CallOptions;
}

/** Keys that are claimed between two turns of the event loop. Tiers below memory may have a large value for each. */
const SLICE_KEYS = 16;

/**
 * Answers several keys, with one computation for the keys that no tier has and no flight computes.
 *
 * Keys are claimed in slices, between which the event loop turns; the keys of one slice in one step. The own batch runs once
 * all are claimed, and before the flights of other callers and processes are awaited.
 */
export async function getOrSetMany(
  context: LaneContext,
  inFlight: InFlight,
  request: ManyRequest,
): Promise<Map<string, unknown>> {
  const { keys, call } = request;
  const computeMissing: ComputeMany<unknown> = async (missing, ctx) =>
    checkComputed(await request.computeMissing(missing, ctx), context.lane);
  const batch = new Batch(context, inFlight, computeMissing);
  const asker = context.shared.scopes.current;
  const sorted: SortedKeys = { answers: new Map(), past: [], withOlder: [] };
  const { answers, past, withOlder } = sorted;
  const settled: Promise<readonly PromiseSettledResult<unknown>[]>[] = [];
  let circle: { readonly error: unknown } | undefined;
  for (let start = 0; start < keys.length && circle === undefined; start += SLICE_KEYS) {
    if (start > 0) await nextTurn();
    const remaining = sortSlice(context, keys.slice(start, start + SLICE_KEYS), call, sorted);
    try {
      settled.push(claimSlice(context, inFlight, { keys: remaining, call, batch, asker, answers }));
    } catch (error) {
      circle = { error };
    }
  }
  batch.allClaimed();
  const computePastKeys = (): Promise<ReadonlyMap<string, unknown>> => computePast(past, computeMissing);
  const [slices, pastValues] = await Promise.all([
    Promise.all(settled),
    past.length > 0 && circle === undefined ? inFlight.older.removeAfter(withOlder, computePastKeys) : NOTHING,
  ]);
  if (circle !== undefined) throw circle.error;
  for (const slice of slices) for (const one of slice) if (one.status === 'rejected') throw one.reason;
  for (const [key, value] of pastValues) answers.set(key, value);
  return inOrder(keys, answers);
}

/** What becomes of keys that no flight is asked for. */
interface SortedKeys {
  readonly answers: Map<string, unknown>;
  /** Keys that go past the cache. */
  readonly past: string[];
  /** Those of them of which a tier may have an older value. */
  readonly withOlder: string[];
}

/** Answers from memory what it can, and returns the keys that flights are asked for. */
function sortSlice(
  context: LaneContext,
  keys: readonly string[],
  call: CallOptions,
  { answers, past, withOlder }: SortedKeys,
): readonly string[] {
  return keys.filter((key) => {
    const reason = bypassReason(context, key, call.ttlMs);
    if (reason === undefined) return !answerFromMemory(context, key, call, answers);
    context.recorder.bypass(key, reason);
    if (HAS_OLDER.has(reason)) withOlder.push(key);
    past.push(key);
    return false;
  });
}

async function inOrder(keys: readonly string[], answers: ReadonlyMap<string, unknown>): Promise<Map<string, unknown>> {
  const ordered = new Map<string, unknown>();
  const slices = new Slices();
  for (const key of keys) {
    const value = answers.get(key);
    if (value !== undefined) ordered.set(key, value);
    const full = slices.after();
    if (full !== undefined) await full;
  }
  return ordered;
}

const NOTHING: ReadonlyMap<string, unknown> = new Map();

async function computePast(
  keys: readonly string[],
  computeMissing: ComputeMany<unknown>,
): Promise<ReadonlyMap<string, unknown>> {
  const ignore = (): void => undefined;
  return computeMissing(keys, { signal: new AbortController().signal, setTags: ignore, setTtl: ignore });
}

interface ClaimedSlice {
  readonly keys: readonly string[];
  readonly call: CallOptions;
  readonly batch: Batch;
  readonly asker: Computation | undefined;
  /** To which the values are added. */
  readonly answers: Map<string, unknown>;
}

/** Joins or opens the flights of a slice of keys, all in this step. Throws ReentrantError, and then nothing is claimed. */
function claimSlice(
  { shared }: LaneContext,
  inFlight: InFlight,
  { keys, call, batch, asker, answers }: ClaimedSlice,
): Promise<readonly PromiseSettledResult<unknown>[]> {
  for (const key of keys) inFlight.refuseCircle(key, asker);
  const purpose = call.forceFresh ? 'forced' : 'request';
  // The waits of a slice are in the graph before one of its computations starts.
  const waiting = keys.map((key) => {
    const waiter = new Waiter(batch.compute, call, shared.log.position, asker);
    const joined = inFlight.of(key, purpose);
    const flight = joined ?? inFlight.enqueue({ key, compute: batch.compute, call, purpose });
    waiter.flight = flight;
    if (joined === undefined) batch.expect(flight);
    return { key, waiter, flight, isOwn: joined === undefined };
  });
  for (const { key, waiter, flight, isOwn } of waiting) {
    if (isOwn) inFlight.startIfRoom(flight);
    inFlight.join(flight, waiter);
    if (flight.guard === undefined) batch.decided(key);
  }
  return Promise.allSettled(
    waiting.map(async ({ key, waiter }) => {
      const decide = (): void => batch.decided(key);
      waiter.promise.then(decide, decide);
      answers.set(key, await waiter.promise);
    }),
  );
}

function answerFromMemory(
  context: LaneContext,
  key: string,
  call: CallOptions,
  answers: Map<string, unknown>,
): boolean {
  if (call.forceFresh) {
    context.recorder.bypass(key, 'forced');
    return false;
  }
  const entry = freshInMemory(context, key, call);
  if (entry !== undefined) answers.set(key, heldValue(context, entry).valueFor(call.isolation));
  return entry !== undefined;
}

interface Claim {
  /** The flight that claims the key. */
  readonly flight: Flight | undefined;
  readonly ctx: ComputeContext;
  readonly settle: (value: unknown) => void;
  readonly fail: (error: unknown) => void;
}

/**
 * One computation for several keys, each of which is a flight of its own.
 *
 * A flight claims its key when no tier has it, and no other process has the turn to compute it. When all keys of the call
 * have a flight, and every flight of the batch has claimed its key, has an answer or is blocked by another process, the
 * function runs once for all claims. So the turns of the batch end whatever other processes do, and no two processes wait
 * for each other's. Flights that claim their key later are computed together with those that do so in the same turn of the
 * event loop.
 */
class Batch {
  private readonly claims = new Map<string, Claim>();
  private readonly undecided = new Set<string>();
  private hasAllKeys = false;
  /** The next keys are computed later in this turn of the event loop, with those that follow. */
  private isGathering = false;
  private hasRun = false;

  constructor(
    private readonly context: LaneContext,
    private readonly inFlight: InFlight,
    private readonly computeMissing: ComputeMany<unknown>,
  ) {}

  /** The batch waits until the flight is decided. */
  expect(flight: Flight): void {
    const { key } = flight;
    this.undecided.add(key);
    flight.blocked = () => this.decided(key);
  }

  /** What a flight of the batch computes. */
  readonly compute: Compute<unknown> = (ctx) => {
    const { current } = this.context.shared.scopes;
    const flight = current instanceof Flight ? current : undefined;
    if (flight !== undefined) flight.whenRoom = this.whenRoom;
    return new Promise((settle, fail) => {
      this.claims.set(ctx.key, { flight, ctx, settle, fail });
      this.undecided.delete(ctx.key);
      this.runIfDecided();
    });
  };

  private readonly whenRoom = (): Promise<void> | undefined => whenRoom(this.context);

  /** The flight of `key` has claimed it, or this batch does not wait for it. */
  decided(key: string): void {
    if (this.undecided.delete(key)) this.runIfDecided();
  }

  /** No more keys are expected. */
  allClaimed(): void {
    this.hasAllKeys = true;
    this.runIfDecided();
  }

  private runIfDecided(): void {
    if (!this.hasAllKeys || this.undecided.size > 0 || this.claims.size === 0 || this.isGathering) return;
    if (this.hasRun) void this.runLater();
    else void this.run([...this.claims.keys()]);
  }

  private async runLater(): Promise<void> {
    this.isGathering = true;
    await nextTurn();
    this.isGathering = false;
    await this.run([...this.claims.keys()]);
  }

  private async run(keys: readonly string[]): Promise<void> {
    this.hasRun = true;
    const { lane, shared } = this.context;
    const batch = new Computation(lane, undefined);
    const claims = new Map<string, Claim>();
    const taking = new Slices();
    for (const key of keys) {
      const claim = this.claims.get(key);
      if (claim === undefined) continue;
      this.claims.delete(key);
      claims.set(key, claim);
      claim.flight?.waitFor({ flight: batch });
      if (claim.flight !== undefined) this.inFlight.begins(claim.flight);
      const full = taking.after();
      if (full !== undefined) await full;
    }
    try {
      const values = await shared.scopes.within(batch, () => this.computeMissing(keys, this.contextOf(claims)));
      const slices = new Slices();
      for (const [key, claim] of claims) {
        claim.settle(values.get(key));
        // Those that are settled wait for room themselves. The others need not begin to.
        const full = slices.after() ?? this.whenRoom();
        if (full !== undefined) await full;
      }
    } catch (error) {
      for (const claim of claims.values()) claim.fail(error);
    }
  }

  private contextOf(claims: ReadonlyMap<string, Claim>): ComputeManyContext {
    let signal: AbortSignal | undefined;
    return {
      get signal() {
        return (signal ??= signalOfAll(claims));
      },
      setTags: (key, tags) => claims.get(key)?.ctx.setTags(tags),
      setTtl: (key, ttl) => {
        toMilliseconds(ttl, { field: 'ttl' });
        claims.get(key)?.ctx.setTtl(ttl);
      },
    };
  }
}

/** Aborts when all claims have been aborted. */
function signalOfAll(claims: ReadonlyMap<string, Claim>): AbortSignal {
  const controller = new AbortController();
  let left = claims.size;
  const count = async (): Promise<void> => {
    const slices = new Slices();
    for (const { ctx } of claims.values()) {
      const { signal } = ctx;
      const aborted = (): void => {
        left--;
        if (left === 0) controller.abort(signal.reason);
      };
      if (signal.aborted) aborted();
      else signal.addEventListener('abort', aborted, { once: true });
      const full = slices.after();
      if (full !== undefined) await full;
    }
  };
  void count();
  return controller.signal;
}
