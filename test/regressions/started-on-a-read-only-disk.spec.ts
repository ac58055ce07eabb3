import { afterEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { type DiskVolume, mountVolume } from '../support/mounts.js';

describe('an app that starts on a disk that is read-only by now', () => {
  let volume: DiskVolume | undefined;
  afterEach(() => {
    volume?.remount('rw');
    volume?.unmount();
  });

  it('computes, also where a process that was killed has left its session', async () => {
    volume = mountVolume('tmpfs', 6);
    if (volume === undefined) return;
    const directory = join(volume.path, 'cache');
    const session = join(directory, 'sessions', `1-${'a'.repeat(12)}`);
    await (await CacheManager.fromSettings({ directory, logger: false })).close();
    mkdirSync(session, { mode: 0o700 });
    writeFileSync(join(session, 'held'), 'it has ended');
    volume.remount('ro');

    const cache = await CacheManager.fromSettings({ directory, logger: false });
    expect(await cache.getOrSet('k', () => 'computed')).toBe('computed');
    expect(cache.getMetrics().l2.state).toBe('off');
    await cache.close();
  });
});
