import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, Module, Scope } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { systemClock } from '../../lib/clock/clock.js';
import { Cached, CacheManager, type LaneCacheEventMap, LaneCacheModule } from '../../lib/index.js';
import { LaneCacheTestingModule } from '../../lib/testing/index.js';
import { Caches } from '../support/caches.js';
import { Deferred } from '../support/deferred.js';
import { until } from '../support/gate.js';

type Warm = LaneCacheEventMap['warm'];

/** Resolves when warming has ended. */
const ended = (cache: CacheManager): Promise<Warm> =>
  new Promise((resolve) => {
    cache.events.on('warm', (event) => {
      if (event.state === 'done' || event.state === 'stopped') resolve(event);
    });
  });

describe('warm', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it('computes the keys that no tier has, and counts those that fail', async () => {
    const cache = await caches.open();
    await cache.set('there', 0);
    const asked: string[] = [];
    const report = await cache.warm(['there', 'new', 'bad', 'new', 'other'], (key, ctx) => {
      asked.push(key);
      ctx.setTags(['warm']);
      if (key === 'bad') throw new Error('no such page');
      return key.length;
    });
    expect(report).toEqual({ computed: 2, present: 1, failed: 1 });
    expect(asked.toSorted()).toEqual(['bad', 'new', 'other']);
    expect(await cache.get('other')).toBe(5);
    await cache.invalidateByTag('warm');
    expect(await cache.get('other')).toBeUndefined();
  });

  it('runs as many computations at a time as it is given, by default two', async () => {
    const cache = await caches.open();
    const most = async (concurrency?: number): Promise<number> => {
      let running = 0;
      let highest = 0;
      const keys = Array.from({ length: 12 }, (_, number) => `${concurrency}:${number}`);
      const compute = async (): Promise<number> => {
        highest = Math.max(highest, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        return running--;
      };
      await cache.warm(keys, compute, concurrency === undefined ? {} : { concurrency });
      return highest;
    };
    expect(await most()).toBe(2);
    expect(await most(5)).toBe(5);
  });

  it('says how far it is, and why the first one failed', async () => {
    const cache = await caches.open();
    const events: Warm[] = [];
    cache.events.on('warm', (event) => events.push(event));
    const keys = Array.from({ length: 250 }, (_, number) => `key:${number}`);
    const error = new Error('down');
    await cache.warm(keys, (key) => (key === 'key:7' ? Promise.reject(error) : key));
    expect(events.map(({ state }) => state)).toEqual(['started', 'running', 'running', 'done']);
    expect(events.at(-1)).toMatchObject({ source: 'warm()', total: 250, computed: 249, failed: 1, error });
  });

  it('begins nothing more once the signal aborts or the cache closes', async () => {
    const cache = await caches.open();
    const controller = new AbortController();
    const keys = Array.from({ length: 40 }, (_, number) => `key:${number}`);
    const stopped = await cache.warm(
      keys,
      (key) => {
        if (key === 'key:9') controller.abort();
        return key;
      },
      { signal: controller.signal, concurrency: 1 },
    );
    expect(stopped.computed + stopped.failed).toBe(10);

    const others = keys.map((key) => `other:${key}`);
    const warming = cache.warm(others, (key) => (key === 'other:key:4' ? cache.close().then(() => key) : key));
    expect((await warming).computed).toBeLessThan(8);
  });
});

describe('an adaptive lane after a restart', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it('has in memory what saved most, without a request', async () => {
    const directory = await caches.directory();
    const lanes = {
      standard: { eviction: 'adaptive' as const, l1: { maxEntries: 5 }, l2: { enabled: false }, l3: { enabled: true } },
    };
    let skippedMs = 0;
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skippedMs };
    const first = await caches.open({ directory, lanes, clock });
    /** The computations of four keys take 50 ms by the clock, far more than a pause of the machine adds to others. */
    const compute = (number: number) => (): number => {
      if (number >= 10 && number < 14) skippedMs += 50;
      return number;
    };
    for (let number = 0; number < 30; number++) await first.getOrSet(`key:${number}`, compute(number));
    for (let use = 0; use < 20; use++) {
      for (let number = 10; number < 14; number++) await first.getOrSet(`key:${number}`, compute(number));
      for (let number = 0; number < 6; number++) await first.get(`key:${20 + number}`);
    }
    await first.close();

    const second = await caches.open({ directory, lanes });
    const full = async (): Promise<number> => {
      for (let turn = 0; turn < 2_000; turn++) {
        if (second.getMetrics().l1.entries === 5) break;
        await new Promise((resolve) => setImmediate(resolve));
      }
      return second.getMetrics().l1.entries;
    };
    expect(await full()).toBe(5);
    const inMemory = new Set<string>();
    for await (const { key, tiers } of second.entries()) if (tiers.includes('l1')) inMemory.add(key);
    for (const key of ['key:10', 'key:11', 'key:12', 'key:13']) expect(inMemory).toContain(key);
    expect(second.getMetrics()).toMatchObject({ requests: 0, l3: { hits: 0 } });
  });
});

