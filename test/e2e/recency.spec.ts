import { afterEach, describe, expect, it } from '@jest/globals';
import { CacheManager } from '../../lib/index.js';
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
