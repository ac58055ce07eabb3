import { afterEach, describe, expect, it } from '@jest/globals';
import { Caches } from '../support/caches.js';

// Going over its holes takes minutes, in one piece.
const LENGTH = 2 ** 32 - 1;

describe('an array with billions of holes', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it('is cached at once, frozen and with its holes', async () => {
    const cache = await caches.open();
    const array: unknown[] = [];
    array[LENGTH - 1] = { last: true };
    await cache.getOrSet('k', () => array);
    const cached = await cache.get<readonly unknown[]>('k');
    expect([cached?.length, cached?.[0], cached?.[LENGTH - 1]]).toEqual([LENGTH, undefined, { last: true }]);
    expect(Object.keys(cached ?? [])).toEqual([String(LENGTH - 1)]);
    expect([Object.isFrozen(cached), Object.isFrozen(cached?.[LENGTH - 1])]).toEqual([true, true]);
  });
});
