import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { createClient } from 'redis';
import type { CacheManager, LaneCacheEvent, LaneCacheOptions } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { until } from '../support/gate.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const turned = (cache: CacheManager, state: 'on' | 'off'): Promise<LaneCacheEvent<'tier'>> =>
  new Promise((resolve) => {
    const stop = cache.events.on('tier', (event) => {
      if (event.tier !== 'l4' || event.state !== state) return;
      stop();
      resolve(event);
    });
  });

/** Ends when the instance has caught up with what another one has set. */
const found = (cache: CacheManager, key: string): Promise<void> =>
  until(async () => (await cache.get(key)) !== undefined);

/** What hangs fails the test by its limit. */
async function computes(cache: CacheManager): Promise<void> {
  const key = randomUUID();
  expect(await cache.getOrSet(key, async () => key)).toBe(key);
  expect(await cache.getOrSet(key, async () => 'anew')).toBe(key);
}

describeWithRedis(
  { describe },
  'a server that fails',
  () => {
    const caches = new Caches();
    let server: RedisServer;
    let proxy: TcpProxy;
    let prefix: string;

    const open = (options: LaneCacheOptions = {}): Promise<CacheManager> =>
      caches.open({ ...options, distributed: { url: proxy.url, prefix, ...options.distributed } });

    beforeAll(async () => {
      server = await RedisServer.start('--maxmemory-policy', 'noeviction');
    });

    beforeEach(async () => {
      prefix = randomUUID();
      proxy = await TcpProxy.before(server.port);
    });

    afterEach(async () => {
      await caches.close();
      await proxy.close();
    });

    afterAll(() => server.dispose());

    const FAILURES: Record<string, { readonly begin: () => unknown; readonly end: () => unknown }> = {
      'is stopped': { begin: () => server.stop(), end: () => server.boot() },
      'is frozen': { begin: () => server.freeze(), end: () => server.thaw() },
      'is behind a black hole': {
        begin: () => (proxy.weather = 'black-hole'),
        end: () => (proxy.weather = 'fair'),
      },
      'answers garbage': { begin: () => (proxy.weather = 'garbage'), end: () => (proxy.weather = 'fair') },
    };

    for (const [what, { begin, end }] of Object.entries(FAILURES)) {
      it(`${what}: the app goes on, reports it once, and uses the server again by itself`, async () => {
        const cache = await open();
        await computes(cache);
        const reported: string[] = [];
        cache.events.on('tier', ({ tier, state }) => reported.push(`${tier} ${state}`));
        const off = turned(cache, 'off');
        await begin();
        await computes(cache);
        expect(await off).toMatchObject({ reason: 'disconnected' });
        await computes(cache);
        expect(cache.getMetrics().l4.state).toBe('off');
        const on = turned(cache, 'on');
        await end();
        await on;
        await computes(cache);
        expect(reported).toEqual(['l4 off', 'l4 on']);
      });
    }

    it('is away for too long: what is shared is computed each time, until it is back', async () => {
      for (const [onDisconnect, maxStaleness] of [
        ['serve', '200ms'],
        ['bypass', '30s'],
      ] as const) {
        const cache = await open({ distributed: { onDisconnect, maxStaleness } });
        await cache.getOrSet('k', async () => 'old');
        await server.stop();
        for (let n = 0; cache.getMetrics().bypassed['stale-distributed'] === 0; n++) {
          await cache.getOrSet('k', async () => n);
          await new Promise(setImmediate);
        }
        expect(await cache.getOrSet('k', async () => 'computed')).toBe('computed');
        expect(await cache.get('k')).toBeUndefined();
        expect(await cache.set('k', 'set').catch((error: unknown) => error)).toMatchObject({
          code: 'INVALIDATION_PENDING',
        });
        expect(await cache.get('k')).toBeUndefined();
        const on = turned(cache, 'on');
        await server.boot();
        await on;
        await computes(cache);
      }
    });

    it('receives the invalidations of an app with a directory after it returns', async () => {
      const [directory, other] = [await caches.directory(), await open()];
      const first = await open({ directory });
      await other.set('k', 'old');
      await found(first, 'k');
      proxy.weather = 'black-hole';
      proxy.cut();
      await first.invalidate('k');
      expect(await first.get('k')).toBeUndefined();
      await first.close();
      const heard = other.events.once('invalidate');
      proxy.weather = 'fair';
      const again = await open({ directory });
      expect(await again.get('k')).toBeUndefined();
      expect(await heard).toMatchObject({ kind: 'key', subject: 'k', origin: 'remote' });
      expect(await other.get('k')).toBeUndefined();
    });

    it('delivers missed invalidations to an app before the app reads its persistent tier', async () => {
      const patient = { distributed: { commandTimeout: '5s' } } as const;
      const [directory, other] = [await caches.directory(), await open(patient)];
      const first = await open({ ...patient, directory });
      for (const key of ['kept', 'gone', 'tagged']) {
        await first.getOrSet(key, async () => key, { tags: key === 'tagged' ? ['t'] : [] });
      }
      // the cursor is stored behind what it stands for
      await other.set('something', 'else');
      await found(first, 'something');
      await first.flush();
      await first.close();
      await other.invalidate('gone');
      await other.invalidateByTag('t');
      const again = await open({ ...patient, directory });
      const readsNothingOld = async (): Promise<void> => {
        expect(await again.get('gone')).toBeUndefined();
        expect(await again.get('tagged')).toBeUndefined();
      };
      await readsNothingOld();
      while (again.getMetrics().l4.state !== 'on') await again.events.once('tier');
      await readsNothingOld();
      expect(await again.get('kept')).toBe('kept');
      expect(again.getMetrics().l3.hits).toBe(1);
    });

    it('has trimmed records that an app missed: the app drops its entries, on disk too', async () => {
      const [directory, other] = [await caches.directory(), await open({ distributed: { url: server.url } })];
      const cache = await open({ directory });
      await cache.getOrSet('k', async () => 'old');
      await cache.flush();
      const off = turned(cache, 'off');
      proxy.weather = 'black-hole';
      proxy.cut();
      await off;
      expect(await cache.get('k')).toBe('old');
      await other.invalidate('k');
      const admin = await createClient({ url: server.url }).connect();
      await admin.xTrim(`{${prefix}}:stream`, 'MAXLEN', 0);
      const on = turned(cache, 'on');
      proxy.weather = 'fair';
      await on;
      expect(await cache.get('k')).toBeUndefined();
      const { l2, l3 } = cache.getMetrics();
      expect([l2.hits, l3.hits]).toEqual([0, 0]);
      await admin.close();
    });

    it('has more missed records than fit into one reply: the app is up to date once it has applied all', async () => {
      const [cache, other] = [await open(), await open({ distributed: { url: server.url, commandTimeout: '5s' } })];
      await cache.getOrSet('k', async () => 'old');
      const off = turned(cache, 'off');
      proxy.weather = 'black-hole';
      proxy.cut();
      await off;
      await Promise.all(Array.from({ length: 1_500 }, (_, n) => other.invalidate(`another ${n}`)));
      await other.invalidate('k');
      const on = turned(cache, 'on').then(() => cache.get('k'));
      expect(await cache.get('k')).toBe('old');
      proxy.weather = 'fair';
      expect(await on).toBeUndefined();
    });

    it('is not there at boot: the app boots, and joins later', async () => {
      await server.stop();
      const cache = await open();
      await computes(cache);
      await expect(cache.invalidate('k')).rejects.toMatchObject({ code: 'INVALIDATION_PENDING' });
      const on = turned(cache, 'on');
      await server.boot();
      await on;
      const other = await open();
      await cache.set('k', 1);
      await found(other, 'k');
    });

    it('is full: values are refused, and every instance follows what is invalidated', async () => {
      const [cache, other] = [await open(), await open()];
      const admin = createClient({ url: server.url });
      await admin.connect();
      await other.set('k', 'old');
      await found(cache, 'k');
      await admin.sendCommand(['CONFIG', 'SET', 'maxmemory', '1']);
      try {
        await computes(cache);
        const heard = other.events.once('invalidate');
        await cache.invalidate('k');
        expect(await heard).toMatchObject({ kind: 'key', subject: 'k', origin: 'remote' });
        expect([await cache.get('k'), await other.get('k')]).toEqual([undefined, undefined]);
        await cache.set('large', 'value');
        expect(await admin.sendCommand(['KEYS', `{${prefix}}:e:*large*`])).toEqual([]);
      } finally {
        await admin.sendCommand(['CONFIG', 'SET', 'maxmemory', '0']);
        await admin.close();
      }
    });

    it('has a foreign value at the key of a lease: the lease is repaired and no caller waits', async () => {
      const lanes = { standard: { l4: { coalesce: 'cluster' } } } as const;
      const cache = await open({ lanes });
      const admin = await createClient({ url: server.url }).connect();
      const reported: string[] = [];
      cache.events.on('tier', ({ tier, state }) => reported.push(`${tier} ${state}`));
      const on = turned(cache, 'on');
      await admin.del(`{${prefix}}:landed`);
      await admin.set(`{${prefix}}:landed`, 'a text');
      await on;
      expect(reported).toEqual(['l4 off', 'l4 on']);
      await admin.set(`{${prefix}}:lease:standard:k`, 'of nobody');
      await admin.hSet(`{${prefix}}:lease:standard:another`, 'field', 'of nobody');
      for (const key of ['k', 'another']) {
        expect(await cache.getOrSet(key, async () => key)).toBe(key);
        await cache.flush();
        await until(async () => (await admin.exists(`{${prefix}}:lease:standard:${key}`)) === 0);
      }
      await admin.close();
    });

    it('has something else under our keys: entries are misses, a broken log begins anew', async () => {
      // a record waits for the next heartbeat when somebody else has begun the log anew
      const patient = { distributed: { commandTimeout: '5s' } } as const;
      const [cache, other] = [await open(patient), await open(patient)];
      const admin = createClient({ url: server.url });
      await admin.connect();
      const heard = other.events.once('invalidate');
      await cache.set('k', 'good');
      await heard;
      const [name] = await admin.keys(`{${prefix}}:e:*`);
      await admin.del(name ?? '');
      await admin.hSet(name ?? '', 'field', 'of a hash');
      expect(await other.get('k')).toBeUndefined();
      await other.getOrSet('k', async () => 'computed');
      await other.flush();
      expect(await admin.type(name ?? '')).toBe('string');
      for (const damage of ['a text', 'a text that is long enough to be an entry, and is none of ours']) {
        await admin.set(name ?? '', damage);
        const again = await open(patient);
        expect(await again.get('k')).toBeUndefined();
      }

      await cache.set('kept', 1);
      const generation = await admin.hGet(`{${prefix}}:meta`, 'gen');
      await admin.set(`{${prefix}}:tags`, 'a text');
      // whatever was stored under a history that is lost no longer counts, anywhere
      await until(async () => {
        await computes(cache);
        return (await admin.hGet(`{${prefix}}:meta`, 'gen')) !== generation;
      });
      // a value that was set before the new log was met stays where it was set
      await until(async () => {
        await cache.set('after', 2);
        return (await other.get('after')) !== undefined;
      });
      expect(await other.get('kept')).toBeUndefined();
      await admin.close();
    });
  },
  'own',
);
