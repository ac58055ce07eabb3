import { afterEach, expect, it, describe } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import type { CacheManager } from '../../lib/app/cache-app.js';
import { Caches } from '../support/caches.js';
import { anyServer, describeWithRedis } from '../support/redis-server.js';

const keyPrefix = 'team:';

describeWithRedis({ describe }, 'instances whose client of ioredis puts something before each key', () => {
  const caches = new Caches();

  afterEach(() => caches.close());

  it('follow the records of each other, and keep what those do not name', async () => {
    const server = await anyServer();
    const client = new Redis(server.url, { lazyConnect: true, keyPrefix });
    const open = (): Promise<CacheManager> => caches.open({ distributed: { client, prefix: 'key-prefix' } });
    const [one, other] = [await open(), await open()];
    await other.getOrSet('kept', async () => 'kept');
    const heard = other.events.once('invalidate');
    await one.invalidate('k');
    expect(await heard).toMatchObject({ kind: 'key', subject: 'k', origin: 'remote' });
    expect(other.getIfPresent('kept')).toBe('kept');
    await caches.close();
    await server.dispose();
  });

  it('are refused where it is a cluster, whose slots would be other ones', async () => {
    const options = { lazyConnect: true, redisOptions: { keyPrefix } } as const;
    const client = new Cluster([{ host: '127.0.0.1', port: 1 }], options);
    await expect(caches.open({ distributed: { client } })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      field: 'distributed.client',
    });
  });
});
