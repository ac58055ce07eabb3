import { describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../../lib/clock/clock.js';
import { leftovers } from '../../support/audit.js';
import { Jobs } from '../../support/jobs.js';
import { LaneApp } from '../../support/lane-app.js';
import { ModelDisk, ModelTier } from '../../support/model-tier.js';

/** An app whose L2 holds `old` under `k`, and answers when the test runs a job. Memory has room for one entry. */
async function appWithLateDisk() {
  const jobs = new Jobs();
  const l2 = new ModelTier('l2', ['standard'], new ModelDisk(), jobs);
  const app = new LaneApp({ below: [l2], lanes: { standard: { l1: { maxEntries: 1 } } } });
  const cache = app.manager();
  await cache.getOrSet('k', () => 'old');
  await cache.getOrSet('other', () => 'evicts it');
  while (l2.queued > 0) l2.commit();
  l2.reads = 'later';
  const answer = async (): Promise<void> => {
    while (jobs.size + l2.queued > 0) {
      jobs.run(0);
      if (l2.queued > 0) l2.commit();
      await nextTurn();
    }
    await nextTurn();
  };
  return { app, cache, answer };
}

describe('a look-up that is answered late', () => {
  it('puts nothing in the place of a value of the same birth that was computed meanwhile', async () => {
    const { app, cache, answer } = await appWithLateDisk();
    const asked = cache.get('k');
    expect(await cache.getOrSet('k', () => 'new', { forceFresh: true })).toBe('new');
    await answer();
    await asked;
    expect(cache.getIfPresent('k')).toBe('new');
    expect(leftovers(app)).toEqual([]);
  });

  it('leaves nothing of a call past the cache behind it', async () => {
    const { app, cache, answer } = await appWithLateDisk();
    const calls = [
      cache.getOrSet('k', () => 'new', { ttl: 0 }),
      cache.getOrSetMany(['k', 'j'], (keys) => new Map(keys.map((key) => [key, 'new'])), { ttl: 0 }),
      cache.getOrSet('j', () => Promise.reject(new Error('own')), { ttl: 0 }).catch(() => undefined),
    ];
    await nextTurn();
    await answer();
    await Promise.all(calls);
    await answer();
    expect(leftovers(app)).toEqual([]);
  });
});
