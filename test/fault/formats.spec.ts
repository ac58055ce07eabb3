import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { chmod, cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import type { LaneCacheOptions } from '../../lib/index.js';
import { systemClock } from '../../lib/clock/clock.js';
import { FORMAT_KEY, FORMAT_TABLE, openEnvironment } from '../../lib/storage/lmdb/open-environment.js';
import { tell } from '../support/fault-table.js';
import { RecordingReporter, StorageBench } from '../support/storage.js';

describe('directories of earlier formats', () => {
  const bench = new StorageBench();
  const managers: CacheManager[] = [];
  let formats: readonly string[] = [];
  beforeAll(async () => {
    formats = (await readdir('test/fixtures')).filter((name) => name.startsWith('format-'));
  });
  afterAll(async () => {
    await Promise.all(managers.map((cache) => cache.close()));
    await bench.dispose();
  });

  const copied = async (format: string): Promise<string> => {
    const directory = await bench.path('cache');
    await cp(join('test/fixtures', format), directory, { recursive: true });
    await chmod(directory, 0o700);
    return directory;
  };

  const open = async (directory: string, checkpoints: LaneCacheOptions['checkpoints'] = {}): Promise<CacheManager> => {
    const storage = { minFreeBytes: 0, sweepEvery: false } as const;
    const cache = await CacheManager.fromSettings({ directory, storage, checkpoints });
    managers.push(cache);
    return cache;
  };

  it('give back every entry as it was stored, and nothing that was invalidated', async () => {
    expect(formats).toContain('format-1');
    for (const format of formats) {
      const cache = await open(await copied(format));
      expect(await cache.get('plain')).toEqual({ text: 'plain', at: new Date(0), tags: new Set(['a', 'b']) });
      expect(await cache.get('odd \u0000 ключ 😀')).toEqual(new Map([['x', 1n]]));
      expect(await cache.get('large')).toBe('x'.repeat(30_000));
      expect(await cache.get('long '.repeat(500))).toBe('by its hash');
      expect(await cache.get('red again')).toBe('red again');
      expect(await cache.get('gone')).toBeUndefined();
      expect(cache.getMetrics().l3.hits).toBe(5);
      await cache.invalidateByTag('kept');
      expect(await cache.get('plain')).toBeUndefined();
    }
  });

  it('give back every checkpoint as it was saved, and take further ones', async () => {
    for (const format of formats) {
      const { snapshots } = await open(await copied(format));
      expect(await snapshots.restoreCheckpoint('flow')).toEqual({ n: 2, big: 'y'.repeat(30_000) });
      expect(await snapshots.restoreCheckpoint('flow', { version: 1 })).toEqual({ n: 1, at: new Date(0) });
      expect(await snapshots.restoreCheckpoint('pinned 😀')).toEqual([1, 2, 3]);
      expect((await snapshots.list({ workflow: 'render' })).items).toHaveLength(3);
      expect((await snapshots.cacheCheckpoint('flow', 3)).version).toBe(3);
    }
    tell({
      fault: 'F19 earlier formats',
      rounds: formats.length,
      calls: 14 * formats.length,
      wrong: 0,
      lost: 0,
      crashes: 0,
    });
  });

  it('take steps, leases, labels and forks beside what they hold, and start its workflows over', async () => {
    for (const format of formats) {
      const directory = await copied(format);
      const cache = await open(directory, { retention: { keepVersions: 1, keepUnfinished: true } });
      const { snapshots } = cache;
      expect(
        (await snapshots.list({ metadata: { by: 'fixture' } })).items.map(({ id, version }) => [id, version]),
      ).toEqual([
        ['pinned 😀', 1],
        ['flow', 2],
        ['flow', 1],
      ]);
      expect(await snapshots.runStep('flow', () => 'not run', { workflow: 'render' })).toMatchObject({ n: 2 });
      expect(await snapshots.runStep('step', () => 'ran', { workflow: 'render', exclusive: true })).toBe('ran');
      expect(await snapshots.fork('flow', 'fork', { version: 1 })).toMatchObject({
        parent: { id: 'flow', version: 1 },
      });
      expect((await snapshots.cacheCheckpoint('flow', 3, { expectedVersion: 2 })).version).toBe(3);
      // The newest of the unfinished workflow stays, and the one before it went.
      expect((await snapshots.history('flow')).map(({ version }) => version)).toEqual([3, 2]);
      await snapshots.finish('render');
      expect((await snapshots.cleanupOldCheckpoints({ maxAgeDays: 0, dryRun: true })).checkpoints).toBeDefined();
      expect(await snapshots.invalidateWorkflow('render')).toBe(3);
      expect((await snapshots.list()).items.map(({ id }) => id)).toEqual(['flow', 'fork']);
      await cache.close();
      const { snapshots: reopened } = await open(directory);
      expect(await reopened.restoreCheckpoint('fork')).toEqual({ n: 1, at: new Date(0) });
      expect((await reopened.getCheckpointCacheStatus()).versions).toBe(2);
    }
  });

  it('of a later version are set aside as a cache, and refused as checkpoints', async () => {
    const directory = await copied('format-1');
    for (const part of ['l3', 'checkpoints']) {
      const environment = await openEnvironment({
        directory: join(directory, part),
        durability: 'durable',
        clock: systemClock,
        minFreeBytes: 0,
        report: new RecordingReporter(),
        onMarkerLeft: 'probe',
      });
      const table = environment.table(FORMAT_TABLE);
      await environment.commit((transaction) => transaction.put(table, FORMAT_KEY, Buffer.from('nestjs-lane-cache 2')));
      await environment.close();
    }
    await expect(open(directory)).rejects.toMatchObject({ code: 'FORMAT_UNSUPPORTED' });
    expect((await readdir(directory)).filter((name) => name.includes('.bad-'))).toEqual([
      expect.stringMatching(/^l3\.bad-/),
    ]);
    const elsewhere = await bench.path('elsewhere');
    const cache = await CacheManager.fromSettings({ directory, checkpoints: { directory: elsewhere } });
    managers.push(cache);
    expect(await cache.getOrSet('plain', () => 'fresh')).toBe('fresh');
  });
});
