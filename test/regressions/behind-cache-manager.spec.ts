import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Cache } from '@nestjs/cache-manager';
import { CacheManager, laneKeyvStore } from '../../lib/index.js';
import { laneBackedCache } from '../../lib/keyv/lane-backed-cache.js';

// as JavaScript hands them in, such as the id of a user who is not signed in
const NO_KEYS: readonly unknown[] = [undefined, null, 5, {}, ['a']];

describe('what stands behind CACHE_MANAGER', () => {
  let lane: CacheManager;
  let cache: Cache;
  beforeEach(async () => {
    lane = await CacheManager.fromSettings({ directory: false, checkpoints: false });
    cache = laneBackedCache(lane);
  });
  afterEach(() => lane.close());

  describe('a key that is no text', () => {
    it.each(NO_KEYS)('is not one key for all callers: %p', async (none) => {
      const key = none as string;
      const calls = [
        () => cache.set(key, 'of Ada'),
        () => cache.mset([{ key, value: 'of Ada' }]),
        () => cache.wrap(key, () => 'of Ada'),
        () => laneKeyvStore(lane).set(key, 'of Ada'),
        () => laneKeyvStore(lane).get(key),
        () => laneKeyvStore(lane).getMany([key]),
        () => laneKeyvStore(lane).has(key),
        () => laneKeyvStore(lane).delete(key),
      ];
      for (const call of calls) {
        await expect(call()).rejects.toMatchObject({ code: expect.stringMatching(/^(KEY|OPTIONS)_INVALID$/) });
      }
      expect(await lane.invalidateByPattern('*')).toBe(0);
    });
  });

  it('an empty key is a key, as in cache-manager', async () => {
    await cache.set('', 'value');
    expect([await cache.get(''), await cache.wrap('', () => 'other')]).toEqual(['value', 'value']);
  });

  describe('undefined that is set', () => {
    it('is computed by the next wrap', async () => {
      expect(await cache.set('key', undefined)).toBeUndefined();
      await cache.mset([{ key: 'of many', value: undefined, ttl: 0 }]);
      expect(await cache.wrap('key', () => 5)).toBe(5);
      expect(await cache.wrap('of many', () => 6)).toBe(6);
    });

    it('leaves no older value', async () => {
      await cache.set('key', 'old');
      await cache.set('key', undefined);
      await cache.mset([{ key: 'of many', value: 'old' }]);
      await cache.mset([{ key: 'of many', value: undefined }]);
      expect(await cache.mget(['key', 'of many'])).toEqual([undefined, undefined]);
      expect(await cache.ttl('key')).toBeUndefined();
    });
  });
});
