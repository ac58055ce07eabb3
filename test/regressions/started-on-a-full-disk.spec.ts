import { afterEach, describe, expect, it } from '@jest/globals';
import { closeSync, fstatSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { type DiskVolume, mountVolume } from '../support/mounts.js';

const PAGE = Buffer.alloc(4_096);

/** Leaves so many pages free. */
function fill(path: string, pages: number): void {
  const file = openSync(path, 'w');
  try {
    for (;;) writeSync(file, PAGE);
  } catch {
    ftruncateSync(file, Math.max(0, fstatSync(file).size - pages * PAGE.length));
  } finally {
    closeSync(file);
  }
}

describe('an app that starts on a disk that is full', () => {
  let volume: DiskVolume | undefined;
  afterEach(() => volume?.unmount());

  it('computes, however little room is left for its first files', async () => {
    volume = mountVolume('tmpfs', 6);
    if (volume === undefined) return;
    const { path } = volume;
    for (let pages = 0; pages < 12; pages++) {
      const root = join(path, `root-${pages}`);
      await mkdir(root);
      fill(join(path, 'filler'), pages);
      const cache = await CacheManager.fromSettings({ directory: join(root, 'cache'), logger: false });
      expect(await cache.getOrSet('k', () => pages)).toBe(pages);
      await cache.close();
      rmSync(join(path, 'filler'));
      rmSync(root, { recursive: true, force: true });
    }
  }, 60_000);
});
