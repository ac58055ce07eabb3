import type { Invalidations } from './invalidate.js';
import type { LaneSpace } from './lane-context.js';
import { Payload } from './encoded-value.js';
import { isCutOff } from './tier-lookup.js';
import { bypassReason } from './read.js';
import type { Terms, Compute } from './call-options.js';
import { CUT_OFF, land, refusalOf, refuse, type Refusal, FENCED, mayLand } from './write.js';
import { Flight, FlightContext } from './in-flight/computation.js';

interface PutRequest {
  readonly key: string;
  readonly value: unknown;
  readonly terms: Terms;
}

/**
 * Stores an explicit value: born now, it supersedes whatever was there and whatever is being computed. Resolves to
 * whether it was stored, once no tier holds an older value.
 */
export async function put(space: LaneSpace, invalidations: Invalidations, asked: PutRequest): Promise<boolean> {
  const { key, value, terms } = asked;
  const { lane, parts } = space;
  const payload = Payload.of({ codec: parts.codec, lane }, value);
  const { tags, ttlMs } = terms;
  const brought = { key, value, payload, tags, ttlMs, computeMs: 0 };
  const refusal = isExcluded(space, key) ?? refusalOf(space, brought);
  await invalidations.superseding(space, key, ({ position }) => {
    if (refusal !== undefined) refuse(space, key, refusal);
    else land(space, brought, { birth: position, flight: 0, terms, expiredAt: undefined });
  });
  return refusal === undefined;
}

function isExcluded(space: LaneSpace, key: string): Refusal | undefined {
  if (isCutOff(space)) return CUT_OFF;
  return bypassReason(space, key) === 'excluded'
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
  space: LaneSpace,
  invalidations: Invalidations,
  asked: { readonly key: string; readonly compute: Compute<unknown>; readonly terms: Terms },
): Promise<unknown> {
  const { key, compute, terms } = asked;
  const { lane, parts } = space;
  const flight = new Flight(key, compute, terms, 'forced');
  const context = new FlightContext(space, flight);
  if (bypassReason(space, key) !== undefined) return compute(context);
  const fence = parts.log.open({ lane, key, tags: terms.tags });
  try {
    const { value, computeMs } = await timed(space, asked, context);
    const payload = Payload.of({ codec: parts.codec, lane }, value);
    const { tags, ttlMs } = context;
    const brought = { key, value, payload, tags, ttlMs, computeMs };
    const said = saidBy(context) ?? refusalOf(space, brought);
    // From here to the landing no code but ours runs.
    const refusal = mayLand(space, fence, tags) ? said : FENCED;
    const expiredAt = parts.log.expiredAt({ lane, key, tags, birth: fence.birth }, fence);
    await invalidations.superseding(space, key, ({ position }) => {
      if (refusal !== undefined) refuse(space, key, refusal);
      else land(space, brought, { birth: position, flight: 0, terms, expiredAt });
    });
    return refusal === undefined ? payload.give(terms.isolation) : value;
  } finally {
    parts.log.close(fence);
  }
}

async function timed(
  space: LaneSpace,
  asked: { readonly key: string; readonly compute: Compute<unknown> },
  context: FlightContext,
): Promise<{ readonly value: unknown; readonly computeMs: number }> {
  const { parts, recorder, lane } = space;
  let isOver = false;
  const holds = (other: string): boolean => !isOver && other === asked.key;
  const scope = { lane, holds, outer: parts.scopes.current };
  const startedAt = parts.clock.monotonic();
  try {
    const value = await parts.scopes.within(scope, () => asked.compute(context));
    const computeMs = parts.clock.monotonic() - startedAt;
    recorder.computed(computeMs);
    return { value, computeMs };
  } catch (error) {
    recorder.failed(parts.clock.monotonic() - startedAt);
    throw error;
  } finally {
    isOver = true;
  }
}

function saidBy(context: FlightContext): Refusal | undefined {
  if (context.refusal === undefined) return undefined;
  return { reason: context.refusal, detail: 'the computation said so' };
}
