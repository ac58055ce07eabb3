import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import { CacheManager, CheckpointCleanupTask, LaneCacheModule } from '../../lib/index.js';
import { CLEANUP_JOB } from '../../lib/housekeeping/checkpoint-cleanup.task.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';

const DAY_MS = 86_400_000;
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lane-cache-cleanup-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
});

describe('the cleanup of checkpoints in a Nest app', () => {
  it('is a job of the app that has a scheduler, and gone from it when the app closes', async () => {
    const module = await Test.createTestingModule({
      imports: [ScheduleModule.forRoot(), LaneCacheModule.forRoot({ directory, logger: false })],
    }).compile();
    const app = await module.init();
    const registry = app.get(SchedulerRegistry);
    const job = registry.getCronJob(CLEANUP_JOB);
    expect(job.isActive).toBe(true);
    expect(job.nextDate().hour).toBe(3);
    await app.close();
    expect(registry.doesExist('cron', CLEANUP_JOB)).toBe(false);
    expect(job.isActive).toBe(false);
  });

  it('can be planned otherwise, or not at all', async () => {
    const hourly = await Test.createTestingModule({
      imports: [
        ScheduleModule.forRoot(),
        LaneCacheModule.forRoot({ directory, logger: false, checkpoints: { cleanup: '15 * * * *' } }),
      ],
    }).compile();
    await hourly.init();
    expect(hourly.get(SchedulerRegistry).getCronJob(CLEANUP_JOB).nextDate().minute).toBe(15);
    await hourly.close();
    const never = await Test.createTestingModule({
      imports: [
        ScheduleModule.forRoot(),
        LaneCacheModule.forRoot({ directory, logger: false, checkpoints: { cleanup: false } }),
      ],
    }).compile();
    await never.init();
    expect(never.get(SchedulerRegistry).doesExist('cron', CLEANUP_JOB)).toBe(false);
    await never.close();
  });

  it('boots and closes the same without a scheduler', async () => {
    const module = await Test.createTestingModule({
      imports: [LaneCacheModule.forRoot({ directory, logger: false })],
    }).compile();
    const app = await module.init();
    expect(await app.get(CheckpointCleanupTask).run()).toMatchObject({ removed: 0, dryRun: false });
    await app.close();
  });

  it('refuses a schedule that is none at boot, and leaves the directory free', async () => {
    const settings = { directory, logger: false, checkpoints: { cleanup: 'every day' } } as const;
    await expect(CacheManager.fromSettings(settings)).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      field: 'checkpoints.cleanup',
    });
    const cache = await CacheManager.fromSettings({ directory, logger: false });
    expect((await cache.getCheckpointCacheStatus()).state).toBe('on');
    await cache.close();
  });

  it('removes what is older than seven days to the millisecond, and keeps what is pinned', async () => {
    const clock = new FakeClock();
    const module = await Test.createTestingModule({
      imports: [LaneCacheModule.forRoot({ directory, logger: false, clock })],
    }).compile();
    const app = await module.init();
    const { snapshots } = app.get(CacheManager);
    await snapshots.cacheCheckpoint('older', { step: 1 }, 'docs');
    await snapshots.cacheCheckpoint('pinned', { step: 1 }, 'heavy');
    await snapshots.pin('pinned');
    clock.step(1);
    await snapshots.cacheCheckpoint('exactly', { step: 2 }, 'standard');
    clock.step(7 * DAY_MS);
    const report = await app.get(CheckpointCleanupTask).run();
    expect(report).toMatchObject({ removed: 1, pinnedKept: 1 });
    expect(await snapshots.restoreCheckpoint('older')).toBeUndefined();
    expect(await snapshots.restoreCheckpoint('exactly')).toEqual({ step: 2 });
    expect(await snapshots.restoreCheckpoint('pinned')).toEqual({ step: 1 });
    await app.close();
  });
});
