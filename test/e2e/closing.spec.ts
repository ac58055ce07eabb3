import { afterEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { LaneCacheOptions } from '../../lib/index.js';
import { OffTier } from '../../lib/tiers/off-tier.js';
import { Caches } from '../support/caches.js';
import { FREE_TURNS, LaneApp, QuietLog, type SharedParts } from '../support/lane-app.js';

const caches = new Caches();
afterEach(() => caches.close());

describe('a closed cache', () => {
  it.each([
    ['in memory', async (): Promise<LaneCacheOptions> => ({})],
    ['on disk', async (): Promise<LaneCacheOptions> => ({ directory: await caches.directory() })],
  ])('reads nothing, writes nothing and still computes, %s', async (_, options) => {
    const cache = await caches.open(await options());
    await cache.getOrSet('key', () => 'before', { tags: ['tag'] });
    await cache.close();

    const bypassed: string[] = [];
    cache.events.on('bypass', ({ key, reason }) => bypassed.push(`${key} ${reason}`));
    expect(await cache.getOrSet('key', () => 'after')).toBe('after');
    expect(await cache.getOrSet('key', () => 'again', { forceFresh: true })).toBe('again');
    expect(await cache.get('key')).toBeUndefined();
    expect(await cache.getMany(['key', 'other'])).toEqual(new Map());
    expect(await cache.getOrSetMany(['a', 'b'], (keys) => new Map(keys.map((key) => [key, key])))).toEqual(
      new Map([
        ['a', 'a'],
        ['b', 'b'],
      ]),
    );
    expect(bypassed).toEqual(['key', 'key', 'key', 'key', 'other', 'a', 'b'].map((key) => `${key} closed`));
    expect(cache.getMetrics().bypassed.closed).toBe(7);

    expect(await cache.has('key')).toBe(false);
    expect(await cache.set('key', 1)).toBe(false);
    expect(await cache.setMany([['key', 1]])).toBe(0);
    expect(await cache.invalidate('key')).toBe(false);
    expect(await cache.invalidateByPattern('*')).toBe(0);
    expect(await cache.expire('key')).toBe(false);
    await cache.invalidateByTag('tag');
    await cache.expireByTag('tag');
    await cache.clearAll({ lanes: 'all' });
    await cache.flush();
    expect(await cache.sweep()).toMatchObject({ expired: 0, evicted: 0 });
    for await (const entry of cache.entries()) expect(entry).toBeUndefined();
    expect(cache.forLane('docs')).toBe(cache.forLane('docs'));
    expect(await cache.forLane('docs').getOrSet('key', () => 1)).toBe(1);
    const { l1, l2, l3 } = cache.getMetrics();
    expect([l1.state, l2.state, l3.state]).toEqual(['off', 'off', 'off']);
    expect(l1).toMatchObject({ entries: 0, reason: 'closed' });
  });

  it('still refuses what makes no sense, and passes on what the computation throws', async () => {
    const cache = await caches.open();
    await cache.close();
    const error = new Error('own');
    await expect(cache.getOrSet('', () => 1)).rejects.toMatchObject({ code: 'KEY_INVALID' });
    await expect(cache.getOrSet('key', () => Promise.reject(error))).rejects.toBe(error);
    await expect(
      cache.getOrSet('key', () => {
        throw error;
      }),
    ).rejects.toBe(error);
  });

  it('is closed once, however often and from whichever lane', async () => {
    const cache = await caches.open({ directory: await caches.directory() });
    const closing = cache.close();
    expect(cache.close()).toBe(closing);
    expect(cache.forLane('docs').close()).toBe(closing);
    await closing;
    expect(cache.close()).toBe(closing);
  });
});

describe('closing', () => {
  it('aborts computations, and gives their results to the waiting callers', async () => {
    const cache = await caches.open({ directory: await caches.directory() });
    const reasons: unknown[] = [];
    let finish: (value: string) => void = () => undefined;
    const waiting = cache.getOrSet(
      'key',
      (ctx) =>
        new Promise<string>((resolve) => {
          finish = resolve;
          ctx.signal.addEventListener('abort', () => reasons.push(ctx.signal.reason));
        }),
    );
    const stopping = cache.getOrSet(
      'other',
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    );
    const stopped = expect(stopping).rejects.toMatchObject({ code: 'CLOSED' });
    await cache.close();
    await stopped;
    finish('late');
    expect(await waiting).toBe('late');
    expect(reasons).toEqual([expect.objectContaining({ code: 'CLOSED' })]);
    expect(await cache.get('key')).toBeUndefined();
    expect(cache.getMetrics()).toMatchObject({ l1: { entries: 0 } });
  });

  it('drains what was accepted', async () => {
    const directory = await caches.directory();
    const cache = await caches.open({ directory });
    for (let key = 0; key < 500; key++) void cache.set(`key ${key}`, { number: key });
    await cache.close();
    const restarted = await caches.open({ directory });
    for (let key = 0; key < 500; key++) expect(await restarted.get(`key ${key}`)).toEqual({ number: key });
  });

  it('tells the other processes of the directory what was invalidated without an await', async () => {
    const directory = await caches.directory();
    const [owner, other] = [await caches.open({ directory }), await caches.open({ directory })];
    await owner.getOrSet('key', () => 'old', { tags: ['tag'] });
    void other.invalidateByTag('tag');
    await other.close();
    expect(await owner.get('key')).toBeUndefined();
  });

  it('closes the disk once it has left the server, because what it followed there is stored on disk', async () => {
    const closed: string[] = [];
    const ends = (name: string) => async (): Promise<void> => {
      await nextTurn();
      closed.push(name);
    };
    const share = (): SharedParts => ({
      ...{ tier: new OffTier('l4', 'policy'), log: new QuietLog(), turns: FREE_TURNS, close: ends('server') },
    });
    await new LaneApp({ disk: () => ({ close: ends('disk') }), share }).close();
    expect(closed).toEqual(['server', 'disk']);
  });

  it('in the midst of calls of every kind harms none of them', async () => {
    const cache = await caches.open({ directory: await caches.directory() });
    const keys = Array.from({ length: 40 }, (_, index) => `key ${index}`);
    const calls = keys.flatMap((key) => [
      cache.getOrSet(key, async () => Promise.resolve(key)),
      cache.set(key, key, { tags: ['tag'] }),
      cache.get(key),
      cache.invalidate(key),
      cache.invalidateByTag('tag'),
      cache.invalidateByPattern('key *'),
      cache.getOrSetMany([key, 'shared'], (missing) => new Map(missing.map((each) => [each, each]))),
      cache.expire(key),
    ]);
    const closing = cache.close();
    const outcomes = await Promise.allSettled([...calls, cache.clearAll(), cache.flush(), cache.sweep()]);
    await closing;
    expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([]);
  });
});
