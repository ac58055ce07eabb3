import { expect, it } from '@jest/globals';
import { CacheManager } from '../../lib/app/cache-app.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';

it('a sweep counts and reports the entries that expired in memory', async () => {
  const clock = new FakeClock();
  const cache = await CacheManager.fromSettings({ directory: false, clock });
  const evicted: string[] = [];
  cache.events.on('evict', ({ key, tier, reason }) => evicted.push(`${tier} ${key} ${reason}`));
  await cache.set('short', 1, { ttl: '1s' });
  await cache.set('long', 2, { ttl: '1h' });
  await clock.advance('2s');
  expect((await cache.sweep()).expired).toBe(1);
  expect(cache.getMetrics().l1).toMatchObject({ entries: 1, expirations: 1, evictions: 0 });
  expect(evicted).toEqual(['l1 short expired']);
  await cache.close();
});
