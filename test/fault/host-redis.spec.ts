import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { CacheManager, LaneCacheOptions } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { Workshop } from '../support/child-process.js';
import { Deferred } from '../support/deferred.js';
import { FaultChild } from '../support/fault-child.js';
import { until } from '../support/gate.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';
import { StorageBench } from '../support/storage.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const KEYS = 40;
/** Entries that are on this host alone, so that only L3 can have them. Their tags reach all instances. */
const LANES = {
  standard: { ttl: '1h', l1: { maxEntries: 5 }, l4: { enabled: false } },
  docs: { ttl: '1h', l3: { enabled: true } },
} as const;

describeWithRedis({ describe }, 'L3 of processes that also share a server', () => {
  const caches = new Caches();
  const bench = new StorageBench();
  let workshop: Workshop;
  let server: RedisServer;
  let proxy: TcpProxy;
  let prefix: string;
  beforeAll(async () => {
    [server, workshop] = await Promise.all([RedisServer.start(), Workshop.build()]);
  }, 60_000);
  beforeEach(async () => {
    prefix = randomUUID();
    proxy = await TcpProxy.before(Number(new URL(server.url).port));
  });
  afterEach(async () => {
    await caches.close();
    await proxy.close();
    await bench.dispose();
  });
  afterAll(() => Promise.all([server.dispose(), workshop.dispose()]));

  const at = (url: string, directory: string | false): LaneCacheOptions => ({
    ...{ directory, lanes: LANES, storage: { minFreeBytes: 0, sweepEvery: false } },
    distributed: { url, prefix, commandTimeout: '2s' },
  });
  const turned = (cache: CacheManager, state: 'on' | 'off'): Promise<void> =>
    until(() => cache.forLane('docs').getMetrics().l4.state === state);
  const reconnected = async (cache: CacheManager): Promise<void> => {
    await turned(cache, 'off');
    proxy.weather = 'fair';
    proxy.cut();
    await turned(cache, 'on');
  };
  /** Each of them has heard of the tag, from another instance. */
  const invalidated = async (elsewhere: CacheManager, tag: string, ...hearers: readonly CacheManager[]) => {
    const heard = hearers.map(
      (cache) =>
        new Promise<void>((resolve) => {
          cache.events.on('invalidate', ({ subject, origin }) => {
            if (subject === tag && origin === 'remote') resolve();
          });
        }),
    );
    await elsewhere.invalidateByTag(tag);
    await Promise.all(heard);
  };

  it('is read and filled by all of them', async () => {
    const directory = await caches.directory();
    const owner = await caches.open(at(server.url, directory));
    const other = await caches.open(at(server.url, directory));
    await owner.getOrSet('of the owner', () => 1);
    await other.getOrSet('of the other', () => 2);
    await other.set('set', 3);
    for (const cache of [owner, other]) await cache.flush();
    const third = await caches.open(at(server.url, directory));
    expect(await third.getMany(['of the owner', 'of the other', 'set'])).toEqual(
      new Map([
        ['of the owner', 1],
        ['of the other', 2],
        ['set', 3],
      ]),
    );
    expect(third.getMetrics().l3).toMatchObject({ state: 'on', hits: 3 });
  });

  it('gives a process nothing that it has heard to be invalidated before the owner has', async () => {
    const directory = await caches.directory();
    const owner = await caches.open(at(proxy.url, directory));
    const other = await caches.open(at(server.url, directory));
    const elsewhere = await caches.open(at(server.url, false));
    for (const key of ['named', 'another']) await owner.getOrSet(key, () => 'old', { tags: [key] });
    await owner.flush();
    proxy.weather = 'black-hole';
    await invalidated(elsewhere, 'named', other);
    expect(await other.getOrSet('named', () => 'new')).toBe('new');
    // What it did not name is there as before.
    expect(await other.getOrSet('another', () => 'new')).toBe('old');
    await reconnected(owner);
  });

  it('takes nothing that was computed before an invalidation of which the owner has heard', async () => {
    const directory = await caches.directory();
    const owner = await caches.open(at(server.url, directory));
    const other = await caches.open(at(proxy.url, directory));
    const elsewhere = await caches.open(at(server.url, false));
    const gate = new Deferred<string>();
    const computing = other.getOrSet('k', () => gate.promise, { tags: ['t'] });
    const unrelated = other.getOrSet('l', () => gate.promise);
    proxy.weather = 'black-hole';
    await invalidated(elsewhere, 't', owner);
    gate.resolve('old');
    await Promise.all([computing, unrelated]);
    await other.flush();
    expect(await owner.getOrSet('k', () => 'new')).toBe('new');
    expect(await owner.getOrSet('l', () => 'new')).toBe('old');
    await reconnected(other);
  });

  it('is not filled with what another instance has named while the record of its set was on its way', async () => {
    const directory = await caches.directory();
    await caches.open(at(server.url, directory));
    const other = await caches.open(at(proxy.url, directory));
    const elsewhere = await caches.open(at(server.url, false));
    // The record of the set waits for the server.
    proxy.weather = { delayMs: 200 };
    const set = other.forLane('docs').set('k', 'old', { tags: ['t'] });
    await invalidated(elsewhere, 't', other);
    await set;
    await other.flush();
    const third = (await caches.open(at(server.url, directory))).forLane('docs');
    expect(await third.getOrSet('k', () => 'new')).toBe('new');
  });

  /** An owner with entries, a process beside it, and what another instance invalidates. */
  const processes = async () => {
    const directory = await bench.path('cache');
    const owner = await FaultChild.start(workshop, at(server.url, directory));
    // The positions of its log are far from those of the next one's.
    await owner.ask('run', `for (let n = 0; n < 100; n++) await cache.invalidateByTag('tag:' + n)`);
    await owner.ask('fill', { keys: KEYS, bytes: 100 });
    const other = await FaultChild.start(workshop, at(server.url, directory));
    const elsewhere = await caches.open(at(server.url, false));
    const hears = (tag: string): Promise<unknown> =>
      other.ask(
        'run',
        `globalThis.heard = new Promise((resolve) => cache.events.on('invalidate', ({ subject }) => subject === '${tag}' && resolve(true)))`,
      );
    return { directory, owner, other, elsewhere, hears };
  };
  const FOUND = `let found = [];
    for (let n = 0; n < ${KEYS}; n++) if ((await cache.get('key:' + n)) === undefined) found.push(n);
    return { gone: found, hits: cache.getMetrics().l3.hits };`;

  it('keeps its entries when a process that ran beside the owner takes over, except what was invalidated', async () => {
    const { owner, other, elsewhere, hears } = await processes();
    await hears('key:3');
    await elsewhere.invalidateByTag('key:3');
    await other.ask('run', 'return heard');
    await other.ask('run', `await cache.invalidateByTag('key:4')`);
    await owner.end('SIGKILL');
    await other.ask('until', 'l3', 'on');
    expect(await other.ask('run', FOUND)).toEqual({ gone: [3, 4], hits: KEYS - 2 });
    await other.end('SIGKILL');
  }, 60_000);

  it('is empty after a take-over by a process that began behind what L3 had followed of the server', async () => {
    const { directory, owner, other, elsewhere } = await processes();
    await other.end('SIGKILL');
    owner.child.signal('SIGSTOP');
    await elsewhere.invalidateByTag('key:7');
    const late = await FaultChild.start(workshop, at(server.url, directory));
    await owner.end('SIGKILL');
    await late.ask('until', 'l3', 'on');
    expect(await late.ask('run', FOUND)).toMatchObject({ hits: 0 });
    await late.end('SIGKILL');
  }, 60_000);

  it('loses on a take-over what the owner before had not heard to be invalidated', async () => {
    const { owner, other, elsewhere, hears } = await processes();
    owner.child.signal('SIGSTOP');
    await hears('key:7');
    await elsewhere.invalidateByTag('key:7');
    await other.ask('run', 'return heard');
    await owner.end('SIGKILL');
    await other.ask('until', 'l3', 'on');
    expect(await other.ask('run', FOUND)).toEqual({ gone: [7], hits: KEYS - 1 });
    await other.end('SIGKILL');
  }, 60_000);
});
