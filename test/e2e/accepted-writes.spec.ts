import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { CacheManager } from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/index.js';
import { Caches } from '../support/caches.js';

const LANES = {
  standard: { l1: { maxEntries: 1 } },
  heavy: { l1: { maxEntries: 1 }, l2: { enabled: false } },
} as const;

describe('a value that memory has evicted before the disk has committed it', () => {
  const caches = new Caches();
  const clock = new FakeClock();
  let cache: CacheManager;
  beforeEach(async () => {
    cache = await caches.open({ directory: await caches.directory(), lanes: LANES, clock });
  });
  afterEach(() => caches.close());

  it('is found, and counts as a hit of the tier that writes it', async () => {
    await cache.getOrSet('a', () => 'first');
    await cache.getOrSet('b', () => 'second');
    expect(await cache.getOrSet('a', () => 'again')).toBe('first');
    expect(cache.getMetrics()).toMatchObject({ computed: 2, l2: { hits: 1 }, l3: { hits: 0 } });
    expect(await cache.has('b')).toBe(true);
    expect(await cache.getMany(['a', 'b'])).toEqual(
      new Map([
        ['a', 'first'],
        ['b', 'second'],
      ]),
    );
  });

  it('counts as a hit of L3 in a lane without L2', async () => {
    const heavy = cache.forLane('heavy');
    await heavy.set('a', 'first');
    await heavy.set('b', 'second');
    expect(await heavy.get('a')).toBe('first');
    expect(heavy.getMetrics()).toMatchObject({ l2: { state: 'off', hits: 0 }, l3: { hits: 1 } });
  });

  it('is the latest one of its key', async () => {
    await cache.getOrSet('a', () => 'old');
    await cache.getOrSet('a', () => 'new', { forceFresh: true });
    await cache.getOrSet('b', () => 'other');
    expect(await cache.get('a')).toBe('new');
    await cache.flush();
    await cache.get('b');
    expect(await cache.get('a')).toBe('new');
  });

  it.each<readonly [how: string, invalidate: (cache: CacheManager) => Promise<unknown>]>([
    ['its key', (given) => given.invalidate('a')],
    ['its tag', (given) => given.invalidateByTag('t')],
    ['a pattern', (given) => given.invalidateByPattern('a*')],
    ['clearing the lane', (given) => given.clearAll()],
    ['a set that is refused', (given) => given.set('a', undefined)],
  ])('is not found from the step on in which it is invalidated by %s', async (_, invalidate) => {
    await cache.getOrSet('a', () => 'first', { tags: ['t'] });
    await cache.getOrSet('b', () => 'second');
    const invalidated = invalidate(cache);
    expect(await cache.get('a')).toBeUndefined();
    await invalidated;
    expect(await cache.get('a')).toBeUndefined();
    await cache.flush();
    expect(await cache.get('a')).toBeUndefined();
  });

  it('is not found past its ttl', async () => {
    await cache.getOrSet('a', () => 'first', { ttl: '1m' });
    await cache.getOrSet('b', () => 'second');
    clock.step(61_000);
    expect(await cache.get('a')).toBeUndefined();
  });

  it('is not found in another lane', async () => {
    await cache.getOrSet('a', () => 'first');
    await cache.getOrSet('b', () => 'second');
    expect(await cache.forLane('heavy').get('a')).toBeUndefined();
  });

  it('is a value of its own for each caller who asks for clones', async () => {
    await cache.getOrSet('a', () => ({ list: [new Date(0)], bytes: Buffer.from('abc') }));
    await cache.getOrSet('b', () => 'second');
    const one = await cache.get<{ list: Date[]; bytes: Buffer }>('a', { isolation: 'clone' });
    one?.list.pop();
    one?.bytes.fill(0);
    await cache.getOrSet('b', () => 'third');
    expect(await cache.get('a')).toEqual({ list: [new Date(0)], bytes: Buffer.from('abc') });
    await cache.flush();
    await cache.get('b');
    expect(await cache.get('a')).toEqual({ list: [new Date(0)], bytes: Buffer.from('abc') });
  });
});

describe('120 keys asked 300 times in a row, in memory for 100 and on disk for 1,000', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it.each([
    ['without a pause', () => Promise.resolve()],
    ['with turns of the event loop in between', nextTurn],
  ])('are computed once each, %s', async (_, pause) => {
    const cache = await caches.open({ directory: await caches.directory(), lane: 'docs' });
    for (let asked = 0; asked < 300; asked++) {
      const key = `page:${asked % 120}`;
      expect(await cache.getOrSet(key, () => ({ key }))).toEqual({ key });
      await pause();
    }
    const { l1, l2, computed, requests } = cache.getMetrics();
    expect({ requests, computed, hits: l1.hits + l2.hits }).toEqual({ requests: 300, computed: 120, hits: 180 });
  });
});
