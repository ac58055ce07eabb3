import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { CacheManager } from '../../lib/app/cache-app.js';
import { until } from '../support/gate.js';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lane-cache-folder-'));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true, maxRetries: 5 });
});

const open = (name: string): Promise<CacheManager> =>
  CacheManager.fromSettings({
    directory: join(root, name),
    checkpoints: { directory: join(root, 'shared') },
  });

it('lets one app at a time open a folder of checkpoints that two directories name, and the other when it is free', async () => {
  const first = await open('a');
  const second = await open('b');
  await first.snapshots.cacheCheckpoint('id', { by: 'first' });
  await expect(second.snapshots.cacheCheckpoint('id', { by: 'second' })).rejects.toMatchObject({
    code: 'CHECKPOINTS_UNAVAILABLE',
    message: expect.stringContaining('checkpoints.directory'),
  });
  expect(await second.getCheckpointCacheStatus()).toMatchObject({ state: 'off', reason: 'in-use' });
  await first.close();
  await until(async () => (await second.getCheckpointCacheStatus()).state === 'on');
  expect(await second.snapshots.restoreCheckpoint('id')).toEqual({ by: 'first' });
  await second.close();
  const third = await open('c');
  expect((await third.getCheckpointCacheStatus()).state).toBe('on');
  await third.close();
});
