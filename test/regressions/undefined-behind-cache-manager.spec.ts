import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Cache } from '@nestjs/cache-manager';
import { CacheManager } from '../../lib/index.js';
import { laneBackedCache } from '../../lib/keyv/lane-backed-cache.js';

describe('undefined that is set behind CACHE_MANAGER', () => {
  let lane: CacheManager;
  let cache: Cache;
  beforeEach(async () => {
    lane = await CacheManager.fromSettings({ directory: false, checkpoints: false });
    cache = laneBackedCache(lane);
  });
  afterEach(() => lane.close());

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
