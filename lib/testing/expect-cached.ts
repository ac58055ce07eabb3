import { AssertionError } from 'node:assert';
import type { EntryInfo } from '../cache/entry-listing.js';
import type { LaneManager } from '../cache/lane-manager.js';
import type { TierName } from '../entries/tier-name.js';
import { toMilliseconds, type Duration } from '../lanes/units.js';

/** What can be asserted of a key. Each rejects with an AssertionError, which every test runner shows. */
export interface CachedAssertions {
  /** The nearest tier that holds it. */
  toBeServedBy(tier: TierName): Promise<void>;
  toBeAbsent(): Promise<void>;
  /** It carries these, and may carry others. */
  toHaveTags(...tags: readonly string[]): Promise<void>;
  /** Its life ends in this time or sooner. */
  toExpireWithin(ttl: Duration): Promise<void>;
}

/**
 * Assertions about one key of a lane. Looking counts no request and changes no order of eviction.
 *
 * @example
 * ```ts
 * await cache.set('page:7', '<h1>7</h1>', { tags: ['pages'] });
 * await expectCached(cache, 'page:7').toBeServedBy('l1');
 * await expectCached(cache, 'page:7').toHaveTags('pages');
 * ```
 */
export function expectCached(cache: LaneManager, key: string): CachedAssertions {
  const subject = `'${key}' in lane '${cache.lane}'`;
  const present = async (expected: string): Promise<EntryInfo> => {
    const entry = await find(cache, key);
    if (entry === undefined) throw failed(`Expected ${subject} ${expected}, but it is not cached.`, undefined, key);
    return entry;
  };
  return {
    async toBeServedBy(tier) {
      const { tiers } = await present(`to be served by ${tier}`);
      if (tiers[0] === tier) return;
      throw failed(`Expected ${subject} to be served by ${tier}, but it is in ${tiers.join(', ')}.`, tiers[0], tier);
    },
    async toBeAbsent() {
      const entry = await find(cache, key);
      if (entry === undefined) return;
      const { tiers, remainingMs } = entry;
      const where = `it is in ${tiers.join(', ')} for another ${Math.round(remainingMs)} ms`;
      throw failed(`Expected ${subject} not to be cached, but ${where}.`, entry, undefined);
    },
    async toHaveTags(...tags) {
      const entry = await present(`to have the tags ${tags.join(', ')}`);
      const missing = tags.filter((tag) => !entry.tags.includes(tag));
      if (missing.length === 0) return;
      const found = entry.tags.length === 0 ? 'none' : entry.tags.join(', ');
      throw failed(`Expected ${subject} to have the tags ${missing.join(', ')}; it has ${found}.`, entry.tags, tags);
    },
    async toExpireWithin(ttl) {
      const within = toMilliseconds(ttl);
      const { remainingMs } = await present(`to expire within ${within} ms`);
      if (remainingMs <= within) return;
      throw failed(
        `Expected ${subject} to expire within ${within} ms; it has ${Math.round(remainingMs)} ms left.`,
        remainingMs,
        within,
      );
    },
  };
}

async function find(cache: LaneManager, key: string): Promise<EntryInfo | undefined> {
  for await (const entry of cache.entries()) if (entry.key === key) return entry;
  return undefined;
}

function failed(message: string, actual: unknown, expected: unknown): AssertionError {
  return new AssertionError({ message, actual, expected, operator: 'expectCached' });
}
