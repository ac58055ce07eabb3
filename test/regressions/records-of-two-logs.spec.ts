import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { createClient } from 'redis';
import type { CacheManager, LaneCacheOptions } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { until } from '../support/gate.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const connected = (url: string) => createClient({ url }).connect();

describeWithRedis(
  { describe },
  'two processes of a directory, and the records that come by its log and by the server',
  () => {
    const caches = new Caches();
    let server: RedisServer;
    let raw: Awaited<ReturnType<typeof connected>>;
    let prefix: string;
    /** Between the server and the author of the records, and the process that follows them. */
    let [ofAuthor, ofReader]: TcpProxy[] = [];
    beforeAll(async () => {
      server = await RedisServer.start();
      raw = await connected(server.url);
    });
    beforeEach(async () => {
      prefix = randomUUID();
      ofAuthor = await TcpProxy.before(server.port);
      ofReader = await TcpProxy.before(server.port);
    });
    afterEach(async () => {
      await caches.close();
      await Promise.all([ofAuthor?.close(), ofReader?.close()]);
    });
    afterAll(async () => {
      await raw.close();
      await server.dispose();
    });

    const turned = (cache: CacheManager, state: 'on' | 'off'): Promise<void> =>
      until(() => cache.getMetrics().l4.state === state);
    const at = (url: string, directory: string | false, l3: boolean): LaneCacheOptions => ({
      ...{ directory, lanes: { standard: { l3: { enabled: l3 } } } },
      distributed: { url, prefix, logLength: 100 },
    });
    const heardBy = (cache: CacheManager, wanted: string): Promise<void> =>
      new Promise((resolve) => {
        cache.events.on('invalidate', ({ subject, origin }) => {
          if (subject === wanted && origin === 'remote') resolve();
        });
      });

    const cutOff = async (proxy: TcpProxy | undefined, cache: CacheManager): Promise<void> => {
      if (proxy !== undefined) proxy.weather = 'black-hole';
      proxy?.cut();
      await turned(cache, 'off');
    };
    const reconnected = async (proxy: TcpProxy | undefined, cache: CacheManager): Promise<void> => {
      if (proxy !== undefined) proxy.weather = 'fair';
      proxy?.cut();
      await turned(cache, 'on');
    };

    /** The author invalidates a key whose record the server has twice, because the answer to the first one was lost. */
    const published = async (author: CacheManager, reader: CacheManager, elsewhere: CacheManager): Promise<void> => {
      if (ofAuthor !== undefined) ofAuthor.weather = 'deaf';
      await author.invalidate('k').catch(() => undefined);
      await turned(author, 'off');
      await reconnected(ofAuthor, author);
      await until(async () => (await raw.xLen(`{${prefix}}:stream`)) === 2);
      const heard = heardBy(reader, 'marker');
      await elsewhere.invalidate('marker');
      await heard;
    };

    it.each([
      ['memory', 'author first', false],
      ['L3', 'reader first', true],
    ] as const)('serve nothing older from %s after a record that the server has twice, %s', async (_, owner, l3) => {
      const directory = await caches.directory();
      const open = (proxy: TcpProxy | undefined): Promise<CacheManager> =>
        caches.open(at(proxy?.url ?? '', directory, l3));
      const first = await open(owner === 'author first' ? ofAuthor : ofReader);
      const second = await open(owner === 'author first' ? ofReader : ofAuthor);
      const [author, reader] = owner === 'author first' ? [first, second] : [second, first];
      const elsewhere = await caches.open(at(server.url, false, false));
      await reader.getOrSet('k', () => 1);
      await published(author, reader, elsewhere);
      await reader.getOrSet('k', () => 2);
      await reader.flush();
      // Its connection that follows the server's log is slow: it gets the next record by the log of the directory.
      if (ofReader !== undefined) ofReader.weather = { delayMs: 300, of: 'even' };
      await author.invalidate('k');
      const asked = l3 ? author : reader;
      expect(await asked.getOrSet('k', () => 3)).toBe(3);
      if (ofReader !== undefined) ofReader.weather = 'fair';
    });

    it('read from the server again what one of them missed there, once it is connected', async () => {
      const directory = await caches.directory();
      const author = await caches.open(at(server.url, directory, false));
      const reader = await caches.open(at(ofReader?.url ?? '', directory, false));
      const elsewhere = await caches.open(at(server.url, false, false));
      await cutOff(ofReader, reader);
      const keys = Array.from({ length: 400 }, (_, n) => `k${n}`);
      await Promise.all(keys.map((key) => author.invalidate(key)));
      await reconnected(ofReader, reader);
      for (const key of ['k0', 'k399', 'another']) await elsewhere.getOrSet(key, () => 'found');
      await elsewhere.flush();
      for (const key of ['k0', 'k399', 'another']) expect(await reader.getOrSet(key, () => 'computed')).toBe('found');
    });

    it('publish what another of them has invalidated while it alone could not reach the server', async () => {
      const directory = await caches.directory();
      const owner = await caches.open(at(server.url, directory, false));
      const author = await caches.open(at(ofAuthor?.url ?? '', directory, false));
      const elsewhere = await caches.open(at(server.url, false, false));
      await elsewhere.getOrSet('k', () => 'old');
      await elsewhere.flush();
      await cutOff(ofAuthor, author);
      const heard = heardBy(elsewhere, 'k');
      await expect(author.invalidate('k')).rejects.toMatchObject({ code: 'INVALIDATION_PENDING' });
      expect(await owner.getOrSet('k', () => 'new')).toBe('new');
      await heard;
      // The owner finds there again what is computed since.
      expect(await elsewhere.getOrSet('k', () => 'newer')).toBe('newer');
      await reconnected(ofAuthor, author);
    });
  },
);
