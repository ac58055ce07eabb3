import { afterEach, describe, expect, it } from '@jest/globals';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { until } from '../support/gate.js';
import { StorageBench } from '../support/storage.js';

describe('a tier that fails and recovers', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('is reported once each, for any number of failed calls', async () => {
    const directory = await bench.path('cache');
    const clock = new FakeClock();
    // the clock moves while the disk is at work, which is in time however slow it is
    const storage = { minFreeBytes: 0, deadline: '1d' } as const;
    const cache = await CacheManager.fromSettings({ directory, clock, storage });
    const reported: string[] = [];
    cache.events.on('tier', ({ tier, state }) => reported.push(`${tier} ${state}`));
    for (const key of ['a', 'b', 'c']) await cache.getOrSet(key, () => key, { tags: [key] });
    await cache.flush();

    await rename(join(directory, 'l3'), join(directory, 'elsewhere'));
    for (const key of ['a', 'b', 'c']) await cache.invalidate(key).catch(() => undefined);
    await Promise.all(['a', 'b', 'c'].map((key) => cache.invalidateByTag(key).catch(() => undefined)));
    await until(async () => {
      await clock.advance('1s');
      return reported.includes('l3 on');
    });
    for (const key of ['a', 'b', 'c']) expect(await cache.getOrSet(key, () => `${key} again`)).toBe(`${key} again`);
    await cache.flush();

    expect(reported).toEqual(['l3 off', 'l3 on']);
    await cache.close();
  });
});
