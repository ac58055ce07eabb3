import { afterEach, describe, expect, it } from '@jest/globals';
import { Caches } from '../support/caches.js';

describe('a computation that throws before it returns a promise', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  // the flight failed and ended before its first caller waited for it, so that caller waited for ever
  it('fails its caller instead of leaving it waiting', async () => {
    const cache = await caches.open();
    const error = new Error('at once');
    const throwing = (): never => {
      throw error;
    };
    await expect(cache.getOrSet('key', throwing)).rejects.toBe(error);
    await expect(cache.getOrSet('key', throwing, { forceFresh: true })).rejects.toBe(error);
    expect(await cache.getOrSet('key', () => 'sound')).toBe('sound');
  });
});
