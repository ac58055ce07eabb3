import { describe, expect, it, jest } from '@jest/globals';
import type { ComputeContext } from '../../../lib/cache/call-options.js';
import { nextTurn } from '../../../lib/clock/clock.js';
import { DiskTier } from '../../../lib/tiers/stored-tier.js';
import { Deferred } from '../../support/deferred.js';
import { LaneApp } from '../../support/lane-app.js';
import { MemorySource } from '../../support/memory-environment.js';
import { tierSetting } from '../../support/stored-tiers.js';

const pairs = (count: number, value: (n: number) => unknown = (n) => n): [string, unknown][] =>
  Array.from({ length: count }, (_, n) => [`k${n}`, value(n)]);

/** A list whose reading runs `act`. */
const acting = (act: () => void): unknown[] =>
  Object.defineProperty([0], 0, {
    enumerable: true,
    get: () => {
      act();
      return 1;
    },
  });

describe('the values of one call', () => {
  it('count from the step of the call on, and each key has its last one', async () => {
    const cache = new LaneApp().manager();
    const storing = cache.setMany([...pairs(3), ['k0', 'last']]);
    expect(cache.getIfPresent('k0')).toBe('last');
    expect(await storing).toBe(3);
  });

  it('are counted without those that are refused, and all are removed before', async () => {
    const cache = new LaneApp().manager();
    await cache.setMany(pairs(3));
    expect(await cache.setMany(pairs(3, (n) => (n === 1 ? () => 1 : 'new')))).toBe(2);
    expect([...(await cache.getMany(['k0', 'k1', 'k2']))]).toEqual([
      ['k0', 'new'],
      ['k2', 'new'],
    ]);
    expect(cache.getMetrics().refused.unstorable).toBe(1);
  });

  it('are not stored at all if one of the keys is wrong', async () => {
    const cache = new LaneApp().manager();
    await expect(cache.setMany([...pairs(5_000), ['', 1]])).rejects.toMatchObject({ code: 'KEY_INVALID' });
    expect(cache.getMetrics().l1.entries).toBe(0);
  });

  it('are taken from the list as it was at the call', async () => {
    const cache = new LaneApp().manager();
    const list = pairs(300);
    const storing = cache.setMany(list);
    list.length = 0;
    expect(await storing).toBe(300);
  });

  it('are taken from the map as it was at the call', async () => {
    const cache = new LaneApp().manager();
    const map = new Map(pairs(5_000));
    const storing = cache.setMany(map);
    map.set('k4998', 'later');
    map.delete('k4999');
    map.set('k5000', 'later');
    expect(await storing).toBe(5_000);
    expect([...(await cache.getMany(['k4998', 'k4999', 'k5000']))]).toEqual([
      ['k4998', 4_998],
      ['k4999', 4_999],
    ]);
  });

  it('give way to what reading one of them invalidates', async () => {
    const cache = new LaneApp().manager();
    const tag = (): void => void cache.invalidate('k0');
    await cache.setMany([
      ['k0', 0],
      ['k1', acting(tag)],
    ]);
    expect(cache.getIfPresent('k0')).toBeUndefined();
    expect(cache.getIfPresent('k1')).toEqual([1]);
  });

  it('give way to what reading one of them stores', async () => {
    const cache = new LaneApp().manager();
    const newer = (): void => void cache.set('k0', 'newer');
    await cache.setMany([
      ['k0', 'older'],
      ['k1', acting(newer)],
    ]);
    expect(cache.getIfPresent('k0')).toBe('newer');
  });

  it.each<readonly [string, (cache: ReturnType<LaneApp['manager']>) => Promise<unknown>, unknown]>([
    ['invalidates', (cache) => cache.invalidate('k2'), undefined],
    ['stores', (cache) => cache.set('k2', 'newer'), 'newer'],
    ['invalidates by tag', (cache) => cache.invalidateByTag('t'), undefined],
  ])('give way to what a listener %s when one of them is stored', async (_, act, left) => {
    const cache = new LaneApp().manager();
    const acts: Promise<unknown>[] = [];
    cache.events.on('store', ({ key }) => {
      if (key === 'k0') acts.push(act(cache));
    });
    await cache.setMany(pairs(4), { tags: ['t'] });
    await Promise.all(acts);
    expect(await cache.get('k2')).toBe(left);
    expect(cache.getMetrics().refused.fenced).toBeGreaterThan(0);
  });

  it('give way to those of a later call, in whatever order their turns come', async () => {
    const cache = new LaneApp({ lanes: { standard: { l1: { maxEntries: 10_000 } } } }).manager();
    const older = cache.setMany(pairs(3_000, () => 'older'));
    const newer = cache.setMany(pairs(3_000, () => 'newer').toReversed());
    await Promise.all([older, newer]);
    const values = await cache.getMany(pairs(3_000).map(([key]) => key));
    expect([values.size, new Set(values.values())]).toEqual([3_000, new Set(['newer'])]);
  });

  it('give way to a newer result that is not stored', async () => {
    const cache = new LaneApp().manager();
    const storing = cache.setMany(pairs(3_000, () => 'older'));
    const newer = (ctx: ComputeContext): string => {
      ctx.skipCache();
      return 'newer';
    };
    expect(await cache.getOrSet('k2999', newer, { forceFresh: true })).toBe('newer');
    expect(await storing).toBe(2_999);
    expect(await cache.get('k2999')).toBeUndefined();
  });

  it('leave what a listener stores for a key that was refused', async () => {
    const cache = new LaneApp().manager();
    cache.events.on('refuse', () => void cache.set('k1', 'newer'));
    const invalidate = (): void => void cache.invalidate('k0');
    await cache.setMany([
      ['k0', 0],
      ['k1', 'older'],
      ['k2', acting(invalidate)],
    ]);
    expect(await cache.get('k1')).toBe('newer');
  });

  it('are removed from a tier by one call for each slice, and stored once that is done', async () => {
    const tier = await DiskTier.open(new MemorySource(), tierSetting().options);
    const removal = new Deferred<number>();
    const asked = jest.spyOn(tier, 'removeKeys').mockReturnValue(removal.promise);
    const cache = new LaneApp({ below: [tier] }).manager();
    let isStored = false;
    const storing = cache.setMany(pairs(3)).then(() => (isStored = true));
    for (let turn = 0; turn < 3; turn++) await nextTurn();
    expect(isStored).toBe(false);
    expect(asked.mock.calls).toEqual([['standard', ['k0', 'k1', 'k2']]]);
    removal.resolve(0);
    expect(await storing).toBe(true);
  });

  it('wait before each slice for a tier that has much to write, so that it refuses none of them', async () => {
    const tier = await DiskTier.open(new MemorySource(), tierSetting().options);
    const offered = jest.spyOn(tier, 'offer');
    const written = new Deferred<void>();
    let isBusy = false;
    // The second slice fills it.
    jest.spyOn(tier, 'whenRoom').mockImplementation(() => {
      isBusy ||= offered.mock.calls.length > 128;
      return isBusy ? written.promise : undefined;
    });
    const cache = new LaneApp({ below: [tier] }).manager();
    let isStored = false;
    const storing = cache.setMany(pairs(1_000)).then(() => (isStored = true));
    for (let turn = 0; turn < 60; turn++) await nextTurn();
    expect(isStored).toBe(false);
    expect(offered.mock.calls.length).toBeGreaterThan(128);
    expect(offered.mock.calls.length).toBeLessThanOrEqual(256);
    isBusy = false;
    offered.mockClear();
    jest.spyOn(tier, 'whenRoom').mockReturnValue(undefined);
    written.resolve();
    expect(await storing).toBe(true);
  });

  it('fill a slice by their bytes as well, whatever one of them takes', async () => {
    const tier = await DiskTier.open(new MemorySource(), tierSetting().options);
    const offered: number[] = [0];
    jest.spyOn(tier, 'offer').mockImplementation((_, { bytes }) => {
      offered.push((offered.pop() ?? 0) + bytes.length);
      return 'queued';
    });
    jest.spyOn(tier, 'whenRoom').mockImplementation(() => void offered.push(0));
    const cache = new LaneApp({ below: [tier] }).manager();
    const sizes = [400_000, 400_000, 400_000, 400_000, 3_000_000, 100, 100];
    expect(await cache.setMany(pairs(sizes.length, (n) => 'x'.repeat(sizes[n] ?? 0)))).toBe(sizes.length);
    // Three of them fill one, and the largest fills the next.
    expect(offered.map((bytes) => Math.round(bytes / 100_000)).filter((bytes) => bytes > 0)).toEqual([12, 34]);
  });

  it('wait for large ones to be stored everywhere before others are begun', async () => {
    const tier = await DiskTier.open(new MemorySource(), tierSetting().options);
    const removal = new Deferred<number>();
    const asked = jest.spyOn(tier, 'removeKeys').mockReturnValue(removal.promise);
    const cache = new LaneApp({ below: [tier] }).manager();
    const storing = cache.setMany(pairs(20, () => 'x'.repeat(3_000_000)));
    for (let turn = 0; turn < 60; turn++) await nextTurn();
    expect(asked.mock.calls.flatMap(([, keys]) => keys)).toEqual(['k0', 'k1', 'k2']);
    removal.resolve(0);
    expect(await storing).toBe(20);
  });
});
