import { afterEach, expect, it } from '@jest/globals';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { StorageBench } from '../support/storage.js';

const bench = new StorageBench();
afterEach(() => bench.dispose());

const daysAgo = (days: number): string =>
  new Date(Date.now() - days * 86_400_000).toISOString().replaceAll(/[:.]/g, '-');

it('folders that were set aside are removed by the owner alone, after a week, and those of checkpoints never', async () => {
  const directory = await bench.path('cache');
  const options = { directory, storage: { minFreeBytes: 0, sweepEvery: false } } as const;
  const owner = await CacheManager.fromSettings(options);
  const other = await CacheManager.fromSettings(options);
  const [old, young, kept] = [`l3.bad-${daysAgo(8)}`, `l3.bad-${daysAgo(6)}`, `checkpoints.bad-${daysAgo(800)}`];
  for (const name of [old, young, kept]) await mkdir(join(directory, name));
  const left = async (): Promise<readonly string[]> =>
    (await readdir(directory)).filter((name) => name.includes('.bad-')).toSorted();

  expect(await other.sweep()).toMatchObject({ quarantinesRemoved: 0 });
  expect(await left()).toEqual([kept, old, young]);
  expect(await owner.sweep()).toMatchObject({ quarantinesRemoved: 1 });
  expect(await left()).toEqual([kept, young]);
  await Promise.all([owner.close(), other.close()]);
});
