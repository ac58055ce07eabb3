import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../lib/clock/clock.js';
import { Caches } from '../support/caches.js';

/** The look that brought the expiry moved the time of this process on. The hit compared the entry with the time before the look. */
describe('an entry that a process expires whose clock is ahead', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it('is not served once more by another process', async () => {
    const directory = await caches.directory();
    let aheadMs = 0;
    const owner = await caches.open({ directory, clock: { ...systemClock, now: () => systemClock.now() + aheadMs } });
    // The owner of the directory would look too early, when it is asked for L3.
    const follower = await caches.open({ directory });
    await follower.set('key', 'old', { ttl: '1h' });
    const before = await follower.get('key');
    aheadMs = 60_000;
    await owner.expire('key');
    expect([before, await follower.getOrSet('key', () => 'new')]).toEqual(['old', 'new']);
  });
});
