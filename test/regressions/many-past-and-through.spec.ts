import { afterEach, describe, expect, it } from '@jest/globals';
import { Caches } from '../support/caches.js';

describe('several keys of which some are not for the cache', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  // the computation past the cache failed as well, and its rejection, which nobody waited for, ended the process
  it('fail once, and leave no rejection behind', async () => {
    const cache = await caches.open({ lanes: { standard: { exclude: ['draft:*'] } } });
    const unhandled: unknown[] = [];
    const listen = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', listen);
    const error = new Error('both');
    await expect(cache.getOrSetMany(['page', 'draft:1'], () => Promise.reject(error))).rejects.toBe(error);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', listen);
    expect(unhandled).toEqual([]);
  });
});
