import { afterEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheManager, type LaneCacheOptions } from '../../lib/index.js';

const MB = 1024 ** 2;
const directory = mkdtempSync(join(tmpdir(), 'lane-cache-large-values-'));
const opened: CacheManager[] = [];

afterEach(async () => {
  for (const cache of opened.splice(0).toReversed()) await cache.close();
  rmSync(directory, { recursive: true, force: true });
});

async function open(options: LaneCacheOptions): Promise<CacheManager> {
  const cache = await CacheManager.fromSettings({ directory, ...options });
  opened.push(cache);
  return cache;
}

describe('a state as large as the settings allow', () => {
  it('is saved and restored beside the owner of the directory', async () => {
    const options = { checkpoints: { maxStateBytes: '100MB' } } as const;
    await open(options);
    const follower = await open(options);
    const state = Buffer.alloc(81 * MB, 'state');

    const { version } = await follower.snapshots.cacheCheckpoint('large', state);
    const restored = await follower.snapshots.restoreCheckpoint<Buffer>('large');
    expect([version, restored?.equals(state)]).toEqual([1, true]);
  });
});

describe('an entry as large as its lane allows', () => {
  it('reaches the owner of the directory', async () => {
    const lanes = { heavy: { maxEntryBytes: '100MB', l2: { enabled: false } } } as const;
    const owner = (await open({ lanes })).forLane('heavy');
    const follower = (await open({ lanes })).forLane('heavy');

    await follower.getOrSet('large', () => Buffer.alloc(81 * MB, 'entry'));
    // each ends after 4 s at the latest, and at once when everything is stored
    for (let flushes = 0; flushes < 4; flushes++) await follower.flush();
    expect((await owner.get<Buffer>('large'))?.length).toBe(81 * MB);
    expect(follower.getMetrics().l3.errors).toBe(0);
  });
});

describe('a limit that no message between processes could hold', () => {
  it('is refused by the boot', async () => {
    await expect(open({ lanes: { heavy: { maxEntryBytes: '2GB' } } })).rejects.toMatchObject({
      code: 'LANE_INVALID',
      field: 'lanes.heavy.maxEntryBytes',
    });
    await expect(open({ checkpoints: { maxStateBytes: '2GB' } })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      field: 'checkpoints.maxStateBytes',
    });
  });
});
