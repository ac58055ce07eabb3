import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

jest.unstable_mockModule('lmdb', () => {
  throw new Error('No native build was found for platform=linux arch=x64\n    loaded from: /app/node_modules/lmdb');
});
const { CacheManager, isLaneCacheError, LaneCacheModule } = await import('../../lib/index.js');
const { LaneCacheTestingModule } = await import('../../lib/testing/index.js');

describe('an installation without the binary of lmdb', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'lane-cache-'));
  });
  afterAll(() => rm(directory, { recursive: true, maxRetries: 5 }));

  it('caches in memory', async () => {
    const cache = await CacheManager.fromSettings({ directory: false });
    expect(await cache.getOrSet('k', () => 1)).toBe(1);
    expect(await cache.get('k')).toBe(1);
    await cache.close();
  });

  it('boots the testing module, with checkpoints', async () => {
    const app = await Test.createTestingModule({ imports: [LaneCacheTestingModule.forRoot()] }).compile();
    const { snapshots } = app.get(CacheManager);
    await snapshots.cacheCheckpoint('job', 1);
    expect(await snapshots.restoreCheckpoint('job')).toBe(1);
    await app.close();
  });

  it('refuses a directory with the platform, the cause and the command that installs the binary', async () => {
    const error: unknown = await CacheManager.fromSettings({ directory }).catch((reason: unknown) => reason);
    expect(isLaneCacheError(error, 'LMDB_UNAVAILABLE')).toBe(true);
    expect(error).toMatchObject({ field: 'directory', cause: { message: expect.stringContaining('No native build') } });
    const { message } = error as Error;
    expect(message).toContain(directory);
    expect(message).toContain(`${process.platform}-${process.arch}`);
    expect(message).toContain('No native build was found for platform=linux arch=x64');
    expect(message).toContain('npm ci --include=optional');
    expect(message).toContain('directory: false');
    expect(message).not.toContain('loaded from');
    expect(await readdir(directory)).toEqual([]);
  });

  it('fails the boot of a Nest app in the same way', async () => {
    const app = Test.createTestingModule({ imports: [LaneCacheModule.forRoot({ directory })] });
    await expect(app.compile()).rejects.toMatchObject({ code: 'LMDB_UNAVAILABLE' });
  });
});
