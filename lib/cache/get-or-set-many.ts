import { toMilliseconds } from '../lanes/units.js';
import type { ComputeMany, CallOptions, Compute, ComputeContext, ComputeManyContext } from './call-options.js';
import { countBypass } from './in-flight/accounting.js';
import { Waiter } from './in-flight/computation.js';
import type { InFlight } from './in-flight/in-flight.js';
import type { LaneContext } from './lane-context.js';
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

/**
 * Answers several keys, with one computation for the keys that no tier has and no flight computes.
 *
 * All keys are claimed in the step of the call. The own batch runs before the flights of other callers are awaited.
 */
export async function getOrSetMany(
  context: LaneContext,
  inFlight: InFlight,
  request: ManyRequest,
): Promise<Map<string, unknown>> {
  const { keys, call } = request;
  const computeMissing: ComputeMany<unknown> = async (missing, ctx) =>
    checkComputed(await request.computeMissing(missing, ctx), context.lane);
  const past: string[] = [];
  const through: string[] = [];
  const withOlder: string[] = [];
  for (const key of keys) {
    const reason = bypassReason(context, key, call.ttlMs);
    if (reason !== undefined) countBypass(context, key, reason);
    if (reason !== undefined && HAS_OLDER.has(reason)) withOlder.push(key);
    (reason === undefined ? through : past).push(key);
  }
  const computePastKeys = (): Promise<ReadonlyMap<string, unknown>> => computePast(past, computeMissing);
  const [answers, pastValues] = await Promise.all([
    throughTheCache(context, inFlight, { keys: through, computeMissing, call }),
    past.length > 0 ? inFlight.older.removeAfter(withOlder, computePastKeys) : NOTHING,
  ]);
  for (const [key, value] of pastValues) answers.set(key, value);
  const inOrder = keys.map((key) => [key, answers.get(key)] as const);
  return new Map(inOrder.filter(([, value]) => value !== undefined));
}

const NOTHING: ReadonlyMap<string, unknown> = new Map();

async function computePast(
  keys: readonly string[],
  computeMissing: ComputeMany<unknown>,
): Promise<ReadonlyMap<string, unknown>> {
  const ignore = (): void => undefined;
  return computeMissing(keys, { signal: new AbortController().signal, setTags: ignore, setTtl: ignore });
}

async function throughTheCache(
  context: LaneContext,
  inFlight: InFlight,
  { keys, call, computeMissing }: ManyRequest,
): Promise<Map<string, unknown>> {
  const answers = new Map<string, unknown>();
  const remaining = keys.filter((key) => !answerFromMemory(context, key, call, answers));
  const { scopes, log } = context.shared;
  const asker = scopes.current;
  for (const key of remaining) inFlight.refuseCircle(key, asker);
  const purpose = call.forceFresh ? 'forced' : 'request';
  const batch = new Batch(context, computeMissing);
  // All waits are in the graph before a computation starts.
  const waiting = remaining.map((key) => {
    const waiter = new Waiter(batch.compute, call, log.position, asker);
    const joined = inFlight.of(key, purpose);
    const flight = joined ?? inFlight.enqueue({ key, compute: batch.compute, call, purpose });
    waiter.flight = flight;
    if (joined === undefined) batch.expect(key);
    return { key, waiter, flight, isOwn: joined === undefined };
  });
  for (const { key, waiter, flight, isOwn } of waiting) {
    if (isOwn) inFlight.startIfRoom(flight);
    inFlight.join(flight, waiter);
    if (flight.guard === undefined) batch.decided(key);
  }
  const settled = await Promise.allSettled(
    waiting.map(async ({ key, waiter }) => {
      const decide = (): void => batch.decided(key);
      waiter.promise.then(decide, decide);
      answers.set(key, await waiter.promise);
    }),
  );
  const failure = settled.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  return answers;
}

function answerFromMemory(
  context: LaneContext,
  key: string,
  call: CallOptions,
  answers: Map<string, unknown>,
): boolean {
  if (call.forceFresh) {
    countBypass(context, key, 'forced');
    return false;
  }
  const entry = freshInMemory(context, key, call);
  if (entry !== undefined) answers.set(key, heldValue(context, entry).valueFor(call.isolation));
  return entry !== undefined;
}

interface Claim {
  /** The flight that claims the key. */
  readonly flight: Computation | undefined;
  readonly ctx: ComputeContext;
  readonly settle: (value: unknown) => void;
  readonly fail: (error: unknown) => void;
}

/**
 * One computation for several keys, each of which is a flight of its own.
 *
 * A flight claims its key when no tier has it. When every flight of the batch has claimed its key or has an answer, the
 * function runs once for all claims.
 */
class Batch {
  private readonly claims = new Map<string, Claim>();
  private readonly undecided = new Set<string>();

  constructor(
    private readonly context: LaneContext,
    private readonly computeMissing: ComputeMany<unknown>,
  ) {}

  /** The batch waits until the flight of `key` is decided. */
  expect(key: string): void {
    this.undecided.add(key);
  }

  /** What a flight of the batch computes. */
  readonly compute: Compute<unknown> = (ctx) =>
    new Promise((settle, fail) => {
      const expected = this.undecided.has(ctx.key);
      this.claims.set(ctx.key, { flight: this.context.shared.scopes.current, ctx, settle, fail });
      // A flight that was queued starts after the others have been computed, as a batch of one.
      if (expected) this.decided(ctx.key);
      else void this.run([ctx.key]);
    });

  /** The flight of `key` has claimed it, or needs no computation of this batch. */
  decided(key: string): void {
    if (!this.undecided.delete(key) || this.undecided.size > 0 || this.claims.size === 0) return;
    void this.run([...this.claims.keys()]);
  }

  private async run(keys: readonly string[]): Promise<void> {
    const claims = new Map(keys.flatMap((key) => this.take(key)));
    const { lane, shared } = this.context;
    const batch = new Computation(lane, undefined);
    for (const { flight } of claims.values()) flight?.waitFor({ flight: batch });
    try {
      const values = await shared.scopes.within(batch, () => this.computeMissing(keys, this.contextOf(claims)));
      for (const [key, claim] of claims) claim.settle(values.get(key));
    } catch (error) {
      for (const claim of claims.values()) claim.fail(error);
    }
  }

  private take(key: string): [string, Claim][] {
    const claim = this.claims.get(key);
    this.claims.delete(key);
    return claim === undefined ? [] : [[key, claim]];
  }

  private contextOf(claims: ReadonlyMap<string, Claim>): ComputeManyContext {
    const signals = [...claims.values()].map((claim) => claim.ctx.signal);
    const controller = new AbortController();
    const allAborted = (): void => {
      const first = signals.find((signal) => !signal.aborted);
      if (first === undefined) controller.abort(signals[0]?.reason);
    };
    for (const signal of signals) signal.addEventListener('abort', allAborted, { once: true });
    return {
      signal: controller.signal,
      setTags: (key, tags) => claims.get(key)?.ctx.setTags(tags),
      setTtl: (key, ttl) => {
        toMilliseconds(ttl, { field: 'ttl' });
        claims.get(key)?.ctx.setTtl(ttl);
      },
    };
  }
}
