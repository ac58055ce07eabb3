import { inSlices } from '../clock/slices.js';
import type { LogRecord } from '../invalidation/journal.js';
import type { InvalidationsSince } from '../invalidation/lane-log.js';
import type { CallOptions, Compute } from './call-options.js';
import { EncodedValue } from './encoded-value.js';
import { Flight, FlightContext } from './in-flight/computation.js';
import type { Invalidations } from './invalidate.js';
import { isPartitioned, type LaneContext } from './lane-context.js';
import { bypassReason } from './read.js';
import { INVALIDATED, PARTITIONED, refusalOf, refuse, type Refusal, store } from './write.js';

/**
 * Stores an explicit value. It supersedes what was there and what is being computed, and its birth is the position of its
 * own record. Resolves to whether it was stored, once no tier holds an older value.
 */
export async function set(
  context: LaneContext,
  invalidations: Invalidations,
  given: { readonly key: string; readonly value: unknown; readonly call: CallOptions },
  bulk?: InvalidationsSince,
): Promise<boolean> {
  const { key, value, call } = given;
  const { lane, shared } = context;
  const encoded = EncodedValue.of({ codec: shared.codec, lane }, value, context.policy.isolation);
  const { tags, ttlMs } = call;
  const candidate = { key, value, encoded, tags, ttlMs, computeMs: 0 };
  const refusal = refusalOfKey(context, key) ?? refusalOf(context, candidate);
  const write = ({ position }: LogRecord): void => {
    if (refusal !== undefined) refuse(context, key, refusal);
    else store(context, candidate, { birth: position, flight: 0, call, expiredAt: undefined, origin: 'given' });
  };
  await invalidations.superseding(context, key, write, bulk);
  return refusal === undefined;
}

/**
 * Stores many values in slices, each key's last one. All count as handed in with the call: what is invalidated or stored
 * between the call and a key's turn wins. A value is read at its turn. Resolves to how many were stored.
 */
export async function setMany(
  context: LaneContext,
  invalidations: Invalidations,
  given: { readonly values: ReadonlyMap<string, unknown>; readonly call: CallOptions },
): Promise<number> {
  const { log } = context.shared;
  const { values, call } = given;
  const since = log.follow(context.lane);
  try {
    const stored = await inSlices([...values], async ([key, value]) => {
      if (context.shared.memory.state.state === 'off') return false;
      if (!since.names(key, call.tags)) return set(context, invalidations, { key, value, call }, since);
      refuse(context, key, INVALIDATED);
      return false;
    });
    return stored.filter(Boolean).length;
  } finally {
    log.unfollow(since);
  }
}

function refusalOfKey(context: LaneContext, key: string): Refusal | undefined {
  if (isPartitioned(context)) return PARTITIONED;
  return bypassReason(context, key) === 'excluded'
    ? { reason: 'strategy', detail: "the lane's include and exclude patterns rule this key out" }
    : undefined;
}

/**
 * Always computes, and stores the result in place of what was there.
 *
 * An invalidation during the computation wins, because the birth of the result is taken before it. At its end the result
 * supersedes the key like `set`: a computation that started in between may have read the old state.
 */
export async function computeAndSet(
  context: LaneContext,
  invalidations: Invalidations,
  asked: { readonly key: string; readonly compute: Compute<unknown>; readonly call: CallOptions },
): Promise<unknown> {
  const { key, compute, call } = asked;
  const { lane, shared } = context;
  const flight = new Flight(lane, key, compute, call, 'forced');
  const ctx = new FlightContext(context, flight);
  if (bypassReason(context, key) !== undefined) return compute(ctx);
  const guard = shared.log.openPut({ lane, key, tags: call.tags });
  try {
    const { value, computeMs } = await timed(context, flight, ctx);
    const encoded = EncodedValue.of({ codec: shared.codec, lane }, value, context.policy.isolation);
    const { tags, ttlMs } = ctx;
    const candidate = { key, value, encoded, tags, ttlMs, computeMs };
    const refusedResult = ctx.refusal ?? refusalOf(context, candidate);
    // From here to the store no code but ours runs.
    const judged = { lane, key, tags, birth: guard.birth };
    const refusal = shared.log.counts(judged, guard) ? refusedResult : INVALIDATED;
    const expiredAt = shared.log.expiredAt(judged, guard);
    await invalidations.superseding(context, key, ({ position }) => {
      if (refusal !== undefined) refuse(context, key, refusal);
      else store(context, candidate, { birth: position, flight: 0, call, expiredAt, origin: 'given' });
    });
    return refusal === undefined ? encoded.valueFor(call.isolation) : value;
  } finally {
    shared.log.close(guard);
  }
}

async function timed(
  context: LaneContext,
  flight: Flight,
  ctx: FlightContext,
): Promise<{ readonly value: unknown; readonly computeMs: number }> {
  const { shared, recorder } = context;
  const asker = shared.scopes.current;
  const wait = { flight };
  asker?.waitFor(wait);
  const startedAt = shared.clock.monotonic();
  try {
    const value = await shared.scopes.within(flight, () => flight.compute(ctx));
    const computeMs = shared.clock.monotonic() - startedAt;
    recorder.computed(computeMs);
    return { value, computeMs };
  } catch (error) {
    recorder.failed(shared.clock.monotonic() - startedAt);
    throw error;
  } finally {
    asker?.waitNoLongerFor(wait);
  }
}
