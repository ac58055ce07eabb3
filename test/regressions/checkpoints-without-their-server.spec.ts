import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CacheManager } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { freePort } from '../support/free-port.js';

/** The error of the client came through: no code told it from another, and nothing that depends on the code worked. */
describe('checkpoints whose server cannot be reached', () => {
  const caches = new Caches();
  let cache: CacheManager;
  beforeEach(async () => {
    const distributed = { url: `redis://127.0.0.1:${await freePort()}` };
    cache = await caches.open({ distributed, checkpoints: { store: 'distributed' }, logger: false });
  });
  afterEach(() => caches.close());

  it.each<readonly [string, () => Promise<unknown>]>([
    ['a save', () => cache.snapshots.cacheCheckpoint('a', 1)],
    ['a restore', () => cache.snapshots.restoreCheckpoint('a')],
    ['a listing', () => cache.snapshots.list()],
    ['a step', () => cache.snapshots.runStep('a', () => 1)],
  ])('reject %s as unavailable, and name the cause', async (_what, call) => {
    const message = expect.stringMatching(/^Checkpoints are not available: Redis could not be asked: .*ECONNREFUSED/);
    await expect(call()).rejects.toMatchObject({ code: 'CHECKPOINTS_UNAVAILABLE', message });
  });

  it('run a step that is to run without them', async () => {
    expect(await cache.snapshots.runStep('a', () => 'result', { onUnavailable: 'run' })).toBe('result');
  });

  it('say that they are off', async () => {
    expect(await cache.getCheckpointCacheStatus()).toMatchObject({ state: 'off', reason: 'disconnected' });
  });
});
