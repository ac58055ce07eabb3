import type { TierName } from '../../entries/tier-name.js';
import type { BypassReason, MissReason } from '../../events/reasons.js';
import type { LaneContext } from '../lane-context.js';
import type { Flight } from './computation.js';

/** Counts one hit, and emits it. Every hit of every tier is counted here. */
export function countHit(
  { recorder, shared, lane }: LaneContext,
  key: string,
  tier: TierName,
  computeMs: number,
): void {
  recorder.hit(tier, computeMs);
  if (shared.events.wantsHits) shared.events.emit('hit', { lane, key, tier });
}

/** Counts a request that goes past the cache, and emits it. */
export function countBypass({ recorder, shared, lane }: LaneContext, key: string, reason: BypassReason): void {
  recorder.bypass(reason);
  if (shared.events.wants('bypass')) shared.events.emit('bypass', { lane, key, reason });
}

/** Emits that no tier had an entry. The miss is counted with the request. */
export function emitMiss({ shared, lane }: LaneContext, key: string, reason: MissReason): void {
  if (shared.events.wants('miss')) shared.events.emit('miss', { lane, key, reason });
}

/** How a flight ended: a tier had the value, or it was computed. */
export type FlightOutcome =
  { readonly outcome: 'hit'; readonly tier: TierName; readonly computeMs: number } | { readonly outcome: 'miss' };

/**
 * Counts the requests of a flight that has ended.
 *
 * If a tier answered, each request counts as if it had looked for itself. If the value was computed, the request that
 * opened the flight did the looking, and the others joined.
 */
export function countFlight(context: LaneContext, flight: Flight, result: FlightOutcome): void {
  const { recorder } = context;
  const { requests, missed, key } = flight;
  const lookers = result.outcome === 'hit' ? requests : Math.min(requests, missed === undefined ? 0 : 1);
  for (let looker = 0; looker < lookers; looker++) for (const tier of missed ?? []) recorder.lookupMiss(tier);
  for (let request = 0; request < requests; request++) {
    if (result.outcome === 'hit') countHit(context, key, result.tier, result.computeMs);
    else recorder.miss();
    if (result.outcome === 'miss' && request >= lookers) recorder.joined();
  }
}

export interface ComputationEnd {
  readonly outcome: 'ok' | 'failed' | 'timeout' | 'aborted';
  readonly ms: number;
  readonly error?: unknown;
}

/** Emits how a computation ended. */
export function emitCompute(context: LaneContext, flight: Flight, end: ComputationEnd): void {
  const { events } = context.shared;
  if (!events.wants('compute')) return;
  events.emit('compute', {
    ...end,
    lane: context.lane,
    key: flight.key,
    background: flight.purpose === 'refresh' || flight.waiters.size === 0,
  });
}
