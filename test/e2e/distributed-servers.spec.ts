import { afterEach, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { CacheManager } from '../../lib/app/cache-app.js';
import type { LaneCacheEvent } from '../../lib/index.js';
import type { RedisPort } from '../../lib/redis/index.js';
import { Caches } from '../support/caches.js';
import { freePort } from '../support/free-port.js';
import { until } from '../support/gate.js';
import { describeWithRedis, RedisServer, selfSigned } from '../support/redis-server.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const run = promisify(execFile);

type Address = { readonly url: string } | { readonly client: object };

const turned = (cache: CacheManager, state: 'on' | 'off'): Promise<LaneCacheEvent<'tier'>> =>
  new Promise((resolve) => {
    const stop = cache.events.on('tier', (event) => {
      if (event.tier !== 'l4' || event.state !== state) return;
      stop();
      resolve(event);
    });
  });

describeWithRedis(
  { describe },
  'servers and clients of other kinds',
  () => {
    const caches = new Caches();
    const servers: { dispose(): Promise<void> }[] = [];

    const start = async (...flags: readonly string[]): Promise<RedisServer> => {
      const server = await RedisServer.start(...flags);
      servers.push(server);
      return server;
    };

    /** Two instances that find, invalidate and take turns over what they were given. */
    const share = async (address: () => Address, prefix: string = randomUUID()): Promise<void> => {
      const open = (): Promise<CacheManager> =>
        caches.open({
          checkpoints: { store: 'distributed' },
          lanes: { docs: { l4: { coalesce: 'cluster' } } },
          distributed: { ...address(), prefix },
        });
      const [one, other] = [await open(), await open()];
      expect(one.getMetrics().l4.state).toBe('on');
      await one.getOrSet('k', async () => ({ bytes: Buffer.from([0, 255, 128]) }), { tags: ['t'] });
      await one.flush();
      expect(await other.get('k')).toEqual({ bytes: Buffer.from([0, 255, 128]) });
      const heard = other.events.once('invalidate');
      await one.invalidateByTag('t');
      expect(await heard).toMatchObject({ kind: 'tag', subject: 't', origin: 'remote' });
      expect(await other.get('k')).toBeUndefined();
      const turns = [one, other].map((cache) => cache.forLane('docs').getOrSet('turn', async () => randomUUID()));
      const [mine, theirs] = await Promise.all(turns);
      expect(mine).toBe(theirs);
      await one.snapshots.cacheCheckpoint('run', { step: 1 });
      expect(await other.snapshots.restoreCheckpoint('run')).toEqual({ step: 1 });
    };

    afterEach(async () => {
      await caches.close();
      await Promise.all(servers.splice(0).map((server) => server.dispose()));
    });

    it('an instance of ioredis, connected or not', async () => {
      const { url } = await start();
      const connected = new Redis(url);
      const idle = new Redis(url, { lazyConnect: true });
      await share(() => ({ client: connected }));
      await share(() => ({ client: idle }));
      expect(connected.status).toBe('ready');
      expect(await connected.ping()).toBe('PONG');
      await connected.quit();
      idle.disconnect();
    });

    it('a client of node-redis that the app uses itself', async () => {
      const client = createClient({ url: (await start()).url });
      await client.connect();
      await share(() => ({ client }));
      expect(await client.ping()).toBe('PONG');
      await client.close();
    });

    it("an app's own port", async () => {
      const { url } = await start();
      const portOf = (redis: Redis | undefined): RedisPort => ({
        command: ([name, ...args]) =>
          redis === undefined
            ? Promise.reject(new Error('a template'))
            : redis.callBuffer(
                String(name),
                args.map((one) => (typeof one === 'string' ? one : Buffer.from(one))),
              ),
        duplicate: async () => {
          const own = new Redis(url, { lazyConnect: true });
          await own.connect();
          return portOf(own);
        },
        get connected() {
          return redis?.status === 'ready';
        },
        onStateChange: (listener) => {
          redis?.on('close', () => listener(false));
          return () => undefined;
        },
        close: async () => redis?.disconnect(),
      });
      await share(() => ({ client: portOf(undefined) }));
    });

    it('a master that must have a replica, and is left alone once it has lost it', async () => {
      const master = await start('--min-replicas-to-write', '1', '--min-replicas-max-lag', '1');
      const replica = await start('--replicaof', '127.0.0.1', String(master.port));
      const cache = await caches.open({ distributed: { url: master.url, prefix: 'app', trustPersistence: true } });
      if (cache.getMetrics().l4.state !== 'on') await turned(cache, 'on');
      const [off] = await Promise.all([turned(cache, 'off'), replica.stop()]);
      expect(off.detail).toContain('NOREPLICAS');
      const back = turned(cache, 'on');
      await replica.boot();
      await back;
    });

    it.each([1, 1_500])('two masters, while one still took %s invalidations that are lost with it', async (count) => {
      const old = await start();
      const next = await start('--replicaof', '127.0.0.1', String(old.port));
      const proxy = await TcpProxy.before(old.port);
      servers.push({ dispose: () => proxy.close() });
      const open = (url: string): Promise<CacheManager> => caches.open({ distributed: { url, prefix: 'app' } });
      const left = await open(proxy.url);
      const admin = await createClient({ url: next.url }).connect();
      await admin.sendCommand(['REPLICAOF', 'NO', 'ONE']);
      admin.destroy();
      const moved = await open(next.url);
      await moved.set('k', 'old', { tags: ['tag 0'] });
      await moved.set('unnamed', 'old');
      await Promise.all(Array.from({ length: count }, (_, n) => left.invalidateByTag(`tag ${n}`)));
      proxy.target = next.port;
      proxy.cut();
      await until(async () => (await moved.get('k')) === undefined);
      expect(await moved.get('unnamed')).toBe(count > 1_000 ? undefined : 'old');
    });

    it('no replica, because it may lag behind its master', async () => {
      const master = await start();
      const replica = await start('--replicaof', '127.0.0.1', String(master.port));
      const distributed = { prefix: 'app', trustPersistence: true };
      await caches.open({ distributed: { url: master.url, ...distributed } });
      const admin = await createClient({ url: replica.url }).connect();
      await until(async () => (await admin.exists('{app}:meta')) !== 0);
      admin.destroy();
      const cache = await caches.open({ distributed: { url: replica.url, ...distributed } });
      expect(cache.getMetrics().l4.state).toBe('off');
    });

    it('TLS and a user with a password', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'lane-cache-tls-'));
      try {
        const { ca, flags } = await selfSigned(directory);
        const rights = ['on', '>secret', '~{tls}:*', '&*', '+@all', '-@dangerous', '+info'];
        const users = ['--user', 'app', ...rights, '--user', 'default', 'off'];
        const server = await RedisServer.startOver('tls', ...flags, ...users);
        servers.push(server);
        const url = `rediss://app:secret@localhost:${server.port}`;
        await share(() => ({ client: createClient({ url, socket: { tls: true, ca } }) }), 'tls');
        await share(() => ({ client: new Redis(url, { lazyConnect: true, tls: { ca } }) }), 'tls');
        // nobody vouches for it
        const wary = await caches.open({ distributed: { url, prefix: 'tls' } });
        expect(wary.getMetrics().l4.state).toBe('off');
      } finally {
        await rm(directory, { recursive: true, force: true, maxRetries: 5 });
      }
    });

    it.each(['node-redis', 'ioredis'])(
      'a password that is set while it runs, which the log says (%s)',
      async (kind) => {
        const { url } = await start();
        const address = kind === 'ioredis' ? { client: new Redis(url, { lazyConnect: true }) } : { url };
        const cache = await caches.open({ distributed: { ...address, prefix: 'app' } });
        const said = new Promise<void>((resolve) => {
          cache.events.on('tier', ({ detail }) => {
            if (detail.includes('NOAUTH')) resolve();
          });
        });
        const admin = await createClient({ url }).connect();
        await admin.configSet('requirepass', 'sesame');
        await admin.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
        await said;
        const back = turned(cache, 'on');
        await admin.configSet('requirepass', '');
        await back;
        await admin.close();
      },
    );

    it('the node of a cluster that the prefix belongs to', async () => {
      const nodes = await Promise.all(
        [1, 2, 3].map(async () => start('--cluster-enabled', 'yes', '--cluster-port', String(await freePort()))),
      );
      const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
      await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes']);
      const prefixes = ['a', 'b', 'c', 'd'];
      const admins = await Promise.all(
        nodes.map(({ url }) => {
          const admin = createClient({ url });
          // the nodes go before their clients when something fails
          admin.on('error', () => undefined);
          return admin.connect();
        }),
      );
      // what creates a cluster is done before every node has heard that it stands
      for (const admin of admins) await until(async () => (await admin.clusterInfo()).includes('cluster_state:ok'));
      for (const prefix of prefixes) {
        const served = await Promise.all(
          admins.map((admin) =>
            admin.get(`{${prefix}}:meta`).then(
              () => true,
              (error: unknown) => {
                if (!String(error).includes('MOVED')) throw error;
                return false;
              },
            ),
          ),
        );
        const owner = nodes[served.indexOf(true)];
        if (owner === undefined) throw new Error('nobody owns the prefix');
        await share(() => ({ url: owner.url }), prefix);
      }
      await Promise.all(admins.map((admin) => admin.close()));
    });

    it('a replica that takes over, and has missed an invalidation', async () => {
      const master = await start();
      const replica = await start('--replicaof', '127.0.0.1', String(master.port));
      const proxy = await TcpProxy.before(master.port);
      servers.push({ dispose: () => proxy.close() });
      const open = (): Promise<CacheManager> => caches.open({ distributed: { url: proxy.url } });
      const [one, other] = [await open(), await open()];
      const admin = await createClient({ url: master.url }).connect();
      await one.getOrSet('k', async () => 'old');
      await one.flush();
      expect(await other.get('k')).toBe('old');
      await until(async () => (await admin.info('replication')).includes('state=online'));
      await admin.wait(1, 10_000);
      replica.freeze();
      const heard = other.events.once('invalidate');
      await one.invalidate('k');
      await heard;
      const back = Promise.all([turned(one, 'on'), turned(other, 'on')]);
      admin.on('error', () => undefined);
      admin.destroy();
      await master.stop();
      replica.thaw();
      const promoted = await createClient({ url: replica.url }).connect();
      await promoted.sendCommand(['REPLICAOF', 'NO', 'ONE']);
      proxy.target = replica.port;
      await back;
      for (const cache of [one, other, await open()]) expect(await cache.get('k')).toBeUndefined();
      expect(await one.getOrSet('k', async () => 'new')).toBe('new');
      await promoted.close();
    });
  },
  'own',
);
