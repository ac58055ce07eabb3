import { expect, it, jest } from '@jest/globals';
import { mkdtemp, open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';

// in the file system of Yarn's Plug'n'Play every handle has a `sync` that throws
it('an app whose file handles cannot sync keeps entries and checkpoints', async () => {
  const probe = await open('.', 'r');
  const handles: FileHandle = Object.getPrototypeOf(probe);
  await probe.close();
  const spy = jest.spyOn(handles, 'sync').mockImplementation(() => {
    throw new Error('Method not implemented.');
  });
  const directory = await mkdtemp(join(tmpdir(), 'lane-cache-'));
  const cache = await CacheManager.fromSettings({ directory, storage: { minFreeBytes: 0 } });
  expect(cache.getMetrics()).toMatchObject({ l2: { state: 'on' }, l3: { state: 'on' } });
  await cache.snapshots.cacheCheckpoint('job', 1);
  expect(await cache.snapshots.restoreCheckpoint('job')).toBe(1);
  await cache.close();
  spy.mockRestore();
  await rm(directory, { recursive: true, maxRetries: 5 });
});
