import { afterEach, expect, it } from '@jest/globals';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { nextTurn } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { until } from '../support/gate.js';
import { StorageBench } from '../support/storage.js';

/** Notes for how long each timer is to wait. */
class NotingClock extends FakeClock {
  readonly delays: number[] = [];

  override schedule(afterMs: number, run: () => void): () => void {
    this.delays.push(afterMs);
    return super.schedule(afterMs, run);
  }
}

/** The clock moves while the disk is at work. However slow that is, it is in time. */
const PATIENT = { minFreeBytes: 0, deadline: '1h' } as const;

const bench = new StorageBench();
afterEach(() => bench.dispose());

it('a directory that cannot be created is reported once, and used as soon as it can be created', async () => {
  const inTheWay = await bench.path('file');
  await writeFile(inTheWay, '');
  const directory = join(inTheWay, 'cache');
  const clock = new FakeClock();
  const lines: string[] = [];
  const note = (line: string): void => void lines.push(line);
  const logger = { log: () => undefined, warn: note, error: note };
  const cache = await CacheManager.fromSettings({ directory, clock, logger, storage: PATIENT });
  const reported: string[] = [];
  cache.events.on('tier', ({ tier, state }) => reported.push(`${tier} ${state}`));
  const state = () => [cache.getMetrics().l2, cache.getMetrics().l3].map((tier) => tier.state);

  for (let seconds = 0; seconds < 40; seconds++) {
    await clock.advance('1s');
    for (let n = 0; n < 5; n++) await nextTurn();
  }
  expect(await cache.getOrSet('k', () => 1)).toBe(1);
  await expect(cache.snapshots.cacheCheckpoint('flow', 1)).rejects.toMatchObject({ code: 'CHECKPOINTS_UNAVAILABLE' });
  expect([state(), reported]).toEqual([['off', 'off'], []]);
  expect(lines.filter((line) => line.includes(directory))).toHaveLength(1);

  await rm(inTheWay);
  const isOn = async (): Promise<boolean> =>
    reported.length === 2 && (await cache.getCheckpointCacheStatus()).state === 'on';
  for (let waits = 0; waits < 6_000 && !(await isOn()); waits++) {
    if (waits % 300 === 0) await clock.advance('60s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(reported.toSorted()).toEqual(['l2 on', 'l3 on']);
  expect(await cache.snapshots.cacheCheckpoint('flow', 1)).toMatchObject({ version: 1 });
  await cache.close();
});

it('a checkpoint folder that cannot be created is reported once, retried with back-off, and used once it exists', async () => {
  const [directory, inTheWay] = [await bench.path(), await bench.path('file')];
  await writeFile(inTheWay, '');
  const clock = new NotingClock();
  const checkpoints = { directory: join(inTheWay, 'checkpoints') };
  const lines: string[] = [];
  const note = (line: string): void => void lines.push(line);
  const logger = { log: () => undefined, warn: note, error: note };
  const cache = await CacheManager.fromSettings({
    directory,
    clock,
    logger,
    checkpoints,
    storage: PATIENT,
  });
  const isOn = async (): Promise<boolean> => (await cache.getCheckpointCacheStatus()).state === 'on';
  /** A second passes, for the clock and, in short, for the disk. */
  const second = async (): Promise<void> => {
    await clock.advance('1s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  };

  // the back-off doubles from a second on
  await until(async () => {
    await second();
    return clock.delays.includes(32_000);
  });
  expect(lines.filter((line) => line.includes('Checkpoints are off'))).toHaveLength(1);
  await rm(inTheWay);
  for (let n = 0; n < 20; n++) await second();
  expect(await isOn()).toBe(false);
  for (let waits = 0; waits < 6_000 && !(await isOn()); waits++) {
    if (waits % 300 === 0) await clock.advance('60s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(await cache.snapshots.cacheCheckpoint('flow', 1)).toMatchObject({ version: 1 });
  await cache.close();
});

it('a checkpoint folder in which LMDB is still open is used once LMDB has closed it', async () => {
  if (process.platform !== 'linux') return console.warn('Only Linux tells whose locks there are.');
  const [directory, folder] = [await bench.path(), await bench.path('checkpoints')];
  const { environment } = await bench.environment(folder, { durability: 'durable' });
  const options = { directory, checkpoints: { directory: folder }, storage: { minFreeBytes: 0 } };
  const cache = await CacheManager.fromSettings(options);
  const on = new Promise<void>((resolve) => {
    cache.events.on('tier', ({ tier, state }) => tier === 'checkpoints' && state === 'on' && resolve());
  });
  await expect(cache.snapshots.cacheCheckpoint('flow', 1)).rejects.toMatchObject({
    code: 'CHECKPOINTS_UNAVAILABLE',
    message: expect.stringContaining('this process has'),
  });
  await environment.close();
  await on;
  expect(await cache.snapshots.cacheCheckpoint('flow', 1)).toMatchObject({ version: 1 });
  await cache.close();
});
