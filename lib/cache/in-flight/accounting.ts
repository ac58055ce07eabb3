import type { TierName } from '../../entries/tier-name.js';
import type { Flight } from './computation.js';
import type { LaneContext } from '../lane-context.js';

export type FlightOutcome =
  { readonly outcome: 'hit'; readonly tier: TierName; readonly computeMs: number } | { readonly outcome: 'miss' };

/**
 * Counts the requests of a flight that has ended.
 *
 * Those answered by a tier count as if each had looked for itself. Of those answered by a computation, the one who
 * opened the flight did the looking, and the others joined.
 */
export function account(context: LaneContext, flight: Flight, result: FlightOutcome): void {
  const { recorder, shared, lane } = context;
  const { requests, missed, key } = flight;
  const lookers = result.outcome === 'hit' ? requests : Math.min(requests, missed === undefined ? 0 : 1);
  for (let looker = 0; looker < lookers; looker++) for (const tier of missed ?? []) recorder.lookupMiss(tier);
  for (let request = 0; request < requests; request++) {
    if (result.outcome === 'hit') recorder.hit(result.tier, result.computeMs);
    else recorder.miss();
    if (result.outcome === 'miss' && request >= lookers) recorder.joined();
  }
  if (result.outcome === 'hit' && shared.events.wants('hit')) {
    for (let request = 0; request < requests; request++) shared.events.emit('hit', { lane, key, tier: result.tier });
  }
}

export interface ComputationEnd {
  readonly outcome: 'ok' | 'failed' | 'timeout' | 'aborted';
  readonly ms: number;
  readonly error?: unknown;
}

/** Tells who listens how a computation ended, for whoever waited. */
export function report(context: LaneContext, flight: Flight, end: ComputationEnd): void {
  const { events } = context.shared;
  if (!events.wants('compute')) return;
  events.emit('compute', {
    ...end,
    lane: context.lane,
    key: flight.key,
    background: flight.purpose === 'renewal' || flight.waiters.size === 0,
  });
}