describe('@Cached with warm', () => {
  const apps: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  @Injectable()
  class Pages {
    readonly rendered: string[] = [];
    private readonly ids = ['a', 'b', 'bad'];

    @Cached({
      warm: {
        args(this: Pages) {
          return this.ids.map((id) => [id]);
        },
      },
    })
    async render(id: string): Promise<string> {
      this.rendered.push(id);
      if (id === 'bad') throw new Error('no such page');
      return `<h1>${id}</h1>`;
    }
  }

  it('computes the calls after boot, and counts what fails', async () => {
    const app = await Test.createTestingModule({
      imports: [LaneCacheTestingModule.forRoot()],
      providers: [Pages],
    }).compile();
    apps.push(app);
    const warmed = ended(app.get(CacheManager));
    await app.init();
    expect(app.get(Pages).rendered).toEqual([]);
    expect(await warmed).toMatchObject({ source: '@Cached on Pages.render', computed: 2, failed: 1, total: 3 });
    await app.get(Pages).render('a');
    expect(app.get(Pages).rendered).toEqual(['a', 'b', 'bad']);
  });

  it('waits until the server listens', async () => {
    @Controller()
    class Page {
      @Get()
      index(): string {
        return 'here';
      }
    }
    @Module({
      imports: [LaneCacheModule.forRoot({ directory: false, logger: false })],
      providers: [Pages],
      controllers: [Page],
    })
    class App {}
    const app = await NestFactory.create(App, { logger: false });
    apps.push(app);
    await app.init();
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(app.get(Pages).rendered).toEqual([]);
    const warmed = ended(app.get(CacheManager));
    await app.listen(0, '127.0.0.1');
    await warmed;
    expect(app.get(Pages).rendered).toEqual(['a', 'b', 'bad']);
  });

  it('runs by cron as well, and never twice at once', async () => {
    const gate = new Deferred<undefined>();
    let lists = 0;
    @Injectable()
    class Often {
      @Cached({
        warm: {
          args: () => [[++lists]],
          at: '* * * * * *',
        },
      })
      async render(list: number): Promise<number> {
        return list;
      }
    }
    const app = await Test.createTestingModule({
      imports: [LaneCacheTestingModule.forRoot()],
      providers: [Often],
    }).compile();
    apps.push(app);
    app.get(CacheManager).events.on('warm', ({ state }) => {
      if (state === 'done' && lists === 2) gate.resolve(undefined);
    });
    await app.init();
    await gate.promise;
    expect(lists).toBe(2);
  });

  it('stops when the app shuts down', async () => {
    const gate = new Deferred<undefined>();
    const begun: number[] = [];
    @Injectable()
    class Slow {
      @Cached({ warm: { args: () => Array.from({ length: 50 }, (_, number) => [number]), concurrency: 1 } })
      async render(number: number): Promise<number> {
        begun.push(number);
        if (number === 3) await gate.promise;
        return number;
      }
    }
    const app = await Test.createTestingModule({
      imports: [LaneCacheTestingModule.forRoot()],
      providers: [Slow],
    }).compile();
    const warmed = ended(app.get(CacheManager));
    await app.init();
    await until(() => begun.length >= 4);
    const closing = app.close();
    gate.resolve(undefined);
    expect(await warmed).toMatchObject({ state: 'stopped' });
    await closing;
    expect(begun).toEqual([0, 1, 2, 3]);
  });

  it('reports a list that it cannot get, and refuses a schedule that is none', async () => {
    @Injectable()
    class Broken {
      @Cached({ warm: { args: () => Promise.reject(new Error('no list')) } })
      async render(id: string): Promise<string> {
        return id;
      }
    }
    @Injectable()
    class Never {
      @Cached({ warm: { args: () => [], at: 'at tea time' } })
      async render(id: string): Promise<string> {
        return id;
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      @Cached({ key: 'page:{0}', warm: { args: () => [] } })
      async render(id: string): Promise<string> {
        return id;
      }
    }
    const boot = (provider: new () => object) =>
      Test.createTestingModule({ imports: [LaneCacheTestingModule.forRoot()], providers: [provider] }).compile();
    const app = await boot(Broken);
    apps.push(app);
    const fault = app.get(CacheManager).events.once('fault');
    await app.init();
    expect(await fault).toMatchObject({ collaborator: 'decorator', error: { message: 'no list' } });
    await expect((await boot(Never)).init()).rejects.toMatchObject({
      code: 'DECORATOR_INVALID',
      message: expect.stringMatching(/@Cached on Never\.render: warm\.at 'at tea time' is no cron expression/),
    });
    await expect((await boot(PerRequest)).init()).rejects.toMatchObject({
      code: 'DECORATOR_INVALID',
      message: expect.stringMatching(/'warm' needs an instance that is there when the app starts/),
    });
  });
});
