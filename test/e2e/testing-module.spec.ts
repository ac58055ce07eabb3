import { afterEach, describe, expect, it } from '@jest/globals';
import { Inject, Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { AssertionError } from 'node:assert';
import { access } from 'node:fs/promises';
import { Cached, CacheManager, LaneCacheMetrics } from '../../lib/index.js';
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

describe('the testing kit', () => {
  const opened: TestingModule[] = [];

  async function boot(settings?: string | LaneCacheTestingOptions): Promise<TestingModule> {
    const imports = [LaneCacheTestingModule.forRoot(settings)];
    const app = await Test.createTestingModule({ imports, providers: [Prices] }).compile();
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
  });

  it('gives each app its own time and entries', async () => {
    const [one, two] = [await boot(), await boot()];
    await one.get(Prices).of('tea');
    await one.get(FakeClock).advance('1h');
    expect(two.get(FakeClock).monotonic()).toBe(0);
    await expectCached(two.get(CacheManager), 'price:tea').toBeAbsent();
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
