import { afterEach, describe, expect, it } from '@jest/globals';
import { readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Caches } from '../support/caches.js';

describe('a lock file that cannot be looked at', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  // A link to itself: the system reports an error other than that the file is missing.
  it.each(['checkpoints', 'l3'])('turns %s off, and does not stop the boot', async (store) => {
    const directory = await caches.directory();
    const before = await caches.open({ directory, logger: false });
    await before.set('k', 1);
    await before.close();
    const found = readdirSync(directory, { recursive: true, encoding: 'utf8' });
    const locks = found.filter((path) => path.endsWith('lock.mdb') && path.includes(store));
    expect(locks).toHaveLength(1);
    for (const path of locks) {
      rmSync(join(directory, path));
      symlinkSync('lock.mdb', join(directory, path));
    }
    const after = await caches.open({ directory, logger: false });
    const { state } = store === 'l3' ? after.getMetrics().l3 : await after.getCheckpointCacheStatus();
    expect(state).toBe('off');
    expect(await after.getOrSet('new', () => 2)).toBe(2);
  });
});
