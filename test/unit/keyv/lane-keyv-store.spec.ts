import { afterEach, describe, expect, it } from '@jest/globals';
import { createCache } from 'cache-manager';
import { Keyv } from 'keyv';
import { CacheManager } from '../../../lib/app/cache-app.js';
import { laneKeyvStore } from '../../../lib/keyv/lane-keyv-store.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { Caches } from '../../support/caches.js';

const caches = new Caches();

afterEach(() => caches.close());

async function open(namespace: string, cache?: CacheManager): Promise<Keyv> {
  return new Keyv({ store: laneKeyvStore(cache ?? (await caches.open())), namespace });
}

describe('laneKeyvStore', () => {
  it('takes ttls in milliseconds', async () => {
    const clock = new FakeClock();
    const store = laneKeyvStore(await caches.open({ clock }));
    expect(await store.set('short', 1, 1_500)).toBe(true);
    await store.setMany([{ key: 'other', value: 2, ttl: 1_500 }]);
    await clock.advance('1499ms');
    expect(await store.getMany(['short', 'other'])).toEqual([1, 2]);
    await clock.advance('1ms');
    expect(await store.getMany(['short', 'other'])).toEqual([undefined, undefined]);
  });

  it.each([undefined, 0])("uses the lane's ttl for an entry with the ttl %p", async (ttl) => {
    const clock = new FakeClock();
    const store = laneKeyvStore(await caches.open({ clock, lanes: { standard: { ttl: '10s' } } }));
    await store.set('a', 1, ttl);
    await clock.advance('9s');
    expect(await store.has('a')).toBe(true);
    await clock.advance('1s');
    expect(await store.has('a')).toBe(false);
  });

  it.each([Infinity, 1e21, 0.4])('takes the ttl %p', async (ttl) => {
    const store = laneKeyvStore(await caches.open({ clock: new FakeClock() }));
    expect(await store.set('a', 1, ttl)).toBe(true);
    expect(await store.get('a')).toBe(1);
  });

  it('treats a negative ttl as ended, and leaves no older value', async () => {
    const store = laneKeyvStore(await caches.open());
    await store.set('a', 1);
    expect(await store.set('a', 2, -1)).toBe(false);
    expect(await store.get('a')).toBeUndefined();
  });

  it.each([Number.NaN])('refuses the ttl %p', async (ttl) => {
    const store = laneKeyvStore(await caches.open());
    await expect(async () => store.set('a', 1, ttl)).rejects.toMatchObject({ code: 'TTL_INVALID' });
  });

  it('returns copies, which the caller may change', async () => {
    const store = laneKeyvStore(await caches.open());
    await store.set('list', { items: [1] });
    const first = await store.get<{ items: number[] }>('list');
    first?.items.push(2);
    expect(await store.get('list')).toEqual({ items: [1] });
    const [second] = await store.getMany<{ items: number[] }>(['list']);
    second?.items.push(3);
    expect(await store.get('list')).toEqual({ items: [1] });
  });

  it('keeps the types of values, including null', async () => {
    const store = laneKeyvStore(await caches.open());
    const value = { at: new Date(5), names: new Map([['a', 1n]]), none: null };
    await store.set('value', value);
    await store.set('null', null);
    expect(await store.getMany(['value', 'null', 'absent'])).toEqual([value, null, undefined]);
  });

  it('returns what was stored, what existed, and what was refused', async () => {
    const store = laneKeyvStore(await caches.open());
    const results: boolean[] = await store.setMany([
      { key: 'a', value: 1 },
      { key: 'b', value: () => 1 },
    ]);
    expect(results).toEqual([true, false]);
    expect(await store.hasMany(['a', 'b'])).toEqual([true, false]);
    expect(await store.delete('a')).toBe(true);
    expect(await store.delete('a')).toBe(false);
    await store.set('a', 1);
    expect(await store.deleteMany(['a', 'b'])).toBe(false);
    await store.set('a', 1);
    await store.set('b', 1);
    expect(await store.deleteMany(['a', 'b'])).toBe(true);
  });

  it('lets the event loop turn while it stores, looks for and deletes many entries', async () => {
    const cache = await caches.open({ lanes: { standard: { l1: { maxEntries: 1_000 } } } });
    const store = laneKeyvStore(cache);
    const keys = Array.from({ length: 1_000 }, (_, n) => `k${n}`);
    const calls = [
      () => store.setMany(keys.map((key, n) => ({ key, value: n, ttl: n % 2 === 0 ? 1_000 : undefined }))),
      () => store.hasMany(keys),
      () => store.deleteMany(keys),
    ];
    for (const call of calls) {
      let turns = 0;
      let isOver = false;
      const answered = call().then(() => (isOver = true));
      for (; !isOver; turns++) await new Promise((resolve) => setImmediate(resolve));
      await answered;
      expect(turns).toBeGreaterThan(4);
    }
    expect(await store.hasMany(['k0', 'k499'])).toEqual([false, false]);
  });

  it('stores nothing over what was set since the call', async () => {
    const store = laneKeyvStore(await caches.open());
    const keys = Array.from({ length: 200 }, (_, n) => `k${n}`);
    const storing = store.setMany(keys.map((key) => ({ key, value: 'older' })));
    await store.set('k199', 'newer');
    const results: boolean[] = await storing;
    expect(results.indexOf(false)).toBe(199);
    expect(await store.get('k199')).toBe('newer');
  });

  it('keeps its namespace and its entries in a lane apart from all others', async () => {
    const cache = await caches.open();
    const names = [undefined, 'a', 'a:b', 'ab', 'a*', 'a?', '*', '', 'ä', 'x'.repeat(300)];
    const stores = names.map((namespace) => laneKeyvStore(cache, namespace === undefined ? {} : { namespace }));
    await cache.set('k', 'own');
    await cache.set('b:k', 'own');
    for (const [index, store] of stores.entries()) {
      for (const key of ['k', 'b:k', ':k']) await store.set(key, `${index} ${key}`);
    }
    for (const [index, store] of stores.entries()) {
      expect(await store.getMany(['k', 'b:k', ':k'])).toEqual(['k', 'b:k', ':k'].map((key) => `${index} ${key}`));
    }
    for (const [index, store] of stores.entries()) {
      await store.clear();
      expect(await store.get('k')).toBeUndefined();
      for (const other of stores.slice(index + 1)) expect(await other.has('k')).toBe(true);
    }
    expect([...(await cache.getMany(['k', 'b:k'])).keys()]).toEqual(['k', 'b:k']);
  });

  it('iterates over its entries, with the keys as given', async () => {
    const cache = await caches.open();
    const store = laneKeyvStore(cache, { namespace: 'a' });
    await laneKeyvStore(cache, { namespace: 'b' }).set('other', 0);
    await store.set('one', 1);
    await store.set('two:2', new Date(2));
    const seen = new Map<string, unknown>();
    for await (const [key, value] of store.iterator()) seen.set(key, value);
    expect(seen).toEqual(
      new Map<string, unknown>([
        ['one', 1],
        ['two:2', new Date(2)],
      ]),
    );
  });

  it('skips an entry that is removed before it is read', async () => {
    const store = laneKeyvStore(await caches.open());
    for (const key of ['a', 'b', 'c']) await store.set(key, key);
    const seen: string[] = [];
    for await (const [key] of store.iterator()) {
      seen.push(key);
      await store.clear();
    }
    expect(seen).toHaveLength(1);
  });

  it('leaves the cache open when it is disconnected', async () => {
    const cache = await caches.open();
    const store = laneKeyvStore(cache);
    await store.disconnect();
    expect(await store.set('a', 1)).toBe(true);
  });
});

