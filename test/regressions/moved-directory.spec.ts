import { afterEach, describe, expect, it } from '@jest/globals';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { runCli } from '../support/fake-terminal.js';
import { StorageBench } from '../support/storage.js';

describe('the directory of an app that was copied to another place', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  const save = async (directory: string, checkpoints?: string): Promise<void> => {
    const cache = await CacheManager.fromSettings({
      directory,
      logger: false,
      ...(checkpoints !== undefined && { checkpoints: { directory: checkpoints } }),
    });
    await cache.snapshots.cacheCheckpoint('run-7', { step: 1 });
    await cache.close();
  };

  const ids = async (directory: string): Promise<readonly string[]> => {
    const { out } = await runCli(['checkpoints', 'list', '--directory', directory]);
    const { items }: { readonly items: readonly { readonly id: string }[] } = JSON.parse(out);
    return items.map(({ id }) => id);
  };

  const copied = async () => {
    const [original, copy] = [await bench.path('cache'), await bench.path('copy')];
    await save(original);
    await cp(original, copy, { recursive: true });
    return { original, copy };
  };

  it('leaves the checkpoints of the original alone when those of the copy are removed', async () => {
    const { original, copy } = await copied();
    await runCli(['checkpoints', 'rm', 'run-7', '--yes', '--directory', copy]);
    expect(await ids(copy)).toEqual([]);
    expect(await ids(original)).toEqual(['run-7']);
  });

  it('shows its own checkpoints when the original is gone', async () => {
    const { original, copy } = await copied();
    await rm(original, { recursive: true });
    expect(await ids(copy)).toEqual(['run-7']);
    const { out } = await runCli(['doctor', '--directory', copy]);
    expect(JSON.parse(out)).toEqual({ findings: [] });
  });

  it('keeps a place of checkpoints outside of it', async () => {
    const [directory, checkpoints] = [await bench.path('cache'), await bench.path('states')];
    await save(directory, join(checkpoints, 'here'));
    expect(await ids(directory)).toEqual(['run-7']);
  });
});
