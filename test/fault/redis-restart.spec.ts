import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { createClient } from 'redis';
import type { CacheManager } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { Workshop } from '../support/child-process.js';
import { FaultChild } from '../support/fault-child.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const GET_ALL = `
const found = {};
for (const key of ['gone', 'tagged', 'matched', 'kept']) found[key] = (await cache.get(key)) ?? null;
return { found, hits: cache.getMetrics().l3.hits };
`;

describeWithRedis(
  { describe },
  'an app that was killed, and what others invalidated before it came back',
  () => {
    const caches = new Caches();
    let workshop: Workshop;
    let server: RedisServer;
    let proxy: TcpProxy;
    let prefix: string;
    let directory: string;
    let other: CacheManager;
    let admin: ReturnType<typeof createClient>;

    const start = (): Promise<FaultChild> =>
      FaultChild.start(workshop, { directory, distributed: { url: proxy.url, prefix } });

    /** Holds four entries in L3, and has followed everything, when it is killed. */
    const killedWithEntries = async (): Promise<void> => {
      const app = await start();
      await app.ask(
        'run',
        `await cache.getOrSet('tagged', async () => 'old', { tags: ['t'] });
        for (const key of ['gone', 'matched', 'kept']) await cache.getOrSet(key, async () => 'old');
        await cache.flush();`,
      );
      await other.set('sign', 1);
      await app.ask(
        'run',
        "while ((await cache.get('sign')) !== 1) await new Promise(setImmediate); await cache.flush();",
      );
      await app.end('SIGKILL');
    };

    const othersInvalidate = async (): Promise<void> => {
      await other.invalidate('gone');
      await other.invalidateByTag('t');
      await other.invalidateByPattern('mat*');
    };

    beforeAll(async () => {
      server = await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'always');
      workshop = await Workshop.build();
    }, 60_000);

    beforeEach(async () => {
      prefix = randomUUID();
      proxy = await TcpProxy.before(server.port);
      directory = await caches.directory();
      other = await caches.open({ distributed: { url: server.url, prefix, commandTimeout: '5s' } });
      admin = createClient({ url: server.url });
      await admin.connect();
    });

    afterEach(async () => {
      admin.destroy();
      await caches.close();
      await proxy.close();
    });

    afterAll(async () => {
      await workshop.dispose();
      await server.dispose();
    });

    it('reads from L3 the entries that were not invalidated, once it has caught up', async () => {
      await killedWithEntries();
      await othersInvalidate();
      const again = await start();
      const { found, hits } = await again.ask('run', GET_ALL);
      expect(found).toEqual({ gone: null, tagged: null, matched: null, kept: 'old' });
      expect(hits).toBe(1);
      await again.end('SIGKILL');
    }, 60_000);

    it('reads nothing from L3 where the log was trimmed meanwhile', async () => {
      await killedWithEntries();
      await othersInvalidate();
      await admin.xTrim(`{${prefix}}:stream`, 'MAXLEN', 0);
      const again = await start();
      const { found, hits } = await again.ask('run', GET_ALL);
      // what L4 holds is judged by the server
      expect(found).toEqual({ gone: null, tagged: null, matched: null, kept: 'old' });
      expect(hits).toBe(0);
      await again.end('SIGKILL');
    }, 60_000);

    it('reads nothing from L3 where a new log was started meanwhile', async () => {
      await killedWithEntries();
      await othersInvalidate();
      await admin.del(`{${prefix}}:meta`);
      const again = await start();
      const { found, hits } = await again.ask('run', GET_ALL);
      expect(found).toEqual({ gone: null, tagged: null, matched: null, kept: null });
      expect(hits).toBe(0);
      await again.end('SIGKILL');
    }, 60_000);

    it('reads nothing in L3 as long as it cannot ask the server, and then what is good', async () => {
      await killedWithEntries();
      await othersInvalidate();
      proxy.weather = 'black-hole';
      const again = await start();
      const cutOff = await again.ask('run', GET_ALL);
      expect(cutOff).toEqual({ found: { gone: null, tagged: null, matched: null, kept: null }, hits: 0 });
      proxy.weather = 'fair';
      proxy.cut();
      expect(await again.ask('until', 'l4', 'on')).toBe('on');
      const { found, hits } = await again.ask('run', GET_ALL);
      expect(found).toEqual({ gone: null, tagged: null, matched: null, kept: 'old' });
      expect(hits).toBe(1);
      await again.end('SIGKILL');
    }, 60_000);
  },
  'own',
);
