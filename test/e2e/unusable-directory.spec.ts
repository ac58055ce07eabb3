import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';

describe('an app that cannot make its directory', () => {
  let around: string;
  let before: string | undefined;
  beforeEach(async () => {
    around = await mkdtemp(join(tmpdir(), 'lane-cache-'));
    before = process.env['LANE_CACHE_DIR'];
  });
  afterEach(async () => {
    if (before === undefined) delete process.env['LANE_CACHE_DIR'];
    else process.env['LANE_CACHE_DIR'] = before;
    await rm(around, { recursive: true, maxRetries: 5 });
  });

  it('names in one warning what is off, and both ways to name another directory', async () => {
    // nothing can be made below a file, not by root either
    const file = join(around, 'file');
    await writeFile(file, '');
    process.env['LANE_CACHE_DIR'] = join(file, 'cache');
    const warnings: string[] = [];
    const logger = {
      log: () => undefined,
      error: () => undefined,
      warn: (text: string) => void warnings.push(text),
    };
    const cache = await CacheManager.fromSettings({ logger });
    expect(await cache.getOrSet('k', () => 1)).toBe(1);
    expect(warnings).toHaveLength(1);
    for (const part of [join(file, 'cache'), 'l2', 'l3', 'checkpoints', "'directory'", 'LANE_CACHE_DIR']) {
      expect(warnings[0]).toContain(part);
    }
    await expect(cache.snapshots.cacheCheckpoint('job', 1)).rejects.toMatchObject({
      code: 'CHECKPOINTS_UNAVAILABLE',
      message: expect.stringContaining('LANE_CACHE_DIR'),
    });
    await cache.close();
  });

  it('opens the one that LANE_CACHE_DIR names, unless the option names another', async () => {
    process.env['LANE_CACHE_DIR'] = join(around, 'named');
    const named = await CacheManager.fromSettings();
    await named.snapshots.cacheCheckpoint('job', 'named');
    await named.close();
    const other = await CacheManager.fromSettings({ directory: join(around, 'other') });
    expect(await other.snapshots.restoreCheckpoint('job')).toBeUndefined();
    await other.close();
    const again = await CacheManager.fromSettings();
    expect(await again.snapshots.restoreCheckpoint('job')).toBe('named');
    await again.close();
  });
});
