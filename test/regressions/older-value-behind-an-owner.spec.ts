import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { createLaneCache, type LaneCacheApp } from '../../lib/app/cache-app.js';
import { systemClock, type Clock } from '../../lib/clock/clock.js';
import type { CacheManager, LaneCacheOptions } from '../../lib/index.js';
import { StorageFault } from '../../lib/storage/environment.js';
import { Caches } from '../support/caches.js';
import { slowClock } from '../support/slow-clock.js';
import { StorageBench } from '../support/storage.js';

const EXTRA = { lanes: { extra: { ttl: '1h', l2: { enabled: false }, l1: { maxEntries: 1 } } } } as const;

/** Calls whose result is newer than what is stored, and is not stored itself. */
const CALLS: Readonly<Record<string, (lane: CacheManager) => Promise<unknown>>> = {
  'a getOrSet with a ttl of 0': (lane) => lane.getOrSet('k', () => 'new', { ttl: 0 }),
  'a getOrSet that asks for it': (lane) =>
    lane.getOrSet('k', (ctx) => {
      ctx.skipCache();
      return 'new';
    }),
  'a getOrSetMany with a ttl of 0': async (lane) =>
    (await lane.getOrSetMany(['k'], () => new Map([['k', 'new']]), { ttl: 0 })).get('k'),
};

describe('an older value in an L3 whose owner lacks the lane', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it.each(Object.keys(CALLS))('is gone for the next owner once a newer result was seen of %s', async (call) => {
    const directory = await caches.directory();
    const open = (options: LaneCacheOptions = {}): Promise<CacheManager> =>
      caches.open({ directory, checkpoints: false, ...options });
    const first = await open(EXTRA);
    await first.forLane('extra').getOrSet('k', () => 'old');
    await first.flush();
    await first.close();
    const without = await open();
    const beside = await open(EXTRA);
    expect(await CALLS[call]?.(beside.forLane('extra'))).toBe('new');
    await without.close();
    await beside.close();
    const next = await open(EXTRA);
    expect(await next.forLane('extra').get('k')).toBeUndefined();
  });
});

describe('an older value that the owner of L3 fails to remove', () => {
  it('is not served to the process that saw a newer result, also if nothing was invalidated since it was stored', async () => {
    const bench = new StorageBench();
    const directory = await bench.path('cache');
    const open = (clock: Clock): Promise<LaneCacheApp> =>
      createLaneCache({ directory, clock, storage: { minFreeBytes: 0, sweepEvery: false } });
    const [owner, other] = [await open(systemClock), await open(slowClock)];
    await owner.manager().set('k', 'old');
    await owner.manager().flush();
    expect((await other.tiers.l3.read('standard', 'k')).outcome).toBe('hit');
    jest.spyOn(owner.tiers.l3, 'remove').mockRejectedValueOnce(new StorageFault('io', 'it was not removed'));
    other.tiers.l3.supersede?.('standard', 'k');
    await other.tiers.l3.flush();
    expect(await other.tiers.l3.read('standard', 'k')).toEqual({ outcome: 'miss' });
    for (const app of [other, owner]) await app.close();
    await bench.dispose();
  });
});
