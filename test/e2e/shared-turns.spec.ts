import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Cached, CacheManager, type LaneCacheEventMap, LaneCacheModule } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { until } from '../support/gate.js';
import { slowClock } from '../support/slow-clock.js';

const STORAGE = { minFreeBytes: 0, sweepEvery: false } as const;

/** Counts the computations of all apps of this process. */
@Injectable()
class Pages {
  static rendered: string[] = [];

  @Cached({ warm: { args: () => [['a'], ['b'], ['c'], ['d']] } })
  async render(id: string): Promise<string> {
    Pages.rendered.push(id);
    await new Promise((later) => setTimeout(later, 20));
    return `<h1>${id}</h1>`;
  }
}

describe('the apps of one directory', () => {
  const caches = new Caches();
  const closing: { close(): Promise<unknown> }[] = [];
  afterEach(async () => {
    for (const app of closing.splice(0).toReversed()) await app.close();
    await caches.close();
  });

  it("refresh an entry ahead of its end once, in a lane with coalesce: 'host'", async () => {
    const directory = await caches.directory();
    // Only the day goes on at once. Deadlines of what is on its way do not pass with it.
    let laterMs = 0;
    const clock = { ...slowClock, now: () => slowClock.now() + laterMs };
    const lanes = { standard: { ttl: '10s', refreshAhead: 0.5, l4: { coalesce: 'host' } } } as const;
    const apps: CacheManager[] = [];
    for (let app = 0; app < 3; app++) apps.push(await caches.open({ directory, lanes, clock, storage: STORAGE }));
    let computed = 0;
    const ask = async (cache: CacheManager): Promise<unknown> =>
      cache.getOrSet('k', async () => {
        const value = ++computed;
        await new Promise((later) => setImmediate(later));
        return value;
      });
    for (const cache of apps) {
      expect(await ask(cache)).toBe(1);
      await cache.flush();
    }
    laterMs = 6_000;
    expect(await Promise.all(apps.map(ask))).toEqual([1, 1, 1]);
    // Each of them gets the renewed value, and none renews it again.
    const renewed = async (): Promise<boolean> =>
      (await Promise.all(apps.map((cache) => cache.get('k')))).every((value) => value === 2);
    await until(async () => computed > 2 || (await renewed()));
    expect(computed).toBe(2);
  });

  it("compute a key once, also where one has stored it before the next one gets its turn, in a lane with coalesce: 'host'", async () => {
    const directory = await caches.directory();
    const lanes = { standard: { l4: { coalesce: 'host' } } } as const;
    const apps: CacheManager[] = [];
    for (let app = 0; app < 3; app++)
      apps.push(await caches.open({ directory, lanes, clock: slowClock, storage: STORAGE }));
    const computed: string[] = [];
    const ask = async (cache: CacheManager | undefined, key: string): Promise<unknown> =>
      cache?.getOrSet(key, () => {
        computed.push(key);
        return key;
      });
    const keys = Array.from({ length: 60 }, (_, number) => `key:${number}`);
    for (const [number, key] of keys.entries()) {
      const asked = [ask(apps[1], key), ask(apps[2], key)];
      // The owner comes later by some turns of the event loop, so that it meets the others at each of their steps.
      for (let turn = 0; turn < number % 12; turn++) await new Promise((next) => setImmediate(next));
      expect(await Promise.all([...asked, ask(apps[0], key)])).toEqual([key, key, key]);
    }
    expect(computed).toEqual(keys);
  });

  it("warm the calls of a method once, in a lane with coalesce: 'host'", async () => {
    Pages.rendered = [];
    const directory = await caches.directory();
    const lanes = { standard: { l4: { coalesce: 'host' } } } as const;
    const settings = { directory, lanes, logger: false, storage: STORAGE } as const;
    const apps = [];
    for (let app = 0; app < 3; app++) {
      const module = Test.createTestingModule({ imports: [LaneCacheModule.forRoot(settings)], providers: [Pages] });
      apps.push(await module.compile());
    }
    closing.push(...apps);
    const reports = apps.map(
      (app) =>
        new Promise<LaneCacheEventMap['warm']>((done) => {
          app.get(CacheManager).events.on('warm', (event) => event.state === 'done' && done(event));
        }),
    );
    await Promise.all(apps.map((app) => app.init()));
    const ended = await Promise.all(reports);
    expect(Pages.rendered.toSorted()).toEqual(['a', 'b', 'c', 'd']);
    expect(ended.map(({ failed }) => failed)).toEqual([0, 0, 0]);
  });

  it('teach the policy of the owner what any of them asks for', async () => {
    const directory = await caches.directory();
    const lanes = { standard: { eviction: 'adaptive', l1: { maxEntries: 1 }, l2: { enabled: false } } } as const;
    const owner = await caches.open({ directory, lanes, storage: STORAGE });
    const other = await caches.open({ directory, lanes, clock: slowClock, storage: STORAGE });
    const saved = (): number =>
      Object.values(owner.getMetrics().eviction.shadows ?? {}).reduce((sum, share) => sum + share, 0);
    for (const key of ['a', 'b']) await other.getOrSet(key, () => key);
    await other.flush();
    expect(saved()).toBe(0);
    // Memory has room for one of them, so each of these comes from the owner.
    for (let round = 0; round < 5; round++) for (const key of ['a', 'b']) expect(await other.get(key)).toBe(key);
    expect(saved()).toBeGreaterThan(0);
  });
});
