import type { LaneSpace } from './lane-context.js';
import { Search, type Found } from './tier-lookup.js';
import type { Terms } from './call-options.js';
import { promote } from './write.js';

/** A search through the tiers below memory that has begun, and may have ended in the same step. */
export interface Look {
  readonly begun: Search;
  readonly search: Search | Promise<Search>;
  readonly startedAt: number;
}

export function lookAt(space: LaneSpace, key: string, terms: Terms): Look {
  const startedAt = space.parts.clock.monotonic();
  const begun = new Search(space, key, terms);
  return { begun, search: begun.run(), startedAt };
}

/** Promotes, counts and gives out what a look found in the step of the call: nobody could have joined a flight for it. */
export function serveFound(
  space: LaneSpace,
  asked: { readonly key: string; readonly terms: Terms },
  found: Found,
  look: Look,
): unknown {
  const { recorder, parts, lane } = space;
  const { key, terms } = asked;
  const { tier, record, payload } = found;
  promote(space, found, terms.refreshAhead);
  for (const missed of look.begun.missed) recorder.lookupMiss(missed);
  recorder.hit(tier, record.computeMs);
  recorder.lookedUp(parts.clock.monotonic() - look.startedAt);
  if (parts.events.wants('hit')) parts.events.emit('hit', { lane, key, tier });
  return payload.give(terms.isolation);
}
