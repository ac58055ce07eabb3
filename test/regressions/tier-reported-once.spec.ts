import { afterEach, describe, expect, it } from '@jest/globals';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { StorageBench } from '../support/storage.js';

describe('a tier that fails and recovers', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('is reported once each, for any number of failed calls', async () => {
    const directory = await bench.path('cache');
    const clock = new FakeClock();
    const cache = await CacheManager.fromSettings({ directory, clock, storage: { minFreeBytes: 0 } });
    const reported: string[] = [];
    cache.events.on('tier', ({ tier, state }) => reported.push(`${tier} ${state}`));
    for (const key of ['a', 'b', 'c']) await cache.getOrSet(key, () => key, { tags: [key] });
    await cache.flush();

    await rename(join(directory, 'l3'), join(directory, 'elsewhere'));
    for (const key of ['a', 'b', 'c']) await cache.invalidate(key).catch(() => undefined);
    await Promise.all(['a', 'b', 'c'].map((key) => cache.invalidateByTag(key).catch(() => undefined)));
    while (!reported.includes('l3 on')) await clock.advance('1s');
    for (const key of ['a', 'b', 'c']) expect(await cache.getOrSet(key, () => `${key} again`)).toBe(`${key} again`);
    await cache.flush();

    expect(reported).toEqual(['l3 off', 'l3 on']);
    await cache.close();
  });
});
