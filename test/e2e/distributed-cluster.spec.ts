import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster } from 'ioredis';
import { createCluster } from 'redis';
import type { CacheManager } from '../../lib/index.js';
import { slotOf } from '../../lib/redis/client/cluster-router.js';
import { Caches } from '../support/caches.js';
import { until } from '../support/gate.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { describeWithRedis, selfSigned } from '../support/redis-server.js';

const KEYS = Array.from({ length: 30 }, (_, n) => `k${n}`);

describeWithRedis(
  { describe },
  'instances that share a Redis Cluster',
  () => {
    let cluster: RedisCluster;
    const caches = new Caches();
    const ended: (() => void)[] = [];

    beforeAll(async () => {
      cluster = await RedisCluster.start(0);
    }, 60_000);

    afterEach(async () => {
      await caches.close();
      for (const end of ended.splice(0)) end();
    });

    afterAll(() => cluster.dispose());

    const CLIENTS = {
      'a cluster of node-redis': (): object =>
        createCluster({ rootNodes: cluster.rootNodes.map((socket) => ({ socket })) }),
      'a Cluster of ioredis': (): object => {
        const client = new Cluster([...cluster.rootNodes], { lazyConnect: true });
        ended.push(() => client.disconnect());
        return client;
      },
    };

    const open = (client: object, prefix: string): Promise<CacheManager> =>
      caches.open({
        checkpoints: { store: 'distributed' },
        lanes: { docs: { l4: { coalesce: 'cluster' } } },
        distributed: { client, prefix, hmacKey: 'secret' },
      });

    const remote = (cache: CacheManager): Promise<unknown> => cache.events.once('invalidate');

    it.each(Object.entries(CLIENTS))('find, invalidate and take turns over %s', async (_name, client) => {
      const prefix = randomUUID();
      const [one, other, late] = [
        await open(client(), prefix),
        await open(client(), prefix),
        await open(client(), prefix),
      ];
      expect(one.getMetrics().l4.state).toBe('on');
      await one.setMany(KEYS.map((key) => [key, { key, bytes: Buffer.from([0, 255]) }]));
      await one.getOrSet('computed', () => 'value', { tags: ['t'] });
      await one.flush();
      for (const key of KEYS) expect(await other.get(key)).toEqual({ key, bytes: Buffer.from([0, 255]) });
      expect(await other.get('computed')).toBe('value');
      const tagged = remote(other);
      await one.invalidateByTag('t');
      await tagged;
      expect(await other.get('computed')).toBeUndefined();
      const named = remote(other);
      expect(await one.invalidate('k1')).toBe(true);
      await named;
      expect([await other.get('k1'), await other.get('k2')]).toEqual([
        undefined,
        { key: 'k2', bytes: expect.anything() },
      ]);
      // It has followed nothing: what it finds is judged by the node of the log.
      const fresh = await open(client(), prefix);
      expect([await fresh.get('k1'), await fresh.get('computed')]).toEqual([undefined, undefined]);
      expect(await fresh.get('k3')).toMatchObject({ key: 'k3' });
      const turns = [one, other].map((cache) => cache.forLane('docs').getOrSet('turn', async () => randomUUID()));
      const [mine, theirs] = await Promise.all(turns);
      expect(mine).toBe(theirs);
      await one.snapshots.cacheCheckpoint('run', { step: 1 });
      expect(await other.snapshots.restoreCheckpoint('run')).toEqual({ step: 1 });
      expect(await late.get('k4')).toMatchObject({ key: 'k4' });
    });

    it('spread their entries over all nodes, and keep the log on one', async () => {
      const prefix = randomUUID();
      const cache = await open(CLIENTS['a cluster of node-redis'](), prefix);
      await cache.setMany(KEYS.map((key) => [key, key]));
      const names = await Promise.all(
        cluster.servers.map(async ({ port }) => (await cluster.ask(port, 'KEYS', `*${prefix}*`)).split('\n')),
      );
      const entries = names.map((some) => some.filter((name) => name.startsWith(`${prefix}:e:`)).length);
      const logs = names.map((some) => some.filter((name) => name.startsWith(`{${prefix}}:`)).length);
      expect(entries.reduce((sum, count) => sum + count)).toBe(KEYS.length);
      expect(entries.every((count) => count > 0)).toBe(true);
      expect(logs.filter((count) => count > 0)).toHaveLength(1);
    });

    it('go on where slots move, of entries and of the log', async () => {
      const prefix = randomUUID();
      const [one, other] = [
        await open(CLIENTS['a Cluster of ioredis'](), prefix),
        await open(CLIENTS['a cluster of node-redis'](), prefix),
      ];
      const names = async (): Promise<readonly string[]> => {
        const found = await Promise.all(cluster.servers.map(({ port }) => cluster.ask(port, 'KEYS', `${prefix}:e:*`)));
        return found.flatMap((text) => text.split('\n').filter(Boolean));
      };
      await one.setMany(KEYS.map((key) => [key, key]));
      const log = `{${prefix}}:meta`;
      const target = await cluster.otherMasterThan(log);
      await cluster.move((await names()).map(slotOf), target);
      for (const key of KEYS) expect(await other.get(key)).toBe(key);
      await one.set('k0', 'newer');
      await one.flush();
      const fresh = await open(CLIENTS['a Cluster of ioredis'](), prefix);
      expect(await fresh.get('k0')).toBe('newer');
      // The log on another server is another history: everything from before is void.
      const off = other.events.once('tier');
      await cluster.move([slotOf(log)], target);
      await off;
      await until(() => [one, other].every((cache) => cache.getMetrics().l4.state === 'on'));
      expect([await one.get('k5'), await other.get('k5')]).toEqual([undefined, undefined]);
      await one.set('k5', 'anew');
      expect(await other.get('k5')).toBe('anew');
    });

    it('with TLS, and a user who may do no more than is documented', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'lane-cache-tls-'));
      const { ca, file, flags } = await selfSigned(directory);
      const rights = ['on', '>secret', '~{tls}:*', '~tls:e:*', '&*', '+@all', '-@dangerous', '+info'];
      const users = [
        '--user',
        'app',
        ...rights,
        '+cluster|slots',
        '+cluster|info',
        '--user',
        'default',
        'on',
        'nopass',
        '~*',
        '&*',
        '+@all',
      ];
      const secure = await RedisCluster.start(
        0,
        [...flags, '--tls-cluster', 'yes', ...users],
        ['--tls', '--cacert', file],
      );
      try {
        const user = { username: 'app', password: 'secret' };
        const rootNodes = secure.rootNodes.map((node) => ({ socket: { ...node, tls: true as const, ca } }));
        const nodeRedis = createCluster({ rootNodes, defaults: { ...user, socket: { tls: true, ca } } });
        const ioredis = new Cluster([...secure.rootNodes], {
          lazyConnect: true,
          redisOptions: { ...user, tls: { ca } },
        });
        ended.push(() => ioredis.disconnect());
        const [one, other] = [await open(nodeRedis, 'tls'), await open(ioredis, 'tls')];
        await one.setMany(KEYS.map((key) => [key, key]));
        for (const key of KEYS) expect(await other.get(key)).toBe(key);
        const heard = remote(one);
        await other.invalidate('k1');
        await heard;
        expect([await one.get('k1'), await one.get('k2')]).toEqual([undefined, 'k2']);
      } finally {
        await caches.close();
        await secure.dispose();
        await rm(directory, { recursive: true, force: true, maxRetries: 5 });
      }
    }, 60_000);
  },
  'own',
);
