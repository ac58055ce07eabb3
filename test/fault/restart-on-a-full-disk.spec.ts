import { afterEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { type DiskVolume, mountVolume } from '../support/mounts.js';

/** More than the volume has. */
const TOO_MUCH = Buffer.alloc(32 * 1024 * 1024);

const PIDS = Array.from({ length: 90 }, (_, index) => index + 10);

function endedSession(directory: string, pid: number): string {
  const session = join(directory, 'sessions', `${pid}-${'a'.repeat(12)}`);
  mkdirSync(session, { mode: 0o700 });
  writeFileSync(join(session, 'held'), 'it has ended');
  return session;
}

describe('an app that starts on a disk that L2 of a killed process has filled', () => {
  let volume: DiskVolume | undefined;
  afterEach(() => volume?.unmount());

  it('has its disk from the start', async () => {
    volume = mountVolume('tmpfs', 24);
    if (volume === undefined) return;
    const directory = join(volume.path, 'cache');
    await (await CacheManager.fromSettings({ directory, logger: false })).close();
    // They are removed in the order of their names, so that the one that has the room is the last.
    const sessions = PIDS.map((pid) => endedSession(directory, pid));
    expect(() => writeFileSync(join(sessions.at(-1) ?? '', 'l2'), TOO_MUCH)).toThrow('ENOSPC');

    const cache = await CacheManager.fromSettings({ directory, logger: false });
    const { l2: disk, l3 } = cache.getMetrics();
    expect([disk.state, l3.state]).toEqual(['on', 'on']);
    expect(readdirSync(join(directory, 'sessions'))).toHaveLength(1);
    await cache.close();
  });
});
