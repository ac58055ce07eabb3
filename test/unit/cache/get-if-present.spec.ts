import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CacheManager } from '../../../lib/app/cache-app.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { StorageBench } from '../../support/storage.js';

describe('getIfPresent', () => {
  const bench = new StorageBench();
  let clock: FakeClock;
  let directory: string;
  let cache: CacheManager;

  const open = (): Promise<CacheManager> =>
    CacheManager.fromSettings({
      directory,
      clock,
      logger: false,
      storage: { sweepEvery: false, minFreeBytes: '1MB' },
      lanes: {
        cloned: { isolation: 'clone' },
        picky: { exclude: ['private:*'] },
        graceful: { grace: '5m' },
        small: { l1: { maxEntries: 2 } },
      },
    });

  beforeEach(async () => {
    clock = new FakeClock();
    directory = await bench.path('cache');
    cache = await open();
  });
  afterEach(async () => {
    await cache.close();
    await bench.dispose();
  });

  it('returns what memory holds, as the same frozen object as get, and no promise', async () => {
    await cache.set('a', { n: 1 });
    const value = cache.getIfPresent('a');
    expect(value).toEqual({ n: 1 });
    expect(Object.isFrozen(value)).toBe(true);
    expect(value).toBe(await cache.get('a'));
  });

  it('returns a copy of its own in a lane of copies', async () => {
    const cloned = cache.forLane('cloned');
    await cloned.set('a', { n: 1 });
    const value = cloned.getIfPresent<{ n: number }>('a');
    if (value !== undefined) value.n = 2;
    expect(cloned.getIfPresent('a')).toEqual({ n: 1 });
  });

  it('does not return what was invalidated, by key, by tag, by pattern or with all', async () => {
    const removals = [
      () => cache.invalidate('a'),
      () => cache.invalidateByTag('t'),
      () => cache.invalidateByPattern('a*'),
      () => cache.clearAll(),
    ];
    for (const remove of removals) {
      await cache.set('a', 1, { tags: ['t'] });
      expect(cache.getIfPresent('a')).toBe(1);
      await remove();
      expect(cache.getIfPresent('a')).toBeUndefined();
    }
  });

  it('returns nothing past the ttl, also within the grace', async () => {
    const graceful = cache.forLane('graceful');
    await graceful.set('a', 1, { ttl: '1s' });
    await clock.advance('999ms');
    expect(graceful.getIfPresent('a')).toBe(1);
    await clock.advance('1ms');
    expect(graceful.getIfPresent('a')).toBeUndefined();
  });

  it('asks no disk: what L3 alone holds is a miss, until get has moved it up', async () => {
    await cache.set('a', 1);
    await cache.close();
    cache = await open();
    expect(cache.getIfPresent('a')).toBeUndefined();
    expect(await cache.get('a')).toBe(1);
    expect(cache.getIfPresent('a')).toBe(1);
  });

  it('does not return an entry of another version', async () => {
    await cache.getOrSet('a', () => 1, { version: 2 });
    expect(cache.getIfPresent('a')).toBeUndefined();
  });

  it('counts as one request, with its hit, its miss or its bypass, and emits its event', async () => {
    const heard: unknown[] = [];
    cache.events.on('hit', ({ key, tier }) => heard.push(['hit', key, tier]));
    cache.events.on('miss', ({ key, reason }) => heard.push(['miss', key, reason]));
    await cache.set('a', 1);
    cache.getIfPresent('a');
    cache.getIfPresent('b');
    cache.forLane('picky').getIfPresent('private:1');
    expect(heard).toEqual([
      ['hit', 'a', 'l1'],
      ['miss', 'b', 'memory-only'],
    ]);
    expect(cache.getMetrics()).toMatchObject({ requests: 2, misses: 1, l1: { hits: 1, misses: 1 }, l2: { misses: 0 } });
    expect(cache.forLane('picky').getMetrics()).toMatchObject({ requests: 1, bypassed: { excluded: 1 } });
  });

  it('is a use: an entry that it returned outlives one that nobody asked for', async () => {
    const small = cache.forLane('small');
    await small.set('used', 1);
    await small.set('unused', 1);
    small.getIfPresent('used');
    await small.set('new', 1);
    expect(small.getIfPresent('used')).toBe(1);
    expect(small.getIfPresent('unused')).toBeUndefined();
  });

  it('does not return what another process of the directory has set or invalidated', async () => {
    const other = await open();
    try {
      for (const change of [() => other.set('a', 2), () => other.invalidate('a'), () => other.invalidateByTag('t')]) {
        await cache.set('a', 1, { tags: ['t'] });
        expect(cache.getIfPresent('a')).toBe(1);
        await change();
        expect(cache.getIfPresent('a')).toBeUndefined();
      }
    } finally {
      await other.close();
    }
  });

  it('throws for what is no key', () => {
    for (const key of ['', 7, undefined, 'a'.repeat(70_000)]) {
      expect(() => cache.getIfPresent(key as string)).toThrow(expect.objectContaining({ name: 'LaneCacheError' }));
    }
  });

  it('returns nothing after the cache was closed', async () => {
    await cache.set('a', 1);
    await cache.close();
    expect(cache.getIfPresent('a')).toBeUndefined();
    expect(cache.getMetrics().bypassed.closed).toBe(1);
  });
});
