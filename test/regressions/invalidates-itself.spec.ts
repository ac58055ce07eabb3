import { afterEach, describe, expect, it } from '@jest/globals';
import type { CacheManager } from '../../lib/index.js';
import { Caches } from '../support/caches.js';

type Change = (cache: CacheManager) => unknown;

const CHANGES: readonly (readonly [string, Change])[] = [
  ['invalidates its key', (cache) => cache.invalidate('key')],
  ['invalidates its tag', (cache) => cache.invalidateByTag('tag')],
  ['invalidates a pattern', (cache) => cache.invalidateByPattern('k*')],
  ['clears the lane', (cache) => cache.clearAll()],
  ['expires its key', (cache) => cache.expire('key')],
  ['sets its key', (cache) => cache.set('key', 'other')],
];

describe.each(CHANGES)('a computation that first %s', (_what, change) => {
  const caches = new Caches();
  afterEach(() => caches.close());

  // it invalidated its key before its first caller had joined. That caller counted as a late one, and was moved to another
  // computation, which invalidated the key as well, and so on for ever
  it('runs once, and returns its result to its callers', async () => {
    const cache = await caches.open();
    let runs = 0;
    const compute = async (): Promise<string> => {
      runs++;
      if (runs > 5) throw new Error('it runs again and again');
      await change(cache);
      return 'own';
    };
    expect(await cache.getOrSet('key', compute, { tags: ['tag'] })).toBe('own');
    expect(runs).toBe(1);
    await cache.invalidate('key');
    expect(await cache.getOrSet('key', compute, { tags: ['tag'], forceFresh: true })).toBe('own');
    expect(runs).toBe(2);
  });

  it('runs once as the computation of many keys', async () => {
    const cache = await caches.open();
    let runs = 0;
    const compute = async (missing: readonly string[]): Promise<Map<string, string>> => {
      runs++;
      if (runs > 5) throw new Error('it runs again and again');
      await change(cache);
      return new Map(missing.map((key) => [key, 'own']));
    };
    const found = await cache.getOrSetMany(['other', 'key'], compute, { tags: ['tag'] });
    expect([...found]).toEqual([
      ['other', 'own'],
      ['key', 'own'],
    ]);
    expect(runs).toBe(1);
  });
});
