import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { fromIoredis, fromNodeRedis, type RedisPort } from '../../lib/redis/index.js';
import { anyServer, describeWithRedis } from '../support/redis-server.js';

type Template = (url: string) => RedisPort;
const ioredis =
  (options: object): Template =>
  (url) =>
    fromIoredis(new Redis(url, { lazyConnect: true, ...options }));

/** Options that suit the short commands of an app, and no connection that waits for news. */
const TEMPLATES: readonly (readonly [string, Template])[] = [
  ['enableAutoPipelining of ioredis', ioredis({ enableAutoPipelining: true })],
  ['commandTimeout of ioredis', ioredis({ commandTimeout: 50 })],
  ['socketTimeout of ioredis', ioredis({ socketTimeout: 50 })],
  ['socketTimeout of redis', (url) => fromNodeRedis(createClient({ url, socket: { socketTimeout: 50 } }))],
  ['timeout of commands of redis', (url) => fromNodeRedis(createClient({ url, commandOptions: { timeout: 50 } }))],
];

describeWithRedis({ describe }, 'the connection that is made like a client of the app', () => {
  let server: Awaited<ReturnType<typeof anyServer>>;
  beforeAll(async () => {
    server = await anyServer();
  });
  afterAll(() => server.dispose());

  it.each(TEMPLATES)('does not take over %s', async (_, template) => {
    const key = `lane-cache-template:${randomUUID()}`;
    const port = await template(server.url).duplicate();
    try {
      const [, value] = await Promise.all([
        port.command(['SET', key, 'value', 'PX', '10000']),
        port.command(['GET', key]),
      ]);
      expect(String(value)).toBe('value');
      expect(await port.command(['BLPOP', `${key}:none`, '0.3'])).toBeNull();
      expect(port.connected).toBe(true);
    } finally {
      await port.close();
    }
  });
});
