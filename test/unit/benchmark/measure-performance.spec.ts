import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { measureCachePerformance } from '../../../lib/benchmark/measure-performance.js';
import { CacheManager } from '../../../lib/app/cache-app.js';
import { StorageBench } from '../../support/storage.js';

const everything = async (manager: CacheManager): Promise<unknown> => {
  const keys: string[] = [];
  for await (const { key } of manager.entries()) keys.push(key);
  return { keys: keys.toSorted(), metrics: { ...manager.getMetrics(), timestamp: '' } };
};

describe('measuring a lane', () => {
  const bench = new StorageBench();
  let cache: CacheManager;

  beforeEach(async () => {
    const directory = await bench.path('cache');
    cache = await CacheManager.fromSettings({
      directory,
      logger: false,
      storage: { sweepEvery: false },
      lanes: { tiny: { l1: { maxEntries: 5 }, l2: { maxEntries: 5 }, l3: { enabled: false }, ttl: '1ms' } },
    });
  });
  afterEach(async () => {
    await cache.close();
    await bench.dispose();
  });

  it('counts what hit and where, and times each tier', async () => {
    const report = await measureCachePerformance(cache);
    expect(report).toMatchObject({ iterations: 1_000, cacheHits: 900, cacheMisses: 100, hitRate: 90 });
    const { l1, l2, l3, l4 } = report.tiers;
    expect([l1.hits, l2.hits, l3.hits, l4.hits]).toEqual([300, 300, 300, 0]);
    expect(l4).toEqual({ hits: 0, avgMs: 0, p50Ms: 0, p99Ms: 0 });
    for (const times of [l1, l2, l3, report.miss]) {
      expect(times.avgMs).toBeGreaterThan(0);
      expect(times.p99Ms).toBeGreaterThanOrEqual(times.p50Ms);
    }
  });

  it("leaves the lane's entries, limits and counters as they were", async () => {
    for (let n = 0; n < 50; n += 1) await cache.getOrSet(`own:${n}`, () => n, { tags: ['own'] });
    await cache.flush();
    const before = await everything(cache);
    const heard: string[] = [];
    for (const name of ['hit', 'miss', 'store', 'evict', 'invalidate'] as const)
      cache.events.on(name, () => heard.push(name));
    await measureCachePerformance(cache, { iterations: 300, keys: 60, valueBytes: '4KB' });
    expect(await everything(cache)).toEqual(before);
    expect(heard).toEqual([]);
  });

  it('attributes hits to the right tier when the limits of a lane are smaller than the measurement', async () => {
    const report = await measureCachePerformance(cache.forLane('tiny'), { iterations: 100, keys: 20 });
    const { l1, l2, l3 } = report.tiers;
    expect(l1.hits + l2.hits + l3.hits).toBe(report.cacheHits);
    expect(report.cacheHits + report.cacheMisses).toBe(100);
    expect(l3.hits).toBe(0);
  });

  it('stops when asked to, and cleans up', async () => {
    const reason = new Error('enough');
    await expect(measureCachePerformance(cache, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    for (const tier of cache.tiersBelow) {
      for await (const key of tier.keys('standard#bench')) throw new Error(`${key} was left`);
    }
  });

  it('refuses what it cannot measure', async () => {
    await expect(measureCachePerformance(cache, { iterations: 0 })).rejects.toMatchObject({ field: 'iterations' });
    await expect(measureCachePerformance(cache, { keys: 1.5 })).rejects.toMatchObject({ field: 'keys' });
    await cache.close();
    await expect(measureCachePerformance(cache)).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
