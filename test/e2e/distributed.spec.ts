import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { createClient } from 'redis';
import { CacheManager } from '../../lib/app/cache-app.js';
import type { LaneCacheOptions } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';

/** Resolves when `cache` has heard of the next thing that another instance said. */
const heard = (cache: CacheManager): Promise<unknown> =>
  new Promise((resolve) => {
    const stop = cache.events.on('invalidate', (event) => {
      if (event.origin !== 'remote') return;
      stop();
      resolve(event);
    });
  });

describeWithRedis(
  { describe },
  'instances that share a server',
  () => {
    const caches = new Caches();
    let server: RedisServer;
    let prefix: string;

    // What is late on a busy machine would be a miss.
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

    it('find what one of them computed', async () => {
      const [one, other] = [await open(), await open()];
      await one.getOrSet('k', async () => ({ when: new Date(0), of: new Map([['a', 1n]]) }), { tags: ['t'] });
      await one.flush();
      const found = await other.getOrSet('k', async () => 'computed anew');
      expect(found).toEqual({ when: new Date(0), of: new Map([['a', 1n]]) });
      expect(other.getMetrics().l4.hits).toBe(1);
      expect(other.getMetrics().l4.state).toBe('on');
    });

    it('find all that one of them stores by one call, which turns no tier off', async () => {
      const lanes = { standard: { l1: { maxEntries: 5_000 } } } as const;
      const [one, other] = [await open({ lanes, directory: await caches.directory() }), await open({ lanes })];
      const keys = Array.from({ length: 2_000 }, (_, n) => `bulk:${n}`);
      expect(
        await one.setMany(
          keys.map((key, n) => [key, n] as const),
          { tags: ['bulk', 'all'] },
        ),
      ).toBe(keys.length);
      await one.flush();
      const { l2, l3, l4 } = one.getMetrics();
      expect([l2.state, l3.state, l4.state]).toEqual(['on', 'on', 'on']);
      expect(await other.getMany(keys)).toEqual(new Map(keys.map((key, n) => [key, n])));
      const hears = heard(other);
      await one.invalidateByTag('bulk');
      await hears;
      expect((await other.getMany(keys)).size).toBe(0);
    }, 60_000);

    it('forget what one of them invalidates while the server is full, and say that it stores nothing', async () => {
      const [one, other] = [await open(), await open()];
      await other.getOrSet('k', async () => 'old', { tags: ['t'] });
      const admin = await createClient({ url: server.url }).connect();
      await admin.configSet('maxmemory', '1');
      try {
        const hears = heard(other);
        await one.invalidateByTag('t');
        await hears;
        expect(await other.get('k')).toBeUndefined();
        const refused = one.events.once('tier');
        await one.set('k', 'new');
        expect(await refused).toMatchObject({ tier: 'l4', state: 'on', detail: expect.stringContaining('OOM') });
      } finally {
        await admin.configSet('maxmemory', '0');
        await admin.close();
      }
    });

    it('forget a value once one of them has seen a newer one that it does not store', async () => {
      const [one, other] = [await open(), await open()];
      const newer: Record<string, () => Promise<unknown>> = {
        'asks for it': () =>
          one.getOrSet(
            'k',
            (ctx) => {
              ctx.skipCache();
              return 'new';
            },
            { forceFresh: true },
          ),
        'is undefined': () => one.getOrSet('k', () => undefined, { forceFresh: true }),
        'goes past the cache': () => one.getOrSet('k', () => 'new', { ttl: 0 }),
        'was put': () => one.putComputed('k', () => undefined),
        'was refused': () => one.set('k', () => 'a function'),
      };
      for (const [why, see] of Object.entries(newer)) {
        await other.getOrSet('k', () => 'old');
        await other.flush();
        const hears = heard(other);
        await see();
        expect([why, await one.get('k')]).toEqual([why, undefined]);
        await hears;
        expect([why, await other.get('k')]).toEqual([why, undefined]);
      }
      expect((await open()).getMetrics().l4.state).toBe('on');
      expect(await (await open()).get('k')).toBeUndefined();
    });

    it('forget what one of them invalidates, by key, tag, pattern, clear and set', async () => {
      const [one, other] = [await open(), await open()];
      const says: Record<string, () => Promise<unknown>> = {
        key: () => one.invalidate('k'),
        tag: () => one.invalidateByTag('t'),
        pattern: () => one.invalidateByPattern('t:*'),
        clear: () => one.clearAll(),
        expire: () => one.expire('k'),
        expireByTag: () => one.expireByTag('t'),
      };
      for (const [name, say] of Object.entries(says)) {
        await other.getOrSet('k', async () => `before ${name}`, { tags: ['t'] });
        await other.flush();
        expect(await one.get('k')).toBe(`before ${name}`);
        const hears = heard(other);
        await say();
        expect(await one.get('k')).toBeUndefined();
        await hears;
        expect(await other.get('k')).toBeUndefined();
      }
      await other.getOrSet('k', async () => 'old');
      const hears = heard(other);
      await one.set('k', 'new');
      await hears;
      expect(await other.get('k')).toBe('new');
      expect(other.getMetrics().l4.hits).toBe(1);
    });

    it('start on an empty server without a warning', async () => {
      const directory = await caches.directory();
      const [first, waiting] = [await open({ directory }), await open({ directory })];
      for (const cache of [first, waiting]) expect(cache.getMetrics().l4.state).toBe('on');
      expect(first.getMetrics().l3.state).toBe('on');
      // nothing was set aside, and no word was left that L3 had to be
      const names = await readdir(directory);
      expect(names.filter((name) => /void|missed|bad/.test(name))).toEqual([]);
      const reported: string[] = [];
      first.events.on('tier', ({ tier, state }) => void reported.push(`${tier} ${state}`));
      await first.set('k', 1);
      await first.flush();
      expect(reported).toEqual([]);
    });

    it('keep the grace of what was expired to themselves', async () => {
      const [one, other] = [await open(), await open()];
      const failing = (): Promise<string> => Promise.reject(new Error('the source failed'));
      await one.getOrSet('k', async () => 'old', { grace: '1h' });
      await one.flush();
      expect(await other.get('k')).toBe('old');
      const hears = heard(other);
      await one.expire('k');
      await hears;
      for (const cache of [one, other]) expect(await cache.getOrSet('k', failing, { grace: '1h' })).toBe('old');
      await expect((await open()).getOrSet('k', failing, { grace: '1h' })).rejects.toThrow('the source failed');
    });

    it('share what is computed after an invalidation', async () => {
      const [one, other] = [await open(), await open()];
      // What is named while it is looked up is not served, so the other one must know both before it asks.
      const hearsOfKey = heard(other);
      await one.invalidate('k');
      await hearsOfKey;
      await one.getOrSet('k', async () => 1);
      await one.flush();
      const hearsOfTag = heard(other);
      await one.invalidateByTag('t');
      await hearsOfTag;
      await one.getOrSet('tagged', async () => 2, { tags: ['t'] });
      await one.flush();
      expect(await other.getMany(['k', 'tagged', 'none'])).toEqual(
        new Map([
          ['k', 1],
          ['tagged', 2],
        ]),
      );
    });

    it('take the last of several sets', async () => {
      const [one, other] = [await open(), await open()];
      let came = 0;
      const all = new Promise<void>((resolve) => {
        other.events.on('invalidate', () => {
          if (++came === 20) resolve();
        });
      });
      for (let n = 0; n < 20; n++) await one.set('k', n);
      await all;
      expect(await other.get('k')).toBe(19);
    });

    it('resume on one what another was killed at', async () => {
      const checkpoints = { store: 'distributed' } as const;
      const [one, other] = [await open({ checkpoints }), await open({ checkpoints })];
      const saved = await one.snapshots.cacheCheckpoint('run', { step: 3 }, { workflow: 'import', expectedVersion: 0 });
      expect(await other.snapshots.restoreCheckpoint('run')).toEqual({ step: 3 });
      expect(await other.snapshots.latest('import')).toEqual(saved);
      const late = other.snapshots.cacheCheckpoint('run', { step: 4 }, { expectedVersion: 0 });
      await expect(late).rejects.toMatchObject({ code: 'CHECKPOINT_CONFLICT', currentVersion: 1 });
      await expect(caches.open({ checkpoints: { store: 'distributed' } })).rejects.toMatchObject({
        code: 'OPTIONS_INVALID',
        field: 'checkpoints.store',
      });
    });

    it('read nothing that was not sealed with their key', async () => {
      const sealed = (hmacKey: string): LaneCacheOptions => ({ distributed: { hmacKey } });
      const [one, other, stranger] = [await open(sealed('a')), await open(sealed('a')), await open(sealed('b'))];
      await one.getOrSet('k', async () => 1);
      await one.flush();
      expect(await stranger.get('k')).toBeUndefined();
      expect(await other.get('k')).toBe(1);
    });

    it('need only the rights that the docs list', async () => {
      const rights = ['on', '>secret', '~{acl}:*', '&*', '+@all', '-@dangerous', '+info'];
      const guarded = await RedisServer.start('--user', 'app', ...rights, '--user', 'default', 'off');
      try {
        const url = `redis://app:secret@127.0.0.1:${guarded.port}`;
        const settings: LaneCacheOptions = {
          checkpoints: { store: 'distributed' },
          distributed: { url, prefix: 'acl' },
        };
        const [one, other] = [await open(settings), await open(settings)];
        await one.getOrSet('k', async () => 1, { tags: ['t'] });
        await one.flush();
        expect(await other.get('k')).toBe(1);
        const hears = heard(other);
        await one.invalidateByTag('t');
        await hears;
        expect(await other.get('k')).toBeUndefined();
        await one.snapshots.cacheCheckpoint('run', 1);
        expect(await other.snapshots.restoreCheckpoint('run')).toBe(1);
        await caches.close();
      } finally {
        await guarded.dispose();
      }
    });

    it('refuse settings that cannot be meant', async () => {
      const settings: Record<string, object> = {
        distributed: {},
        'distributed.url': { url: 'http://localhost' },
        'distributed.client': { client: {} },
        'distributed.prefix': { url: server.url, prefix: '{a}' },
        'distributed.onDisconnect': { url: server.url, onDisconnect: 'stop' },
        'distributed.logLength': { url: server.url, logLength: 0 },
        'distributed.commandTimeout': { url: server.url, commandTimeout: 'soon' },
        'distributed.uri': { uri: server.url },
      };
      for (const [field, distributed] of Object.entries(settings)) {
        await expect(CacheManager.fromSettings({ directory: false, distributed })).rejects.toMatchObject({ field });
      }
    });

    it('keep lanes apart', async () => {
      const [one, other] = [await open(), await open()];
      const hearsOfSet = heard(other);
      await one.set('k', 'standard');
      await hearsOfSet;
      await one.forLane('docs').set('k', 'docs');
      expect(await other.get('k')).toBe('standard');
      const hears = new Promise<void>((resolve) => {
        other.events.on('invalidate', ({ kind, origin }) => {
          if (kind === 'all' && origin === 'remote') resolve();
        });
      });
      await one.forLane('docs').clearAll();
      await hears;
      expect(await other.get('k')).toBe('standard');
      expect(await other.forLane('docs').get('k')).toBeUndefined();
    });
  },
  'own',
);