describe('a Keyv over a lane', () => {
  it('behaves like any Keyv', async () => {
    const keyv = await open('keyv');
    expect(await keyv.set('foo', 'bar')).toBe(true);
    expect(await keyv.get('foo')).toBe('bar');
    expect(await keyv.get('absent')).toBeUndefined();
    expect(
      await keyv.setMany([
        { key: 'one', value: 1 },
        { key: 'two', value: null },
      ]),
    ).toEqual([true, true]);
    expect(await keyv.get(['one', 'two', 'three'])).toEqual([1, null, undefined]);
    expect(await keyv.has('one')).toBe(true);
    expect(await keyv.hasMany(['one', 'three'])).toEqual([true, false]);
    expect(await keyv.delete('one')).toBe(true);
    expect(await keyv.delete('one')).toBe(false);
    expect(await keyv.delete(['foo', 'two'])).toBe(true);
    expect(await keyv.delete(['foo', 'two'])).toBe(false);
    expect(await keyv.clear()).toBeUndefined();
  });

  it.each([[false], [null], [undefined], [0], [''], ['":"'], ['`'], [{ nested: [1] }]])(
    'returns %p unchanged',
    async (value) => {
      const keyv = await open('values');
      await keyv.set('foo', value);
      expect(await keyv.get('foo')).toEqual(value);
    },
  );

  it('returns bytes unchanged', async () => {
    const keyv = await open('bytes');
    await keyv.set('foo', Buffer.from('bar'));
    expect(await keyv.get('foo')).toEqual(Buffer.from('bar'));
  });

  it('shares a lane with a Keyv of another namespace', async () => {
    const cache = await caches.open();
    const [one, two] = [await open('one', cache), await open('two', cache)];
    await one.set('foo', 1);
    await two.set('foo', 2);
    expect([await one.get('foo'), await two.get('foo')]).toEqual([1, 2]);
    expect(await one.delete('foo')).toBe(true);
    expect([await one.get('foo'), await two.get('foo')]).toEqual([undefined, 2]);
    await one.set('foo', 1);
    await one.clear();
    expect([await one.get('foo'), await two.get('foo')]).toEqual([undefined, 2]);
  });

  it('iterates over its entries', async () => {
    const cache = await caches.open();
    const keyv = await open('walk', cache);
    await (await open('other', cache)).set('x', 0);
    await keyv.set('a', 1);
    await keyv.set('b:c', 2);
    const seen = new Map<string, unknown>();
    for await (const [key, value] of keyv.iterator?.('walk') ?? []) seen.set(key, value);
    expect(seen).toEqual(
      new Map([
        ['a', 1],
        ['b:c', 2],
      ]),
    );
  });

  it('works as the store of a cache of cache-manager', async () => {
    const cache = createCache({ stores: [await open('manager')] });
    const heard: string[] = [];
    cache.on('set', ({ key }) => heard.push(`set ${key}`));
    cache.on('del', ({ key }) => heard.push(`del ${key}`));
    expect(await cache.set('a', { b: 1 }, 5_000)).toEqual({ b: 1 });
    expect(await cache.get('a')).toEqual({ b: 1 });
    await cache.mset([
      { key: 'x', value: 1 },
      { key: 'y', value: null },
    ]);
    expect(await cache.mget(['x', 'y', 'z'])).toEqual([1, null, undefined]);
    expect(await cache.ttl('a')).toBeGreaterThan(Date.now());
    let calls = 0;
    const wrapped = () => cache.wrap('w', async () => ++calls, 5_000);
    expect(await Promise.all([wrapped(), wrapped(), wrapped()])).toEqual([1, 1, 1]);
    await cache.del('a');
    expect(await cache.get('a')).toBeUndefined();
    await cache.clear();
    expect(await cache.mget(['x', 'w'])).toEqual([undefined, undefined]);
    expect(heard).toContain('set a');
    expect(heard).toContain('del a');
  });
});
