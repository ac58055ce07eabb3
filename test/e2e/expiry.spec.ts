import { afterEach, describe, expect, it } from '@jest/globals';
import type { CacheManager, TierName } from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/index.js';
import { Caches } from '../support/caches.js';

const DAY_MS = 86_400_000;

describe('the expiry of an entry', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const SMALL = { standard: { l1: { maxEntries: 1 } } } as const;

  async function tiersOf(cache: CacheManager, key: string): Promise<readonly TierName[]> {
    for await (const entry of cache.entries(key)) return entry.tiers;
    return [];
  }

  it('counts from when it was stored, in every tier it is promoted from', async () => {
    const clock = new FakeClock();
    const cache = await caches.open({ directory: await caches.directory(), clock, lanes: SMALL });
    await cache.getOrSet('key', () => 'value', { ttl: '1s' });
    await cache.set('other', 'which evicts it from memory');
    await cache.flush();
    await clock.advance('900ms');
    expect(await tiersOf(cache, 'key')).toEqual(['l2', 'l3']);
    expect(await cache.getOrSet('key', () => 'new', { ttl: '1h' })).toBe('value');
    expect(await tiersOf(cache, 'key')).toEqual(['l1', 'l2', 'l3']);
    await clock.advance('99ms');
    expect(await cache.get('key')).toBe('value');
    await clock.advance('1ms');
    expect(await cache.get('key')).toBeUndefined();
    expect(await cache.has('key')).toBe(false);
    expect(await cache.getOrSet('key', () => 'new')).toBe('new');
  });

  it('of L3 alone is kept by each tier above that it is promoted to', async () => {
    const directory = await caches.directory();
    const first = await caches.open({ directory, clock: new FakeClock() });
    await first.set('key', 'value', { ttl: '1s' });
    await first.close();
    const clock = new FakeClock();
    const cache = await caches.open({ directory, clock });
    expect(await tiersOf(cache, 'key')).toEqual(['l3']);
    await clock.advance('900ms');
    expect(await cache.getOrSet('key', () => 'new', { ttl: '1h' })).toBe('value');
    await cache.flush();
    expect(await tiersOf(cache, 'key')).toEqual(['l1', 'l2', 'l3']);
    await clock.advance('100ms');
    expect(await cache.has('key')).toBe(false);
  });

  it('is over on disk to the millisecond, although the grace goes on', async () => {
    const clock = new FakeClock();
    const cache = await caches.open({ directory: await caches.directory(), clock, lanes: SMALL });
    await cache.set('key', 'value', { ttl: '1s', grace: '1h' });
    await cache.set('other', 'which evicts it from memory');
    await cache.flush();
    await clock.advance('1s');
    expect(await cache.get('key')).toBeUndefined();
    expect(await cache.getOrSet('key', () => 'new')).toBe('new');
  });

  it('counts from the end of the computation', async () => {
    const clock = new FakeClock();
    const cache = await caches.open({ clock });
    const slow = cache.getOrSet(
      'key',
      async () => {
        await clock.advance('60s');
        return 'value';
      },
      { ttl: '30s' },
    );
    expect(await slow).toBe('value');
    await clock.advance('29999ms');
    expect(await cache.get('key')).toBe('value');
    await clock.advance('1ms');
    expect(await cache.get('key')).toBeUndefined();
  });

  it('survives a restart as it was', async () => {
    const directory = await caches.directory();
    const start = Date.UTC(2026, 0, 1);
    const first = await caches.open({ directory, clock: new FakeClock(start) });
    await first.getOrSet('key', () => 'value', { ttl: '10m' });
    await first.close();

    const clock = new FakeClock(start + 9 * 60_000);
    const second = await caches.open({ directory, clock });
    expect(await second.get('key')).toBe('value');
    await second.flush();
    await clock.advance('59s');
    expect(await second.get('key')).toBe('value');
    await clock.advance('1s');
    expect(await second.get('key')).toBeUndefined();
  });

  it('has passed while no process was running', async () => {
    const directory = await caches.directory();
    const start = Date.UTC(2026, 0, 1);
    const first = await caches.open({ directory, clock: new FakeClock(start) });
    await first.set('key', 'value', { ttl: '10m' });
    await first.close();
    const second = await caches.open({ directory, clock: new FakeClock(start + 11 * 60_000) });
    expect(await second.get('key')).toBeUndefined();
  });

  it('is not put off by a clock that is set back', async () => {
    const clock = new FakeClock();
    const cache = await caches.open({ directory: await caches.directory(), clock });
    await cache.set('key', 'value', { ttl: '10m' });
    clock.step(-DAY_MS);
    expect(await cache.get('key')).toBe('value');
    await clock.advance('10m');
    expect(await cache.get('key')).toBeUndefined();
  });

  it('is not put off by a clock that is set back while no process was running', async () => {
    const directory = await caches.directory();
    const start = Date.UTC(2026, 0, 1);
    const clock = new FakeClock(start);
    const first = await caches.open({ directory, clock });
    await first.set('key', 'value', { ttl: '10m' });
    await clock.advance('9m');
    await first.close();
    const late = new FakeClock(start - DAY_MS);
    const second = await caches.open({ directory, clock: late });
    await late.advance('1m');
    expect(await second.get('key')).toBeUndefined();
  });

  it('may come early by a clock that is set forward, never late after it is set back again', async () => {
    const clock = new FakeClock();
    const cache = await caches.open({ clock });
    await cache.set('key', 'value', { ttl: '10m' });
    clock.step(DAY_MS);
    expect(await cache.get('key')).toBeUndefined();
    clock.step(-DAY_MS);
    expect(await cache.get('key')).toBeUndefined();
    await cache.set('key', 'new', { ttl: '10m' });
    await clock.advance('599s');
    expect(await cache.get('key')).toBe('new');
    await clock.advance('1s');
    expect(await cache.get('key')).toBeUndefined();
  });

  it('takes at most its jitter off the ttl', async () => {
    const clock = new FakeClock();
    const cache = await caches.open({ clock });
    for (let key = 0; key < 100; key++) await cache.set(`${key}`, key, { ttl: '100s', jitter: '10s' });
    const remaining: number[] = [];
    for await (const { remainingMs } of cache.entries()) remaining.push(remainingMs);
    expect(remaining).toHaveLength(100);
    expect(Math.min(...remaining)).toBeGreaterThanOrEqual(90_000);
    expect(Math.max(...remaining)).toBeLessThanOrEqual(100_000);
    expect(new Set(remaining).size).toBeGreaterThan(50);
  });

  it('of nothing at all is a call past the cache', async () => {
    const cache = await caches.open();
    expect(await cache.getOrSet('key', () => 1, { ttl: 0 })).toBe(1);
    expect(await cache.getOrSet('key', () => 2)).toBe(2);
    expect(await cache.getOrSet('key', () => 3, { ttl: '0s' })).toBe(3);
    expect(await cache.set('key', 4, { ttl: 0 })).toBe(false);
    expect(await cache.has('key')).toBe(false);
    expect(cache.getMetrics().bypassed['ttl-zero']).toBe(2);
  });
});
