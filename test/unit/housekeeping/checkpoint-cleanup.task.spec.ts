import { describe, expect, it } from '@jest/globals';
import { CheckpointCleaner } from '../../../lib/checkpoints/checkpoint-cleaner.js';
import {
  CheckpointCleanupTask,
  CLEANUP_JOB,
  CleanupSchedule,
  type JobRegistry,
} from '../../../lib/housekeeping/checkpoint-cleanup.task.js';
import type { RetentionOptions } from '../../../lib/checkpoints/retention.js';
import { checkpointsInMemory } from '../../support/checkpoints.js';

type Job = Parameters<JobRegistry['add']>[1];

const withTask = (retention: RetentionOptions = {}, isOwner = () => true) => {
  const bench = checkpointsInMemory();
  const cleaner = (): CheckpointCleaner =>
    new CheckpointCleaner(() => bench.store, bench.clock, bench.events, retention);
  const task = new CheckpointCleanupTask({ cleaner, events: bench.events, isOwner });
  return { ...bench, task };
};

class Jobs implements JobRegistry {
  readonly byName = new Map<string, Job>();
  add = (name: string, job: Job): void => void this.byName.set(name, job);
  remove = (name: string): void => void this.byName.delete(name);
}

describe('CheckpointCleanupTask', () => {
  it('keeps seven days and not a millisecond more', async () => {
    const { task, service, clock, events } = withTask();
    await service.cacheCheckpoint('old', 1, 'docs');
    await clock.advance('1ms');
    await service.cacheCheckpoint('of age', 1, 'heavy');
    await clock.advance('7d');
    expect(await task.run()).toMatchObject({ removed: 1, pinnedKept: 0, dryRun: false });
    expect((await service.list()).items.map(({ id }) => id)).toEqual(['of age']);
    await clock.advance('1ms');
    expect(await task.run()).toMatchObject({ removed: 1 });
    expect(events.of('cleanup')).toEqual([
      expect.objectContaining({ removed: 1, newestOfId: 1 }),
      expect.objectContaining({ removed: 1, newestOfId: 1 }),
    ]);
  });

  it('keeps the checkpoints of each lane for its retention, or for ever', async () => {
    const { task, service, clock } = withTask({ maxAgeDays: { docs: 1, heavy: false } });
    for (const lane of ['docs', 'standard', 'heavy']) await service.cacheCheckpoint(lane, 1, lane);
    await service.cacheCheckpoint('expired', 1, { lane: 'heavy', ttl: '1h' });
    await clock.advance('2d');
    await task.run();
    expect((await service.list()).items.map(({ id }) => id)).toEqual(['heavy', 'standard']);
    await clock.advance('6d');
    await task.run();
    expect((await service.list()).items.map(({ id }) => id)).toEqual(['heavy']);
  });

  it('counts the removed checkpoints that were the newest of their id', async () => {
    const { task, service, clock, events } = withTask();
    for (const id of ['a', 'a', 'b', 'pinned']) await service.cacheCheckpoint(id, 1);
    await service.pin('pinned');
    await clock.advance('4d');
    await service.cacheCheckpoint('a', 2);
    await clock.advance('4d');
    expect(await task.run()).toMatchObject({ removed: 3, pinnedKept: 1 });
    expect(events.of('cleanup')).toEqual([expect.objectContaining({ removed: 3, newestOfId: 1, pinnedKept: 1 })]);
  });

  it('never overlaps itself', async () => {
    const { task, service, clock, events } = withTask();
    await service.cacheCheckpoint('a', 1);
    await clock.advance('8d');
    const [first, second] = await Promise.all([task.run(), task.run()]);
    expect(second).toBe(first);
    expect(events.of('cleanup')).toHaveLength(1);
  });

  it('does nothing where the directory belongs to another process, and after it was stopped', async () => {
    let isOwner = false;
    const { task, service, clock, events } = withTask({}, () => isOwner);
    await service.cacheCheckpoint('a', 1);
    await clock.advance('8d');
    expect(await task.run()).toMatchObject({ removed: 0 });
    isOwner = true;
    await task.stop();
    expect(await task.run()).toMatchObject({ removed: 0 });
    expect(events.of('cleanup')).toEqual([]);
  });
});

describe('CleanupSchedule', () => {
  it('is a job that can be seen, fired and stopped by name', async () => {
    const { task, service, clock, events } = withTask();
    const registry = new Jobs();
    const schedule = new CleanupSchedule({
      task,
      isNeeded: true,
      cron: '0 3 * * *',
      timeZone: 'UTC',
      onFailure: () => undefined,
    });
    await schedule.start(registry);
    const job = registry.byName.get(CLEANUP_JOB);
    expect(job?.nextDate().toUTC().hour).toBe(3);
    expect(job?.isActive).toBe(true);
    await service.cacheCheckpoint('a', 1);
    await clock.advance('8d');
    await job?.fireOnTick();
    expect(events.of('cleanup')).toEqual([expect.objectContaining({ removed: 1 })]);
    await schedule.stop();
    expect(registry.byName.size).toBe(0);
    expect(job?.isActive).toBe(false);
  });

  it('reports a run that failed', async () => {
    const failures: unknown[] = [];
    const { task, service, environment, clock } = withTask();
    await service.cacheCheckpoint('a', 1);
    await clock.advance('8d');
    const fault = new Error('broken');
    environment.failNext = fault;
    const registry = new Jobs();
    const schedule = new CleanupSchedule({ task, isNeeded: true, onFailure: (error) => failures.push(error) });
    await schedule.start(registry);
    await registry.byName.get(CLEANUP_JOB)?.fireOnTick();
    expect(failures).toEqual([fault]);
    await schedule.stop();
  });

  it.each([
    ['every day at noon', undefined],
    ['0 3 * * *', 'Mars/Olympus'],
  ])('refuses %s in %s at boot', async (cron, timeZone) => {
    const { task } = withTask();
    const options = {
      task,
      cron,
      isNeeded: true,
      onFailure: () => undefined,
      ...(timeZone !== undefined && { timeZone }),
    };
    await expect(new CleanupSchedule(options).check()).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });
});
