import { afterEach, describe, expect, it } from '@jest/globals';
import { LaneAwareCacheStrategy } from '../../lib/lanes/strategy.js';
import { Caches } from '../support/caches.js';

describe('two apps in one process', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it('with directories of their own do not meet', async () => {
    const one = await caches.open({ directory: await caches.directory(), lanes: { standard: { ttl: '1m' }, own: {} } });
    const other = await caches.open({ directory: await caches.directory(), lanes: { standard: { ttl: '2m' } } });
    await one.set('key', 'one', { tags: ['tag'] });
    await other.set('key', 'other', { tags: ['tag'] });
    const heard: unknown[] = [];
    other.events.on('invalidate', (event) => heard.push(event));
    await one.invalidateByTag('tag');
    await one.clearAll({ lanes: 'all' });
    expect(await one.get('key')).toBeUndefined();
    expect(await other.get('key')).toBe('other');
    expect([one.policy.ttlMs, other.policy.ttlMs]).toEqual([60_000, 120_000]);
    expect(() => other.forLane('own')).toThrow(expect.objectContaining({ code: 'LANE_UNKNOWN' }));
    expect(heard).toEqual([]);
    expect(one.getMetrics().requests).toBe(1);
    await one.close();
    expect(await other.get('key')).toBe('other');
    expect(await other.getOrSet('new', () => 1)).toBe(1);
  });

  it('in memory alone do not meet', async () => {
    const [one, other] = [await caches.open(), await caches.open()];
    await one.set('key', 'one');
    expect(await other.get('key')).toBeUndefined();
    expect(one.forLane('docs')).not.toBe(other.forLane('docs'));
  });

  it("on one directory: each finds the other's entries, and the second takes over when the first closes", async () => {
    const directory = await caches.directory();
    const first = await caches.open({ directory });
    const second = await caches.open({ directory });
    expect([first.getMetrics().l3.state, second.getMetrics().l3.state]).toEqual(['on', 'on']);

    expect(await first.getOrSet('key', () => 'first')).toBe('first');
    await first.flush();
    expect(await second.getOrSet('key', () => 'second')).toBe('first');
    expect(second.getMetrics().l3.hits).toBe(1);
    expect(await second.getOrSet('own', () => 'second')).toBe('second');
    await second.flush();
    expect(await first.get('own')).toBe('second');

    const takenOver = new Promise((resolve) => {
      second.events.on('owner', (event) => event.state === 'taken-over' && resolve(event.directory));
    });
    await first.close();
    expect(await takenOver).toBe(directory);
    expect(second.getMetrics().l3.state).toBe('on');
    expect(await second.getOrSet('key', () => 'third')).toBe('first');
  });

  it('on one directory: an entry that the waiting app invalidated is not served after it takes over', async () => {
    const directory = await caches.directory();
    const first = await caches.open({ directory });
    const second = await caches.open({ directory });
    await first.set('key', 'old', { tags: ['tag'] });
    await first.flush();
    await second.invalidateByTag('tag');
    const takenOver = new Promise((resolve) => {
      second.events.on('owner', (event) => event.state === 'taken-over' && resolve(event.directory));
    });
    await first.close();
    await takenOver;
    expect(await second.get('key')).toBeUndefined();
  });

  it('may share one strategy', async () => {
    const strategy = new LaneAwareCacheStrategy();
    const lanes = { standard: { strategy, l1: { maxEntries: 2 } } } as const;
    const [one, other] = [await caches.open({ lanes }), await caches.open({ lanes })];
    for (const cache of [one, other]) for (const key of ['a', 'b', 'c']) await cache.set(key, key);
    expect([one, other].map((cache) => cache.getMetrics().l1.entries)).toEqual([2, 2]);
  });

  it('open and close in turn on one directory, again and again', async () => {
    const directory = await caches.directory();
    for (let round = 0; round < 5; round++) {
      const cache = await caches.open({ directory });
      expect(cache.getMetrics().l3.state).toBe('on');
      expect(await cache.getOrSet('round', () => 0)).toBe(0);
      await cache.close();
    }
  });

  it('leave no listener on the process', async () => {
    const before = process.eventNames().map((name) => [name, process.listenerCount(name)]);
    const cache = await caches.open({ directory: await caches.directory() });
    await cache.close();
    expect(process.eventNames().map((name) => [name, process.listenerCount(name)])).toEqual(before);
  });
});
