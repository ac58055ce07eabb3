// An app on @nestjs/cache-manager: over the lane itself, and over a lane as the store of the Keyv that the app installs.
import { CACHE_MANAGER, CacheInterceptor, CacheModule } from '@nestjs/cache-manager';
import { Controller, Get, Module, UseInterceptors } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Keyv } from 'keyv';
import { CacheManager, laneKeyvStore, LaneCacheModule } from 'nestjs-lane-cache';
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

class Cats {
  runs = 0;
  list() {
    return { run: ++this.runs };
  }
}
Controller('cats')(Cats);
UseInterceptors(CacheInterceptor)(Cats);
Get()(Cats.prototype, 'list', Object.getOwnPropertyDescriptor(Cats.prototype, 'list'));

const laneCache = (options) => LaneCacheModule.forRoot({ directory: false, logger: false, ...options });
const ways = {
  'provided by the lane': () => [laneCache({ provideCacheManager: true })],
  'over a Keyv of the app': () => [
    laneCache(),
    CacheModule.registerAsync({
      isGlobal: true,
      inject: [CacheManager],
      useFactory: (lane) => ({ stores: [new Keyv({ store: laneKeyvStore(lane) })] }),
    }),
  ],
};

for (const [way, imports] of Object.entries(ways)) {
  describe(`CACHE_MANAGER ${way}`, () => {
    let app, cache, lane;
    before(async () => {
      class App {}
      Module({ imports: imports(), controllers: [Cats] })(App);
      const module = await Test.createTestingModule({ imports: [App] }).compile();
      app = module.createNestApplication();
      await app.listen(0, '127.0.0.1');
      cache = app.get(CACHE_MANAGER);
      lane = app.get(CacheManager);
    });
    after(() => app.close());

    // cache-manager 7 calls Keyv 5 in `wrap`, and never finds anything in a Keyv 6 of the app
    const wraps = way === 'provided by the lane' || process.env.KEYV !== '6';
    it('gets, sets, wraps and deletes', async () => {
      await cache.set('user:1', { name: 'Ada' }, 60_000);
      assert.deepEqual(await cache.get('user:1'), { name: 'Ada' });
      await cache.mset([{ key: 'user:2', value: 2 }]);
      assert.deepEqual(await cache.mget(['user:2', 'user:3']), [2, undefined]);
      assert.equal(await cache.wrap('wrapped', async () => 1, 60_000), 1);
      assert.equal(await cache.wrap('wrapped', async () => 2, 60_000), wraps ? 1 : 2);
      assert.equal(await cache.del('user:1'), true);
      assert.equal(await cache.get('user:1'), undefined);
    });

    it('answers routes, and lets go of them by a pattern of their URLs', async () => {
      const url = `${await app.getUrl()}/cats`;
      const get = async () => (await (await fetch(url)).json()).run;
      assert.deepEqual([await get(), await get()], [1, 1]);
      assert.equal(await lane.invalidateByPattern('/cat*'), 1);
      assert.equal(await get(), 2);
    });

    it('lets go of keys by the pattern that the app knows them by', async () => {
      await cache.set('page:1', 1);
      await cache.set('page:2', 2);
      await cache.set('other', 3);
      assert.equal(await lane.invalidateByPattern('page:*'), 2);
      assert.deepEqual(await cache.mget(['page:1', 'page:2', 'other']), [undefined, undefined, 3]);
    });

    it('clears what is its own', async () => {
      await lane.set('own', 1);
      await cache.set('user:1', 1);
      await cache.clear();
      assert.equal(await cache.get('user:1'), undefined);
      assert.equal(await lane.get('own'), 1);
    });
  });
}

describe('a Keyv of the app', () => {
  it('keeps namespaces apart, and expires', async () => {
    const lane = await CacheManager.fromSettings({ directory: false });
    const [one, other] = ['one', 'other'].map((namespace) => new Keyv({ store: laneKeyvStore(lane), namespace }));
    await one.set('k', { n: 1 }, 60_000);
    await other.set('k', 2);
    assert.deepEqual([await one.get('k'), await other.get('k')], [{ n: 1 }, 2]);
    const entries = [];
    for await (const entry of one.iterator()) entries.push(entry);
    assert.deepEqual(entries, [['k', { n: 1 }]]);
    await one.clear();
    assert.deepEqual([await one.get('k'), await other.get('k')], [undefined, 2]);
    assert.equal(await other.delete('k'), true);
    await lane.close();
  });
});
