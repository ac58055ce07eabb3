import { isBehind } from './cut-off.js';
import type { LaneSpace } from './lane-space.js';
import { entryInMemory, heldPayload, Search, suits } from './read-path.js';
import type { Terms } from './terms.js';
import { promote } from './write-path.js';

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
