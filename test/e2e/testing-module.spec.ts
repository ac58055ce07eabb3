import { afterEach, describe, expect, it } from '@jest/globals';
import { Cache } from '@nestjs/cache-manager';
import { Inject, Injectable, Module } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { AssertionError } from 'node:assert';
import { access } from 'node:fs/promises';
import {
  Cached,
  CacheManager,
  CheckpointCleanupTask,
  Checkpointed,
  CheckpointService,
  LaneCacheMetrics,
  LaneCacheModule,
} from '../../lib/index.js';
import {
  expectCached,
  FakeClock,
  LaneCacheTestingModule,
  type LaneCacheTestingOptions,
} from '../../lib/testing/index.js';

@Injectable()
class Prices {
  calls = 0;

  constructor(@Inject(CacheManager) readonly cache: CacheManager) {}

  @Cached({ key: 'price:{0}', ttl: '10m', tags: ['prices', 'product:{0}'] })
  async of(product: string): Promise<string> {
    return `${product} ${++this.calls}`;
  }
}

@Injectable()
class Import {
  runs = 0;

  @Checkpointed({ id: (batch: string) => `import:${batch}`, workflow: 'import', ttl: '1h' })
  async batch(batch: string): Promise<Map<string, Date>> {
    return new Map([[batch, new Date(++this.runs)]]);
  }
}

