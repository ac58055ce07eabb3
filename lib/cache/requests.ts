import type { BypassReason } from '../events/reasons.js';
import type { MemoryEntry } from '../tiers/memory-entry.js';
import { isCutOff } from './cut-off.js';
import type { Flights } from './flights.js';
import type { LaneSpace } from './lane-space.js';
import type { Compute } from './options.js';
import { entryInMemory, heldPayload, staleCopyOf, staleInMemory, suits } from './read-path.js';
import { refuseReentry } from './reentrancy.js';
import type { Terms } from './terms.js';
import { computeUncached } from './uncached.js';

/** Counts a request that goes past the cache. */
export function bypass(space: LaneSpace, key: string, reason: BypassReason): void {
  space.recorder.bypass(reason);
  const { events } = space.parts;
  if (events.wants('bypass')) events.emit('bypass', { lane: space.lane, key, reason });
}

/** Why this key is not for the cache at all; undefined if it is. */
export function bypassReason(space: LaneSpace, key: string): BypassReason | undefined {
  if (space.parts.memory.state.state === 'off') return 'closed';
  if (isCutOff(space)) return 'stale-distributed';
  const { include, exclude } = space;
  if (exclude.some((pattern) => pattern.matches(key))) return 'excluded';
  if (include.length > 0 && !include.some((pattern) => pattern.matches(key))) return 'excluded';
  return undefined;
}

/** Whether a request for this key goes past the cache; counted if so. */
export function isBypassed(space: LaneSpace, key: string): boolean {
  const reason = bypassReason(space, key);
  if (reason !== undefined) bypass(space, key, reason);
  return reason !== undefined;
}

/** Serves from memory if it can, counting the hit. */
export function freshInMemory(space: LaneSpace, key: string, terms: Terms): MemoryEntry | undefined {
  const entry = entryInMemory(space, key);
  if (entry === undefined) return undefined;
  const now = space.parts.life.now();
  if (now >= entry.expiresAt || !suits(space, entry, terms)) return undefined;
  entry.accessCount++;
  entry.usedAt = now;
  space.recorder.hit('l1', entry.computeMs);
  const { events } = space.parts;
  if (events.wants('hit')) events.emit('hit', { lane: space.lane, key, tier: 'l1' });
  return entry;
}

/** Answers a request that the quick look into memory did not. */
export function request(
  space: LaneSpace,
  flights: Flights,
  asked: { readonly key: string; readonly compute: Compute<unknown>; readonly terms: Terms },
): Promise<unknown> {
  const { key, compute, terms } = asked;
  const reason = bypassReason(space, key) ?? (terms.ttlMs === 0 ? 'ttl-zero' : undefined);
  if (reason !== undefined) {
    bypass(space, key, reason);
    return computeUncached(space, key, compute, terms);
  }
  if (terms.forceFresh) {
    bypass(space, key, 'forced');
    refuseReentry(space.parts.scopes.current, space.lane, key);
    return flights.request({ key, compute, terms, purpose: 'forced', stale: staleInMemory(space, key, terms) });
  }
  const entry = freshInMemory(space, key, terms);
  if (entry !== undefined) {
    renewIfDue(space, flights, entry, asked);
    return Promise.resolve(heldPayload(space, entry).give(terms.isolation));
  }
  refuseReentry(space.parts.scopes.current, space.lane, key);
  return flights.request({ key, compute, terms, purpose: 'request', stale: staleInMemory(space, key, terms) });
}

/** One renewal in the background; the caller has been answered already. */
function renewIfDue(
  space: LaneSpace,
  flights: Flights,
  entry: MemoryEntry,
  asked: { readonly key: string; readonly compute: Compute<unknown>; readonly terms: Terms },
): void {
  const now = space.parts.life.now();
  if (now < entry.refreshAt || flights.of(asked.key, 'renewal') !== undefined) return;
  const stale = staleCopyOf(space, entry, now);
  flights.launch({ ...asked, purpose: 'renewal', stale });
}
