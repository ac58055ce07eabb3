import assert from 'node:assert/strict';
import { CacheManager, laneKeyvStore, LaneType } from 'nestjs-lane-cache';
import { chaosTier, FakeClock } from 'nestjs-lane-cache/testing';

const clock = new FakeClock();
const cache = await CacheManager.fromSettings({ lane: LaneType.Standard, clock, storage: { minFreeBytes: 0 } });
let calls = 0;
const ask = () => cache.getOrSet('k', async () => ({ call: ++calls, at: new Date(1) }), { ttl: '1m', tags: ['t'] });
assert.deepEqual(await Promise.all([ask(), ask()]), [
  { call: 1, at: new Date(1) },
  { call: 1, at: new Date(1) },
]);
// Deadlines of the disk use the same clock, so no write may be pending when time is moved
await cache.flush();
await clock.advance('1m');
assert.equal((await ask()).call, 2);
await cache.invalidateByTag('t');
assert.equal((await ask()).call, 3);
await cache.flush();
assert.equal(cache.getMetrics().l3.state, 'on');
await cache.snapshots.cacheCheckpoint('job', { step: 1 });
assert.deepEqual(await cache.snapshots.restoreCheckpoint('job'), { step: 1 });
assert.equal(await laneKeyvStore(cache).set('a', 1, 1_000), true);
assert.equal(typeof chaosTier, 'function');
await cache.close();
