const assert = require('node:assert/strict');
const { CacheManager, isLaneCacheError, LANE_CACHE } = require('nestjs-lane-cache');
const { FakeClock } = require('nestjs-lane-cache/testing');
const { LaneCacheHealthIndicator } = require('nestjs-lane-cache/health');

async function main() {
  // The CommonJS copy of the package finds what the ESM script has stored.
  const cache = await CacheManager.fromSettings({ storage: { minFreeBytes: 0 } });
  assert.deepEqual(await cache.snapshots.restoreCheckpoint('job'), { step: 1 });
  assert.equal(await cache.getOrSet('k', () => 'computed'), 'computed');
  const esm = await import('nestjs-lane-cache');
  assert.equal(esm.LANE_CACHE, LANE_CACHE);
  const failure = await esm.CacheManager.fromSettings({ lane: 'marble' }).catch((error) => error);
  assert.equal(isLaneCacheError(failure, 'LANE_UNKNOWN'), true);
  assert.equal(typeof LaneCacheHealthIndicator, 'function');
  assert.equal(new FakeClock(5).now(), 5);
  await cache.close();
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
