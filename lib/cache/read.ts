import type { BypassReason } from '../events/reasons.js';
import type { MemoryEntry } from '../tiers/memory-tier.js';
import {
  isCutOff,
  entryInMemory,
  heldPayload,
  staleCopyOf,
  staleInMemory,
  suits,
  isBehind,
  Search,
} from './tier-lookup.js';
import type { Flights } from './in-flight/in-flight.js';
import type { LaneSpace } from './lane-context.js';
import type { Compute, Terms, EntryOptions } from './call-options.js';
import { refuseReentry } from './reentrancy.js';
import { readsAsUsual } from './validate-call.js';
import { promote } from './write.js';
import { Flight, FlightContext } from './in-flight/computation.js';

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

/**
 * The hottest path there is: the resolved promise of an entry that can be handed out as it stands. It is found by one
 * look into memory, one compare with the log and one with the clock; all else takes the long way, and so does a doubt.
 */
export function quickHit(
  space: LaneSpace,
  key: string,
  options: EntryOptions | undefined,
): Promise<unknown> | undefined {
  if (options !== undefined && !readsAsUsual(options)) return undefined;
  const { parts, recorder } = space;
  const entry = space.memory.get(key);
  if (entry === undefined || entry.stamp !== parts.log.stamp || entry.schemaVersion !== 0) return undefined;
  const now = parts.life.now();
  if (now >= entry.quietUntil || (parts.shared !== undefined && now >= parts.shared.heardUntil)) return undefined;
  entry.accessCount++;
  entry.usedAt = now;
  recorder.hit('l1', entry.computeMs);
  if (parts.events.wants('hit')) parts.events.emit('hit', { lane: space.lane, key, tier: 'l1' });
  entry.promise ??= Promise.resolve(entry.held.kind === 'value' ? entry.held.value : undefined);
  return entry.promise;
}

type LookupTerms = Pick<Terms, 'version' | 'schema' | 'isolation'>;

/** Finds a key in the tiers without computing it, waiting for a flight, or serving anything past its ttl. */
export async function lookUp(space: LaneSpace, key: string, terms: LookupTerms): Promise<unknown> {
  const { recorder, parts, lane } = space;
  const entry = entryInMemory(space, key);
  const now = parts.life.now();
  if (entry !== undefined && now < entry.expiresAt && suits(space, entry, terms)) {
    entry.accessCount++;
    entry.usedAt = now;
    recorder.hit('l1', entry.computeMs);
    if (parts.events.wants('hit')) parts.events.emit('hit', { lane, key, tier: 'l1' });
    return heldPayload(space, entry).give(terms.isolation);
  }
  const fence = parts.log.open({ lane, key, tags: [] });
  try {
    let search = new Search(space, key, terms).guardedBy(fence).run();
    for (;;) {
      const done = search instanceof Promise ? await search : search;
      const { found } = done;
      if (found === undefined) return missed(space, key, done);
      if (done.stillCounts) {
        for (const tier of done.missed) recorder.lookupMiss(tier);
        recorder.hit(found.tier, found.record.computeMs);
        if (parts.events.wants('hit')) parts.events.emit('hit', { lane, key, tier: found.tier });
        promote(space, found, space.terms.refreshAhead);
        return found.payload.give(terms.isolation);
      }
      search = done.discard();
    }
  } finally {
    parts.log.close(fence);
  }
}

/** Whether a tier holds a good entry: nothing is counted, promoted or moved. */
export async function isThere(space: LaneSpace, key: string): Promise<boolean> {
  const { parts, lane } = space;
  const now = parts.life.now();
  const entry = space.memory.peek(key);
  if (entry !== undefined && now < entry.expiresAt && !isBehind(space)) {
    const candidate = { lane, key, tags: entry.tags, birth: entry.birth };
    if (parts.log.counts(candidate) && parts.log.expiredAt(candidate) === undefined) return true;
  }
  const fence = parts.log.open({ lane, key, tags: [] });
  try {
    const search = await new Search(space, key, space.terms, 'peek').guardedBy(fence).run();
    return search.found !== undefined;
  } finally {
    parts.log.close(fence);
  }
}

function missed(space: LaneSpace, key: string, search: Search): undefined {
  const { recorder, parts, lane } = space;
  for (const tier of search.missed) recorder.lookupMiss(tier);
  recorder.miss();
  if (parts.events.wants('miss')) parts.events.emit('miss', { lane, key, reason: search.reason });
  return undefined;
}

/** Computes past the cache: nothing is looked up, shared or stored, and what comes back is the computation's own value. */
async function computeUncached(
  space: LaneSpace,
  key: string,
  compute: Compute<unknown>,
  terms: Terms,
): Promise<unknown> {
  return compute(new FlightContext(space, new Flight(key, compute, terms, 'forced')));
}
