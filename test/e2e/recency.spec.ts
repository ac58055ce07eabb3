import { afterEach, describe, expect, it } from '@jest/globals';
import { CacheManager } from '../../lib/app/cache-app.js';
import { StorageBench } from '../support/storage.js';

describe('a persistent tier that fills up', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('evicts entries that were not used before the restart, and keeps those that were', async () => {
    const settings = {
      directory: await bench.path('cache'),
      lanes: { standard: { l1: { maxEntries: 1 }, l2: { enabled: false }, l3: { maxEntries: 1_000 } } },
      storage: { minFreeBytes: 0, sweepEvery: false },
      checkpoints: false,
    } as const;
    const before = await CacheManager.fromSettings(settings);
    for (let n = 0; n < 200; n++) await before.getOrSet(`old ${n}`, () => n);
    await before.flush();
    for (let n = 0; n < 100; n++) await before.getOrSet(`old ${n}`, () => n);
    await before.close();

    const after = await CacheManager.fromSettings(settings);
    for (let n = 0; n < 900; n++) await after.getOrSet(`new ${n}`, () => n);
    await after.flush();
    const kept = new Set<string>();
    for await (const { key } of after.entries('old *')) kept.add(key);
    expect(kept).toEqual(new Set(Array.from({ length: 100 }, (_, n) => `old ${n}`)));
    await after.close();
  });
});

describe('an entry that memory evicts', () => {
  const bench = new StorageBench();
  const open: CacheManager[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((cache) => cache.close()));
    await bench.dispose();
  });

  /** The keys of L2, the least recently used first, after `use` and then an entry that pushes the first one out of memory. */
  const orderAfter = async (use: (cache: CacheManager) => Promise<unknown>): Promise<readonly string[]> => {
    const cache = await CacheManager.fromSettings({
      directory: await bench.path('cache'),
      lanes: { standard: { l1: { maxEntries: 2 } } },
      storage: { minFreeBytes: 0, sweepEvery: false },
      checkpoints: false,
    });
    open.push(cache);
    for (const key of ['first', 'second']) await cache.getOrSet(key, () => key);
    await use(cache);
    await cache.flush();
    await cache.getOrSet('third', () => 'third');
    await cache.flush();
    const [l2] = cache.tiersBelow;
    const keys: string[] = [];
    for await (const key of l2?.keys('standard') ?? []) keys.push(key);
    return keys;
  };

  it('keeps its place in the order of L2 if nobody used it', async () => {
    expect(await orderAfter(async () => undefined)).toEqual(['first', 'second', 'third']);
  });

  it('counts as used in L2 if it was used in memory', async () => {
    const use = async (cache: CacheManager): Promise<void> => {
      for (const key of ['first', 'second']) await cache.get(key);
    };
    expect(await orderAfter(use)).toEqual(['second', 'first', 'third']);
  });
});
