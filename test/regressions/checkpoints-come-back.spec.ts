import { afterEach, describe, expect, it } from '@jest/globals';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { StorageBench } from '../support/storage.js';

describe('checkpoints whose folder goes away under the app', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  const open = async (elsewhere: boolean) => {
    const directory = await bench.path('cache');
    const checkpoints = elsewhere ? await bench.path('checkpoints') : join(directory, 'checkpoints');
    const storage = { minFreeBytes: 0 };
    const cache = await CacheManager.fromSettings({
      directory,
      storage,
      checkpoints: { directory: checkpoints },
    });
    const states: string[] = [];
    cache.events.on('tier', ({ tier, state }) => tier === 'checkpoints' && states.push(state));
    const save = (id: string) =>
      cache.snapshots.cacheCheckpoint(id, id).then(
        ({ version }) => version,
        ({ code }) => code,
      );
    return { cache, directory, checkpoints, states, save };
  };

  it.each([false, true])('can be saved again, without a restart (in a folder of their own: %s)', async (elsewhere) => {
    const { cache, checkpoints, states, save } = await open(elsewhere);
    expect(await save('a')).toBe(1);
    await rm(checkpoints, { recursive: true, maxRetries: 5 });
    expect([await save('a'), await save('b')]).toEqual(['CHECKPOINTS_UNAVAILABLE', 'CHECKPOINTS_UNAVAILABLE']);
    while (!states.includes('on')) await cache.events.once('tier');
    expect(await save('b')).toBe(1);
    expect(await cache.snapshots.restoreCheckpoint('b')).toBe('b');
    expect(states).toEqual(['off', 'on']);
    await cache.close();
  });

  it('are read from the folder that lies in their place now', async () => {
    const { cache, checkpoints, states, save } = await open(false);
    expect(await save('a')).toBe(1);
    await rename(checkpoints, `${checkpoints}-elsewhere`);
    expect(await save('a')).toBe('CHECKPOINTS_UNAVAILABLE');
    await rename(`${checkpoints}-elsewhere`, checkpoints);
    while (!states.includes('on')) await cache.events.once('tier');
    expect(await cache.snapshots.restoreCheckpoint('a')).toBe('a');
    expect(await save('a')).toBe(2);
    await cache.close();
  });

  it('recover with everything else when the whole directory was removed', async () => {
    const { cache, directory, states, save } = await open(false);
    await rm(directory, { recursive: true, maxRetries: 5 });
    expect(await save('a')).toBe('CHECKPOINTS_UNAVAILABLE');
    while (!states.includes('on')) await cache.events.once('tier');
    expect(await save('a')).toBe(1);
    const other = await CacheManager.fromSettings({ directory, storage: { minFreeBytes: 0 } });
    expect(await other.snapshots.restoreCheckpoint('a')).toBe('a');
    await other.close();
    await cache.close();
    const again = await CacheManager.fromSettings({ directory, storage: { minFreeBytes: 0 } });
    expect(await again.snapshots.restoreCheckpoint('a')).toBe('a');
    await again.close();
  });

  it("stay unavailable while another app's new directory is in place, which is reported once", async () => {
    const { cache, directory, states, save } = await open(false);
    const owners: string[] = [];
    cache.events.on('owner', ({ state, ownerPid }) => owners.push(`${state} ${ownerPid}`));
    await rm(directory, { recursive: true, maxRetries: 5 });
    const other = await CacheManager.fromSettings({ directory, storage: { minFreeBytes: 0 } });
    expect(await other.snapshots.cacheCheckpoint('a', 'of the other')).toMatchObject({ version: 1 });
    expect(await save('a')).toBe('CHECKPOINTS_UNAVAILABLE');
    await cache.invalidate('k').catch(() => undefined);
    while (owners.length === 0) await cache.events.once('owner');
    expect(await save('a')).toBe('CHECKPOINTS_UNAVAILABLE');
    await other.close();
    while (!states.includes('on')) await cache.events.once('tier');
    expect(await cache.snapshots.restoreCheckpoint('a')).toBe('of the other');
    expect(await save('a')).toBe(2);
    expect(owners).toEqual([`refused ${process.pid}`]);
    await cache.close();
  });

  it('leave the app free to close while they are away', async () => {
    const { cache, checkpoints, save } = await open(false);
    await rm(checkpoints, { recursive: true, maxRetries: 5 });
    expect(await save('a')).toBe('CHECKPOINTS_UNAVAILABLE');
    await cache.close();
    expect(await save('a')).toBe('CLOSED');
  });
});
