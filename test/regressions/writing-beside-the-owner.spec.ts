import { afterEach, describe, expect, it } from '@jest/globals';
import { Caches } from '../support/caches.js';

describe('a process whose directory is owned by another process', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  // it asked the persistent tier, which it does not own, to remove the key, and took the refusal for a broken disk
  it('sets, invalidates, expires and clears as the owner does', async () => {
    const directory = await caches.directory();
    const owner = await caches.open({ directory });
    const cache = await caches.open({ directory });
    expect(await cache.set('key', 'value')).toBe(true);
    expect(await cache.set('key', 'newer')).toBe(true);
    expect(await cache.get('key')).toBe('newer');
    expect(await cache.expire('key')).toBe(true);
    expect(await cache.set('key', 'third', { tags: ['tag'] })).toBe(true);
    expect(await cache.invalidate('key')).toBe(true);
    expect(await cache.invalidateByPattern('*')).toBe(0);
    await cache.invalidateByTag('tag');
    await cache.clearAll();
    expect(cache.getMetrics()).toMatchObject({ l2: { errors: 0 }, l3: { state: 'on', errors: 0 } });
    expect(owner.getMetrics().l3.state).toBe('on');
  });

  it('serves no replaced entry after it takes over, for any number of writes in progress', async () => {
    const directory = await caches.directory();
    const owner = await caches.open({ directory });
    const cache = await caches.open({ directory });
    const keys = Array.from({ length: 50 }, (_, index) => `key ${index}`);
    await owner.setMany(keys.map((key) => [key, 'old']));
    const takenOver = new Promise((resolve) => {
      cache.events.on('owner', (event) => event.state === 'taken-over' && resolve(event));
    });
    const closing = owner.close();
    for (const key of keys) {
      await cache.invalidate(key);
      expect(await cache.get(key)).toBeUndefined();
    }
    await Promise.all([closing, takenOver]);
    expect((await cache.getMany(keys)).size).toBe(0);
  });
});
