import { afterEach, describe, expect, it } from '@jest/globals';
import type { CacheManager } from '../../lib/index.js';
import { Caches } from '../support/caches.js';

const keyOf = (number: number): string => `key_${String(number).padStart(3, '0')}`;

const keysOf = async (cache: CacheManager): Promise<Set<string>> => {
  const keys = new Set<string>();
  for await (const { key } of cache.entries()) keys.add(key);
  return keys;
};

describe('the eviction timeline of the standard lane, 500 entries', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it('evicts key_001 for key_501, and key_003 for key_502 after key_002 has been read', async () => {
    const cache = await caches.open({ lane: 'standard' });
    const insert = (number: number): Promise<number> => cache.getOrSet(keyOf(number), () => number);

    for (let number = 1; number <= 500; number++) await insert(number);
    expect(cache.getMetrics().l1).toMatchObject({ entries: 500, evictions: 0 });

    await insert(501);
    expect(cache.getMetrics().l1).toMatchObject({ entries: 500, evictions: 1 });
    expect(await keysOf(cache)).not.toContain('key_001');

    expect(await cache.get('key_002')).toBe(2);
    await insert(502);
    expect(cache.getMetrics().l1).toMatchObject({ entries: 500, evictions: 2 });
    const all = Array.from({ length: 502 }, (_, index) => keyOf(index + 1));
    expect(await keysOf(cache)).toEqual(new Set(all.filter((key) => key !== 'key_001' && key !== 'key_003')));
  });

  it('counts a hit of getOrSet as a use, and a look by has() or entries() as none', async () => {
    const cache = await caches.open({ lanes: { standard: { l1: { maxEntries: 3 } } } });
    for (const key of ['a', 'b', 'c']) await cache.set(key, key);
    await cache.getOrSet('a', () => 'never');
    expect(await cache.has('b')).toBe(true);
    await keysOf(cache);
    await cache.set('d', 'd');
    expect(await keysOf(cache)).toEqual(new Set(['a', 'c', 'd']));
  });

  it('shows what was evicted, and why', async () => {
    const cache = await caches.open({
      lanes: { standard: { l1: { maxEntries: 1 } }, docs: { l1: { maxBytes: '4KB' } } },
    });
    const evicted: unknown[] = [];
    cache.events.on('evict', ({ lane, key, tier, reason }) => evicted.push({ lane, key, tier, reason }));
    await cache.set('a', 1);
    await cache.set('b', 2);
    await cache.forLane('docs').set('c', 'x'.repeat(2_000));
    await cache.forLane('docs').set('d', 'x'.repeat(2_000));
    expect(evicted).toEqual([
      { lane: 'standard', key: 'a', tier: 'l1', reason: 'entries' },
      { lane: 'docs', key: 'c', tier: 'l1', reason: 'bytes' },
    ]);
  });
});
