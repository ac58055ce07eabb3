import type { Fence } from '../invalidation/fence.js';
import type { Flight } from './flight.js';
import type { FlightContext } from './flight-context.js';
import type { LaneSpace } from './lane-context.js';
import { Payload } from './encoded-value.js';
import { isCutOff } from './tier-lookup.js';
import { CUT_OFF, FENCED, land, mayLand, refusalOf, refuse, type Brought, type Refusal } from './write.js';

/** What a computation brought. */
export interface Arrival {
  readonly value: unknown;
  readonly context: FlightContext;
  readonly computeMs: number;
}

/** What becomes of it: how it is given out, and whether it still counted. */
export interface Settled {
  readonly payload: Payload;
  /** Neither invalidated nor expired on the way: also for those who joined late. */
  readonly isCurrent: boolean;
}

/**
 * Stores what a flight brought, or counts why not. From the judgement to the landing nothing is awaited, and no code
 * but ours runs.
 */
export function settle(space: LaneSpace, flight: Flight, fence: Fence, arrival: Arrival): Settled {
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
