import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { CacheManager, LaneCacheOptions } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';

type Distributed = LaneCacheOptions['distributed'];

describeWithRedis({ describe }, 'processes of one directory that name different servers', () => {
  const caches = new Caches();
  let servers: readonly RedisServer[];
  beforeAll(async () => {
    servers = await Promise.all([RedisServer.start(), RedisServer.start()]);
  });
  afterEach(() => caches.close());
  afterAll(() => Promise.all(servers.map((server) => server.dispose())));

  const url = (at: 0 | 1): string => servers[at]?.url.replace('redis://', 'redis://default:secret@') ?? '';
  /** Whose entries lie in L3, and on no server. */
  const lanes = { heavy: { l4: { enabled: false } } } as const;
  const opened = async (directory: string, distributed: Distributed): Promise<[CacheManager, readonly string[]]> => {
    const warnings: string[] = [];
    const ignore = (): void => undefined;
    const warn = (message: string): void => void (message.includes('uses the directory') && warnings.push(message));
    const logger = { log: ignore, warn, error: ignore };
    const named = distributed === undefined ? {} : { distributed };
    return [await caches.open({ directory, lanes, logger, ...named }), warnings];
  };

  it.each<readonly [string, () => Distributed, () => Distributed, readonly string[]]>([
    ['the same', () => ({ url: url(0) }), () => ({ url: url(0), prefix: 'lane-cache' }), []],
    ['another server', () => ({ url: url(0) }), () => ({ url: url(1) }), ['redis://127.0.0.1']],
    ['another prefix', () => ({ url: url(0) }), () => ({ url: url(0), prefix: 'p' }), ["'lane-cache'", "'p'"]],
    ['no server', () => ({ url: url(0) }), () => undefined, ['no server']],
    ['a server, where the owner has none', () => undefined, () => ({ url: url(0) }), ['no server']],
  ])('say so once at boot, without a password: %s', async (_, first, second, named) => {
    const directory = await caches.directory();
    const [, ofFirst] = await opened(directory, first());
    const [, ofSecond] = await opened(directory, second());
    expect(ofFirst).toEqual([]);
    expect(ofSecond).toHaveLength(named.length === 0 ? 0 : 1);
    for (const text of named) expect(ofSecond[0]).toContain(text);
    expect(ofSecond.join()).not.toContain('secret');
  });

  it.each<readonly [string, () => Distributed, () => Distributed]>([
    ['another server', () => ({ url: url(0) }), () => ({ url: url(1) })],
    ['another prefix', () => ({ url: url(0) }), () => ({ url: url(0), prefix: 'other' })],
    ['no server of the owner', () => undefined, () => ({ url: url(1) })],
  ])('take no entries of L3 from each other, and all of their invalidations: %s', async (_, first, second) => {
    const directory = await caches.directory();
    const [owner] = await opened(directory, first());
    const [other] = await opened(directory, second());
    await owner.forLane('heavy').getOrSet('k', () => 'of the owner');
    await owner.flush();
    expect(await other.forLane('heavy').getOrSet('k', () => 'own')).toBe('own');
    await owner.forLane('heavy').invalidate('k');
    expect(await other.forLane('heavy').get('k')).toBeUndefined();
    await other.forLane('heavy').set('k', 'newer');
    expect(await owner.forLane('heavy').getOrSet('k', () => 'anew')).not.toBe('of the owner');
  });

  it('refuse what a process without a server offers, because nobody knows whether it counts on the server', async () => {
    const directory = await caches.directory();
    const [owner] = await opened(directory, { url: url(0) });
    const [without] = await opened(directory, undefined);
    await without.forLane('heavy').getOrSet('k', () => 'offered');
    await without.flush();
    expect(await owner.forLane('heavy').get('k')).toBeUndefined();
  });

  it('publish what a process without a server has invalidated', async () => {
    const directory = await caches.directory();
    const [without] = await opened(directory, undefined);
    const [other] = await opened(directory, { url: url(1) });
    const key = randomUUID();
    await other.getOrSet(key, () => 'old');
    await other.flush();
    const [elsewhere] = await opened(await caches.directory(), { url: url(1) });
    const heard = new Promise<void>((resolve) => {
      elsewhere.events.on('invalidate', ({ subject }) => {
        if (subject === key) resolve();
      });
    });
    await without.invalidate(key);
    expect(await other.get(key)).toBeUndefined();
    await heard;
    expect(await other.get(key)).toBeUndefined();
  });
});
