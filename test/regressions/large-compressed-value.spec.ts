import { afterEach, describe, expect, it } from '@jest/globals';
import { Caches } from '../support/caches.js';

describe('a value that is compressed and too large to be expanded at once', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  // the promise of the thread pool was of another realm, and was mistaken for a record without a key
  it('is found on disk, also in a test runner with its own realm', async () => {
    const lanes = { docs: { l1: { maxEntries: 1 } } } as const;
    const cache = await caches.open({ directory: await caches.directory(), lane: 'docs', lanes });
    const lines = Array.from({ length: 40_000 }, (_, line) => `line ${line}`);
    await cache.set('lines', lines);
    await cache.set('other', 'which evicts it from memory');
    await cache.flush();
    expect(cache.getMetrics().l2.sizeBytes).toBeLessThan(200_000);
    expect(await cache.get('lines')).toEqual(lines);
    expect(cache.getMetrics().l2.hits).toBe(1);
  });
});