describe('the testing kit', () => {
  const opened: TestingModule[] = [];

  async function boot(settings?: string | LaneCacheTestingOptions): Promise<TestingModule> {
    const imports = [LaneCacheTestingModule.forRoot(settings)];
    const app = await Test.createTestingModule({ imports, providers: [Prices, Import] }).compile();
    opened.push(app);
    return app.init();
  }

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((app) => app.close()));
  });

  it('gives an app a cache in memory, and its time to the test', async () => {
    const app = await boot();
    const prices = app.get(Prices);
    expect([await prices.of('tea'), await prices.of('tea')]).toEqual(['tea 1', 'tea 1']);
    await expectCached(prices.cache, 'price:tea').toBeServedBy('l1');
    await app.get(FakeClock).advance('10m');
    await expectCached(prices.cache, 'price:tea').toBeAbsent();
    expect(await prices.of('tea')).toBe('tea 2');
  });

  it('leaves nothing on the disk', async () => {
    const app = await boot();
    await app.get(Prices).of('tea');
    await app.get(CacheManager).flush();
    await expect(access('.lane-cache')).rejects.toMatchObject({ code: 'ENOENT' });
    expect(app.get(LaneCacheMetrics).lane('standard').l2).toMatchObject({ state: 'off', reason: 'no-directory' });
  });

  it('takes settings as the real module does', async () => {
    const clock = new FakeClock(0);
    const app = await boot({ lane: 'docs', lanes: { docs: { ttl: '5s' } }, clock });
    expect(app.get(CacheManager).lane).toBe('docs');
    expect(app.get(FakeClock)).toBe(clock);
    expect((await boot('heavy')).get(CacheManager).lane).toBe('heavy');
    const own = { provide: 'own', useValue: 'mine' };
    expect((await boot({ extraProviders: [own] })).get('own', { strict: false })).toBe('mine');
  });

  it('replaces the module of an app, with CACHE_MANAGER', async () => {
    const real = LaneCacheModule.forRoot({ directory: '/dev/null/never', provideCacheManager: true });
    @Module({ imports: [real], providers: [Prices], exports: [Prices] })
    class App {}
    const app = await Test.createTestingModule({ imports: [App] })
      .overrideModule(real)
      .useModule(LaneCacheTestingModule.forRoot({ provideCacheManager: true }))
      .compile();
    opened.push(await app.init());
    expect(await app.get(Prices).of('tea')).toBe('tea 1');
    await app.get(Cache).set('a', 1, 1_000);
    await app.get(FakeClock).advance('10m');
    expect([await app.get(Prices).of('tea'), await app.get(Cache).get('a')]).toEqual(['tea 2', undefined]);
  });

  it('gives each app its own time and entries', async () => {
    const [one, two] = [await boot(), await boot()];
    await one.get(Prices).of('tea');
    await one.get(FakeClock).advance('1h');
    expect(two.get(FakeClock).monotonic()).toBe(0);
    await expectCached(two.get(CacheManager), 'price:tea').toBeAbsent();
  });

  it('keeps checkpoints in memory, each app its own', async () => {
    const app = await boot();
    const steps = app.get(Import);
    const [first, again] = [await steps.batch('a'), await steps.batch('a')];
    expect([again, steps.runs]).toEqual([first, 1]);
    const checkpoints = app.get(CheckpointService);
    await expect(checkpoints.latest('import')).resolves.toMatchObject({ id: 'import:a', version: 1 });
    await app.get(CacheManager).clearAll({ lanes: 'all' });
    expect(await checkpoints.restoreCheckpoint('import:a')).toEqual(first);
    await expect(checkpoints.cacheCheckpoint('import:a', 1, { expectedVersion: 0 })).rejects.toMatchObject({
      code: 'CHECKPOINT_CONFLICT',
    });
    await app.get(FakeClock).advance('61m');
    expect((await steps.batch('a')).get('a')).toEqual(new Date(2));
    expect(await (await boot()).get(CheckpointService).restoreCheckpoint('import:a')).toBeUndefined();
    await expect(access('.lane-cache')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('cleans checkpoints up when asked', async () => {
    const app = await boot({ checkpoints: { retention: { maxAgeDays: 1 } } });
    const checkpoints = app.get(CheckpointService);
    for (const id of ['old', 'pinned']) await checkpoints.cacheCheckpoint(id, { id });
    await checkpoints.pin('pinned');
    await app.get(FakeClock).advance('2d');
    await checkpoints.cacheCheckpoint('new', {});
    expect(await app.get(CheckpointCleanupTask).run()).toMatchObject({ removed: 1, pinnedKept: 1 });
    const left = (await checkpoints.list()).items.map(({ id }) => id);
    expect(left.toSorted()).toEqual(['new', 'pinned']);
  });

  it('keeps none where the settings want none, and none once the app is closed', async () => {
    const without = (await boot({ checkpoints: false })).get(CheckpointService);
    await expect(without.cacheCheckpoint('a', 1)).rejects.toMatchObject({ code: 'CHECKPOINTS_UNAVAILABLE' });
    const app = await boot();
    await app.close();
    await expect(app.get(CheckpointService).cacheCheckpoint('a', 1)).rejects.toMatchObject({
      code: expect.stringMatching(/CLOSED|CHECKPOINTS_UNAVAILABLE/),
    });
  });

  describe('expectCached', () => {
    it('holds where it is so', async () => {
      const { cache, ...prices } = (await boot()).get(Prices);
      expect(prices.calls).toBe(0);
      await cache.set('a*b', 1, { ttl: '10s', tags: ['x', 'y'] });
      const assertions = expectCached(cache, 'a*b');
      await assertions.toBeServedBy('l1');
      await assertions.toHaveTags();
      await assertions.toHaveTags('y', 'x');
      await assertions.toExpireWithin('10s');
      await expectCached(cache, 'a?b').toBeAbsent();
      expect(cache.getMetrics().requests).toBe(0);
    });

    it.each<[string, (cache: CacheManager) => Promise<void>, string]>([
      [
        'absent',
        (cache) => expectCached(cache, 'b').toBeServedBy('l1'),
        "'b' in lane 'standard' to be served by l1, but it is not cached",
      ],
      ['elsewhere', (cache) => expectCached(cache, 'a').toBeServedBy('l2'), 'to be served by l2, but it is in l1'],
      [
        'there',
        (cache) => expectCached(cache, 'a').toBeAbsent(),
        'not to be cached, but it is in l1 for another 10000 ms',
      ],
      ['without tag', (cache) => expectCached(cache, 'a').toHaveTags('x', 'z'), 'to have the tags z; it has x'],
      [
        'living longer',
        (cache) => expectCached(cache, 'a').toExpireWithin('5s'),
        'within 5000 ms; it has 10000 ms left',
      ],
    ])('fails where it is %s', async (_, assert, text) => {
      const cache = (await boot()).get(CacheManager);
      await cache.set('a', 1, { ttl: '10s', tags: ['x'] });
      const failure = await assert(cache).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(failure).toBeInstanceOf(AssertionError);
      expect(failure).toMatchObject({ message: expect.stringContaining(text) });
    });
  });
});
