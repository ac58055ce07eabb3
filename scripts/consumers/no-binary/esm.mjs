import assert from 'node:assert/strict';
import { CacheManager, isLaneCacheError } from 'nestjs-lane-cache';
import { FakeClock } from 'nestjs-lane-cache/testing';

const cache = await CacheManager.fromSettings({ directory: false, clock: new FakeClock() });
assert.equal(await cache.getOrSet('k', () => 1), 1);
assert.equal(await cache.get('k'), 1);
await cache.close();

const error = await CacheManager.fromSettings().catch((reason) => reason);
assert.ok(isLaneCacheError(error, 'LMDB_UNAVAILABLE'), String(error));
assert.match(error.message, /npm ci --include=optional/);
