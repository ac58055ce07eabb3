import type { Invalidations } from './invalidate.js';
import type { LaneContext } from './lane-context.js';
import { EncodedValue } from './encoded-value.js';
import { isPartitioned } from './tier-lookup.js';
import { bypassReason } from './read.js';
import type { CallOptions, Compute } from './call-options.js';
import { PARTITIONED, store, refusalOf, refuse, type Refusal, FENCED, mayStore } from './write.js';
import { Flight, FlightContext } from './in-flight/computation.js';

interface PutRequest {
  readonly key: string;
  readonly value: unknown;
  readonly call: CallOptions;
}

/**
 * Stores an explicit value: born now, it supersedes whatever was there and whatever is being computed. Resolves to
 * whether it was stored, once no tier holds an older value.
 */
export async function put(context: LaneContext, invalidations: Invalidations, asked: PutRequest): Promise<boolean> {
  const { key, value, call } = asked;
  const { lane, shared } = context;
  const encoded = EncodedValue.of({ codec: shared.codec, lane }, value);
  const { tags, ttlMs } = call;
  const candidate = { key, value, encoded, tags, ttlMs, computeMs: 0 };
  const refusal = isExcluded(context, key) ?? refusalOf(context, candidate);
  await invalidations.superseding(context, key, ({ position }) => {
    if (refusal !== undefined) refuse(context, key, refusal);
    else store(context, candidate, { birth: position, flight: 0, call, expiredAt: undefined });
  });
  return refusal === undefined;
}

function isExcluded(context: LaneContext, key: string): Refusal | undefined {
  if (isPartitioned(context)) return PARTITIONED;
  return bypassReason(context, key) === 'excluded'
    ? { reason: 'strategy', detail: "the lane's include and exclude patterns leave this key out" }
    : undefined;
}

/**
 * Always computes, and stores the result in place of whatever was there.
 *
 * Its birth is taken before the computation, so that what is invalidated meanwhile is not stored. When it ends it
 * supersedes the key like an explicit `set`: a computation that started while this one ran may have read the old state.
 */
export async function computeAndPut(
  context: LaneContext,
  invalidations: Invalidations,
  asked: { readonly key: string; readonly compute: Compute<unknown>; readonly call: CallOptions },
): Promise<unknown> {
  const { key, compute, call } = asked;
  const { lane, shared } = context;
  const flight = new Flight(key, compute, call, 'forced');
  const ctx = new FlightContext(context, flight);
  if (bypassReason(context, key) !== undefined) return compute(ctx);
  const guard = shared.log.open({ lane, key, tags: call.tags });
  try {
    const { value, computeMs } = await timed(context, asked, ctx);
    const encoded = EncodedValue.of({ codec: shared.codec, lane }, value);
    const { tags, ttlMs } = ctx;
    const candidate = { key, value, encoded, tags, ttlMs, computeMs };
    const said = refusalByCaller(ctx) ?? refusalOf(context, candidate);
    // From here to the landing no code but ours runs.
    const refusal = mayStore(context, guard, tags) ? said : FENCED;
    const expiredAt = shared.log.expiredAt({ lane, key, tags, birth: guard.birth }, guard);
    await invalidations.superseding(context, key, ({ position }) => {
      if (refusal !== undefined) refuse(context, key, refusal);
      else store(context, candidate, { birth: position, flight: 0, call, expiredAt });
    });
    return refusal === undefined ? encoded.valueFor(call.isolation) : value;
  } finally {
    shared.log.close(guard);
  }
}

async function timed(
  context: LaneContext,
  asked: { readonly key: string; readonly compute: Compute<unknown> },
  ctx: FlightContext,
): Promise<{ readonly value: unknown; readonly computeMs: number }> {
  const { shared, recorder, lane } = context;
  let isOver = false;
  const holds = (other: string): boolean => !isOver && other === asked.key;
  const scope = { lane, holds, outer: shared.scopes.current };
  const startedAt = shared.clock.monotonic();
  try {
    const value = await shared.scopes.within(scope, () => asked.compute(ctx));
    const computeMs = shared.clock.monotonic() - startedAt;
    recorder.computed(computeMs);
    return { value, computeMs };
  } catch (error) {
    recorder.failed(shared.clock.monotonic() - startedAt);
    throw error;
  } finally {
    isOver = true;
  }
}

function refusalByCaller(ctx: FlightContext): Refusal | undefined {
  if (ctx.refusal === undefined) return undefined;
  return { reason: ctx.refusal, detail: 'the computation said so' };
}
