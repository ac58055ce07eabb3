import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { createClient } from 'redis';
import type { CacheManager, LaneCacheEvent } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { edited, Workshop } from '../support/child-process.js';
import { FaultChild } from '../support/fault-child.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** Where a folder has just been set aside, and its parent synced. */
const SET_ASIDE = 'const path = await setAside(directory, VOID_MARK, clock);';

const killedThere = edited(SET_ASIDE, `${SET_ASIDE}\n  process.kill(process.pid, 'SIGKILL');`);

const named = (cache: CacheManager, key: string): Promise<LaneCacheEvent<'invalidate'>> =>
  new Promise((resolve) => {
    const stop = cache.events.on('invalidate', (event) => {
      if (event.subject !== key || event.origin !== 'remote') return;
      stop();
      resolve(event);
    });
  });

describeWithRedis(
  { describe },
  'an invalidation that was acknowledged while the server was out of reach',
  () => {
    const caches = new Caches();
    let workshop: Workshop;
    let server: RedisServer;
    let proxy: TcpProxy;
    let prefix: string;
    let directory: string;
    let other: CacheManager;
    let admin: ReturnType<typeof createClient>;

    /** An app in a process of its own, whose way to the server can be spoilt. */
    const start = (from = workshop): Promise<FaultChild> =>
      FaultChild.start(from, { directory, distributed: { url: proxy.url, prefix } });

    /** The other instance holds `k`; the app cannot reach the server, and invalidates it. */
    const invalidatedOutOfReach = async (app: FaultChild): Promise<void> => {
      await other.set('k', 'old');
      // L3 is not empty, and so is not let off being voided
      await app.ask('fill', { keys: 3, bytes: 10 });
      expect(
        await app.ask(
          'run',
          "while ((await cache.get('k')) === undefined) await new Promise(setImmediate); return cache.get('k')",
        ),
      ).toBe('old');
      proxy.weather = 'black-hole';
      proxy.cut();
      expect(await app.ask('until', 'l4', 'off')).toBe('off');
      expect(await app.ask('run', "await cache.invalidate('k'); return 'resolved'")).toBe('resolved');
      expect(await other.get('k')).toBe('old');
    };

    beforeAll(async () => {
      server = await RedisServer.start();
      workshop = await Workshop.build();
    }, 60_000);

    beforeEach(async () => {
      prefix = randomUUID();
      proxy = await TcpProxy.before(server.port);
      directory = await caches.directory();
      other = await caches.open({ distributed: { url: server.url, prefix } });
      admin = createClient({ url: server.url });
      await admin.connect();
    });

    afterEach(async () => {
      await admin.aclSetUser('default', '+@all');
      await admin.close();
      await caches.close();
      await proxy.close();
    });

    afterAll(async () => {
      await workshop.dispose();
      await server.dispose();
    });

    it('is sent by the next process, where its own was killed right after setting L3 aside', async () => {
      const doomed = await workshop.variant(new Map([['lib/storage/files/quarantine.ts', killedThere]]));
      try {
        const app = await start(doomed);
        await invalidatedOutOfReach(app);
        // what was said meanwhile cannot be had any more, and nothing may be said
        await other.set('another', 1);
        await admin.xTrim(`{${prefix}}:stream`, 'MAXLEN', 0);
        await admin.aclSetUser('default', '-hincrby');
        proxy.weather = 'fair';
        expect(await app.end()).toBe('SIGKILL');
        expect((await readdir(directory)).some((name) => name.startsWith('l3.void-'))).toBe(true);
        await admin.aclSetUser('default', '+@all');
        const heard = named(other, 'k');
        const next = await start();
        expect(await heard).toMatchObject({ kind: 'key' });
        expect(await other.get('k')).toBeUndefined();
        await next.end('SIGKILL');
      } finally {
        await doomed.dispose();
      }
    }, 60_000);

    it('is sent by the process that takes over from the killed one', async () => {
      const app = await start();
      const waiting = await start();
      await invalidatedOutOfReach(app);
      await app.end('SIGKILL');
      expect(await waiting.ask('until', 'l3', 'on')).toBe('on');
      const heard = named(other, 'k');
      proxy.weather = 'fair';
      expect(await heard).toMatchObject({ kind: 'key' });
      expect(await other.get('k')).toBeUndefined();
      await waiting.end('SIGKILL');
    }, 60_000);

    it('is sent by the next process, where another had recorded that L3 must be invalidated', async () => {
      const app = await start();
      const waiting = await start();
      await invalidatedOutOfReach(app);
      const refused = "return cache.invalidate('something').then(() => 'resolved', (error) => error.code)";
      expect(await waiting.ask('run', refused)).toBe('INVALIDATION_PENDING');
      await Promise.all([waiting.end('SIGKILL'), app.end('SIGKILL')]);
      proxy.weather = 'fair';
      const heard = named(other, 'k');
      const next = await start();
      expect(await heard).toMatchObject({ kind: 'key' });
      await next.end('SIGKILL');
    }, 60_000);

    it('is sent by the next process, where L3 could no longer be opened', async () => {
      const app = await start();
      await invalidatedOutOfReach(app);
      await app.end('SIGKILL');
      const data = `${directory}/l3/data.mdb`;
      await writeFile(data, 'nothing that can be read');
      proxy.weather = 'fair';
      const heard = named(other, 'k');
      const next = await start();
      expect(await heard).toMatchObject({ kind: 'key' });
      await next.end('SIGKILL');
    }, 60_000);
  },
  'own',
);
