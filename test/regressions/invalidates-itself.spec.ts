import { afterEach, describe, expect, it } from '@jest/globals';
import type { CacheManager } from '../../lib/index.js';
import { Caches } from '../support/caches.js';

type Naming = (cache: CacheManager) => unknown;

const NAMINGS: readonly (readonly [string, Naming])[] = [
  ['its key', (cache) => cache.invalidate('key')],
  ['its tag', (cache) => cache.invalidateByTag('tag')],
  ['a pattern', (cache) => cache.invalidateByPattern('k*')],
  ['everything', (cache) => cache.clearAll()],
  ['its key past its ttl', (cache) => cache.expire('key')],
  ['its key anew', (cache) => cache.set('key', 'other')],
];

describe.each(NAMINGS)('a computation that first of all names %s', (_what, name) => {
  const caches = new Caches();
  afterEach(() => caches.close());

  // it named itself before its first caller was noted down, who then seemed to have come later and was sent to another
  // computation, which named itself as well: for ever
  it('runs once, and returns its result to its callers', async () => {
    const cache = await caches.open();
    let runs = 0;
    const compute = async (): Promise<string> => {
      runs++;
      if (runs > 5) throw new Error('it runs again and again');
      await name(cache);
      return 'own';
    };
    expect(await cache.getOrSet('key', compute, { tags: ['tag'] })).toBe('own');
    expect(runs).toBe(1);
    await cache.invalidate('key');
    expect(await cache.getOrSet('key', compute, { tags: ['tag'], forceFresh: true })).toBe('own');
    expect(runs).toBe(2);
  });

  it('does so as the computation of many keys', async () => {
    const cache = await caches.open();
    let runs = 0;
    const compute = async (missing: readonly string[]): Promise<Map<string, string>> => {
      runs++;
      if (runs > 5) throw new Error('it runs again and again');
      await name(cache);
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
