import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { createClient } from 'redis';
import type { CacheManager, LaneCacheOptions } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';

class Money {
  constructor(readonly cents: number) {}
}

/** Ends when the instance has followed all that was said before. */
async function followed(cache: CacheManager, by: CacheManager): Promise<void> {
  const sign = randomUUID();
  const heard = new Promise<void>((resolve) => {
    const stop = cache.events.on('invalidate', ({ subject }) => {
      if (subject !== sign) return;
      stop();
      resolve();
    });
  });
  await by.invalidateByTag(sign);
  await heard;
}

describeWithRedis(
  { describe },
  'instances of one app that are not alike',
  () => {
    const caches = new Caches();
    let server: RedisServer;
    let prefix: string;

    const open = (options: LaneCacheOptions = {}): Promise<CacheManager> =>
      caches.open({
        ...options,
        distributed: { url: server.url, prefix, commandTimeout: '5s', ...options.distributed },
      });

    beforeAll(async () => {
      server = await RedisServer.start();
    });

    beforeEach(() => {
      prefix = randomUUID();
    });

    afterEach(() => caches.close());
    afterAll(() => server.dispose());

    it('drop everything on an unknown record of a newer instance, and continue', async () => {
      const [cache, other] = [await open(), await open()];
      const admin = await createClient({ url: server.url }).connect();
      await cache.getOrSet('k', async () => 'old');
      const sequence = await admin.hIncrBy(`{${prefix}}:meta`, 'seq', 1);
      const record = { by: 'a newer release', kind: 'rename', lane: 'standard', subject: 'k' };
      await admin.xAdd(`{${prefix}}:stream`, `${sequence}-0`, record);
      await followed(cache, other);
      await cache.getOrSet('k', async () => 'new');
      const { computed } = cache.getMetrics();
      expect(computed).toBeGreaterThanOrEqual(1);
      expect(cache.getMetrics().l1.hits).toBe(0);
      expect(cache.getMetrics().l4.state).toBe('on');
      await cache.set('after', 1);
      await followed(other, cache);
      expect(await other.get('after')).toBe(1);
      await admin.close();
    });

    it('reject a record that was copied to another key', async () => {
      const [cache, other] = [await open(), await open()];
      const admin = await createClient({ url: server.url }).connect();
      await cache.getOrSet('k', async () => 'of k');
      await cache.flush();
      const [name = ''] = await admin.keys(`{${prefix}}:e:*`);
      await admin.copy(name, name.replace(/k$/, 'j'));
      expect(await other.get('j')).toBeUndefined();
      expect(await other.get('k')).toBe('of k');
      await admin.close();
    });

    it('apply invalidations of lanes that both share, and none of a lane that one keeps local', async () => {
      const cache = await open({ lanes: { ml: { extends: 'heavy' } } });
      const other = await open({ lanes: { docs: { l4: { enabled: false } } } });
      await other.forLane('docs').set('k', 'at home');
      await other.set('k', 'shared');
      await followed(cache, other);
      expect(await cache.get('k')).toBe('shared');
      expect(await cache.forLane('docs').get('k')).toBeUndefined();
      await cache.forLane('ml').set('k', 'of a lane that the other has not');
      await cache.forLane('ml').invalidate('k');
      await cache.forLane('docs').invalidate('k');
      await cache.forLane('docs').clearAll();
      await followed(other, cache);
      expect(await other.forLane('docs').get('k')).toBe('at home');
      const said: string[] = [];
      cache.events.on('invalidate', ({ subject, origin }) => void (origin === 'remote' && said.push(subject)));
      await other.forLane('docs').invalidate('k');
      await followed(cache, other);
      expect(said).not.toContain('k');
      expect(await cache.get('k')).toBe('shared');
    });

    it('read no entries of another version of the app, and apply its invalidations', async () => {
      const [first, second] = [await open({ version: '1' }), await open({ version: '2' })];
      await first.getOrSet('k', async () => 'of the first');
      await first.flush();
      expect(await second.getOrSet('k', async () => 'of the second')).toBe('of the second');
      await second.flush();
      expect(await first.get('k')).toBe('of the first');
      await second.invalidate('k');
      await followed(first, second);
      expect(await first.get('k')).toBeUndefined();
    });

    it('compute what is of a class that they do not list', async () => {
      const [cache, other] = [await open({ types: [Money] }), await open()];
      await cache.getOrSet('k', async () => new Money(5));
      await cache.flush();
      expect(await (await open({ types: [Money] })).get('k')).toBeInstanceOf(Money);
      expect(await other.getOrSet('k', async () => 'computed')).toBe('computed');
    });

    it('compute entries sealed with another key, and still apply the invalidations of its holder', async () => {
      const sealed = (hmacKey: string): LaneCacheOptions => ({ distributed: { hmacKey } });
      const [cache, other] = [await open(sealed('a')), await open(sealed('b'))];
      await cache.getOrSet('k', async () => 'of a');
      await cache.flush();
      expect(await other.getOrSet('k', async () => 'of b')).toBe('of b');
      await other.flush();
      expect(await cache.get('k')).toBe('of a');
      await cache.invalidate('k');
      await followed(other, cache);
      expect(await other.get('k')).toBeUndefined();
    });
  },
  'own',
);
