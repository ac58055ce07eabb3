import { afterEach, describe, expect, it } from '@jest/globals';
import { type CacheManager, LaneAwareCacheStrategy } from '../../lib/index.js';
import { Caches } from '../support/caches.js';

type Read = (cache: CacheManager) => Promise<unknown>;

const READS: readonly (readonly [string, Read])[] = [
  ['get', (cache) => cache.get('key')],
  ['getOrSet', (cache) => cache.getOrSet('key', () => 'new')],
  ['getMany', async (cache) => (await cache.getMany(['key'])).get('key')],
  ['getOrSetMany', async (cache) => (await cache.getOrSetMany(['key'], () => new Map([['key', 'new']]))).get('key')],
];

const STORES: readonly ((cache: CacheManager, key: string) => Promise<unknown>)[] = [
  (cache, key) => cache.getOrSet(key, () => 'old'),
  (cache, key) => cache.set(key, 'old'),
  (cache, key) => cache.setMany([[key, 'old']]),
];

describe('a listener that invalidates the key of its event', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  // `get` promoted what it had found after the event, so memory went on serving the invalidated value
  it.each(READS)('removes what %s found on disk', async (_name, read) => {
    const directory = await caches.directory();
    const before = await caches.open({ directory });
    await before.set('key', 'old');
    await before.close();
    const cache = await caches.open({ directory });
    const removals: Promise<unknown>[] = [];
    cache.events.on('hit', ({ key }) => removals.push(cache.invalidate(key)));
    expect(await read(cache)).toBe('old');
    await Promise.all(removals);
    expect(await cache.get('key')).not.toBe('old');
  });

  // memory took the value after the event of a disk without room, and so after its invalidation
  it('removes what is stored while the disk has no room', async () => {
    const cache = await caches.open({
      directory: await caches.directory(),
      storage: { minFreeBytes: Number.MAX_SAFE_INTEGER },
    });
    const removals: Promise<unknown>[] = [];
    const reasons: string[] = [];
    cache.events.on('refuse', ({ key, reason }) => {
      reasons.push(reason);
      removals.push(cache.invalidate(key));
    });
    await cache.getOrSet('key', () => 'old');
    await Promise.all(removals);
    expect(reasons).toEqual(['disk-full']);
    expect(await cache.get('key')).toBeUndefined();
  });

  // the event came while memory took the entry: it took it after its invalidation, and lost the order of the others
  it.each([
    ['exact LRU', { eviction: 'lru' }],
    ['a policy', { eviction: 'adaptive' }],
    ['a strategy', { strategy: new LaneAwareCacheStrategy() }],
  ] as const)('removes what another entry makes room for, in a lane with %s', async (_name, eviction) => {
    const lanes = { standard: { ...eviction, l1: { maxEntries: 2 } } };
    for (const store of STORES) {
      const cache = await caches.open({ lanes });
      const removals: Promise<unknown>[] = [];
      let evicted = 0;
      cache.events.on('evict', () => {
        evicted++;
        for (const key of ['a', 'b', 'c']) removals.push(cache.invalidate(key));
      });
      for (const key of ['a', 'b', 'c']) await store(cache, key);
      await Promise.all(removals);
      expect(evicted).toBe(1);
      expect([...(await cache.getMany(['a', 'b', 'c'])).keys()]).toEqual([]);
    }
  });
});
