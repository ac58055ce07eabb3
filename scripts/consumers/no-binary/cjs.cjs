const assert = require('node:assert/strict');
const { CacheManager, isLaneCacheError } = require('nestjs-lane-cache');

async function main() {
  const cache = await CacheManager.fromSettings({ directory: false });
  assert.equal(await cache.getOrSet('k', () => 1), 1);
  await cache.close();
  const error = await CacheManager.fromSettings().catch((reason) => reason);
  assert.ok(isLaneCacheError(error, 'LMDB_UNAVAILABLE'), String(error));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
