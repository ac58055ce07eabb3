import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { fromIoredis, fromNodeRedis } from '../../../../lib/redis/index.js';
import { templateClient } from '../../../../lib/redis/client/connect.js';
import type { RedisTemplate } from '../../../../lib/redis/client/redis-client.js';
import { describeWithRedis, RedisServer } from '../../../support/redis-server.js';
import { TcpProxy } from '../../../support/tcp-proxy.js';

const ADAPTERS: Record<string, (url: string) => Promise<RedisTemplate>> = {
  'node-redis': async (url) => fromNodeRedis(createClient({ url })),
  ioredis: async (url) => fromIoredis(new Redis(url, { lazyConnect: true })),
  'a url': (url) => templateClient({ url }),
};

describeWithRedis(
  { describe },
  'a port over a real server',
  () => {
    let server: RedisServer;
    const open: { close(): Promise<void> }[] = [];

    /** Closed after the fact, also where it fails. */
    const closing = async <T extends { close(): Promise<void> }>(opening: Promise<T>): Promise<T> => {
      const opened = await opening;
      open.push(opened);
      return opened;
    };

    beforeAll(async () => {
      server = await RedisServer.start();
    });

    afterEach(async () => {
      await Promise.all(open.splice(0).map((each) => each.close()));
    });

    afterAll(() => server.dispose());

    for (const [name, adapt] of Object.entries(ADAPTERS)) {
      describe(`made from ${name}`, () => {
        it('carries bytes both ways', async () => {
          const port = await closing((await adapt(server.url)).duplicate());
          const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
          await port.command(['SET', 'bytes', bytes]);
          expect(await port.command(['GET', 'bytes'])).toEqual(Buffer.from(bytes));
          expect(await port.command(['MGET', 'bytes', 'none'])).toEqual([Buffer.from(bytes), null]);
          expect(await port.command(['STRLEN', 'bytes'])).toBe(256);
        });

        it("hands the server's error on and stays usable", async () => {
          const port = await closing((await adapt(server.url)).duplicate());
          await expect(port.command(['INCR', 'bytes'])).rejects.toThrow(/integer/);
          expect(await port.command(['GET', 'none'])).toBeNull();
        });

        it('gives up a command after its deadline', async () => {
          const port = await closing((await adapt(server.url)).duplicate());
          await expect(port.command(['BLPOP', 'nothing', '0'], { timeoutMs: 20 })).rejects.toThrow(/within 20 ms/);
        });

        it('gives no command the answer of another one, after an answer that is none', async () => {
          const proxy = await closing(TcpProxy.before(server.port));
          const template = await adapt(proxy.url);
          const port = await closing(template.duplicate());
          const lost = new Promise<void>((resolve) => port.onStateChange(() => resolve()));
          proxy.weather = 'garbage';
          const first = port.command(['GET', 'none'], { timeoutMs: 1_000 });
          const atOnce = port.command(['STRLEN', 'none'], { timeoutMs: 1_000 });
          const both = Promise.allSettled([first, atOnce]);
          await lost;
          proxy.weather = 'fair';
          await expect(port.command(['PING'], { timeoutMs: 1_000 })).rejects.toThrow(/clos|writeable/i);
          for (const { status } of await both) expect(status).toBe('rejected');
          expect(port.connected).toBe(false);
        });

        it('says why the server refuses it', async () => {
          const guarded = await RedisServer.start('--requirepass', 'sesame');
          try {
            const wrong = await adapt(guarded.url.replace('//', '//:wrong@'));
            await expect(wrong.duplicate()).rejects.toThrow('WRONGPASS');
          } finally {
            await guarded.dispose();
          }
        });

        it('reports a lost connection once, and rejects the pending commands', async () => {
          const template = await adapt(server.url);
          const port = await closing(template.duplicate());
          expect(port.connected).toBe(true);
          const changes: boolean[] = [];
          const lost = new Promise<void>((resolve) => {
            port.onStateChange((connected) => {
              changes.push(connected);
              resolve();
            });
          });
          const blocked = port.command(['BLPOP', 'nothing', '0']);
          blocked.catch(() => undefined);
          await server.stop();
          await lost;
          await expect(blocked).rejects.toThrow(/clos|ECONNRESET/i);
          expect(changes).toEqual([false]);
          expect(port.connected).toBe(false);
          await expect(template.duplicate()).rejects.toThrow('ECONNREFUSED');
          await port.close();
          await server.boot();
          const again = await template.duplicate();
          expect(again.connected).toBe(true);
          await again.close();
          expect(again.connected).toBe(false);
          await expect(again.command(['PING'])).rejects.toThrow(/closed|writeable/);
        });
      });
    }
  },
  'own',
);

describe('an address', () => {
  it('is a redis url or a client', async () => {
    for (const url of [undefined, '', 'localhost', 'http://localhost']) {
      await expect(templateClient({ url })).rejects.toMatchObject({
        code: 'OPTIONS_INVALID',
        field: 'distributed.url',
      });
    }
    await expect(templateClient({ client: {} })).rejects.toMatchObject({ field: 'distributed.client' });
    // createSentinel of redis 5 has no duplicate
    const ofRedis5 = { getSentinelNode: () => undefined, getMasterNode: () => undefined, sendCommand: () => undefined };
    await expect(templateClient({ client: ofRedis5 })).rejects.toThrow('`redis` 6');
    expect(() => fromNodeRedis({})).toThrow(/createClient/);
    expect(() => fromIoredis({})).toThrow(/ioredis/);
  });
});
