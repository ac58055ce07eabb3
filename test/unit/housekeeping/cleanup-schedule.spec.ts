import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CheckpointCleaner } from '../../../lib/checkpoints/checkpoint-cleaner.js';
import { systemClock } from '../../../lib/clock/clock.js';
import { CheckpointCleanupTask, CleanupSchedule } from '../../../lib/housekeeping/checkpoint-cleanup.task.js';
import { checkpointsInMemory } from '../../support/checkpoints.js';

const DAY_MS = 86_400_000;
/** An hour at which the cleanup runs. */
const THREE = Date.UTC(2026, 0, 1, 3);

const planned = () => {
  const bench = checkpointsInMemory({ clock: systemClock });
  const cleaner = (): CheckpointCleaner => new CheckpointCleaner(() => bench.store, systemClock, bench.events);
  const task = new CheckpointCleanupTask({ cleaner, events: bench.events, isOwner: () => true });
  const failures: unknown[] = [];
  const schedule = new CleanupSchedule({
    task,
    timeZone: 'UTC',
    isNeeded: true,
    onFailure: (error) => failures.push(error),
  });
  return { ...bench, task, schedule, failures };
};

/** Lets the machine's clock and the timers of cron go on; what fell due has then run as far as it can. */
const pass = async (ms: number): Promise<void> => {
  await jest.advanceTimersByTimeAsync(ms);
  for (let turn = 0; turn < 3; turn += 1) await nextTurn();
};

const passDays = async (days: number): Promise<void> => {
  for (let day = 0; day < days; day += 1) await pass(DAY_MS);
};

describe('the job that cleans up checkpoints', () => {
  beforeEach(() => {
    jest.useFakeTimers({ now: THREE, doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance'] });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('removes at its hour what is older than seven days, to the millisecond', async () => {
    const { service, schedule, events, failures } = planned();
    jest.setSystemTime(THREE - 1);
    await service.cacheCheckpoint('a millisecond older', 1);
    jest.setSystemTime(THREE);
    await service.cacheCheckpoint('seven days old', 1);
    await schedule.start();
    await passDays(6);
    expect(events.of('cleanup')).toHaveLength(6);
    expect((await service.list()).items).toHaveLength(2);
    await pass(DAY_MS - 1);
    expect(events.of('cleanup')).toHaveLength(6);
    await pass(1);
    await schedule.stop();
    expect(Date.now()).toBe(THREE + 7 * DAY_MS);
    expect(events.of('cleanup').map(({ removed }) => removed)).toEqual([0, 0, 0, 0, 0, 0, 1]);
    expect((await service.list()).items.map(({ id }) => id)).toEqual(['seven days old']);
    expect(failures).toEqual([]);
  });

  it('does not run any more once it was stopped', async () => {
    const { schedule, events } = planned();
    await schedule.start();
    await passDays(1);
    await schedule.stop();
    await passDays(3);
    expect(events.of('cleanup')).toHaveLength(1);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('leaves out the hours that come while it still runs', async () => {
    const { service, environment, schedule, task, events } = planned();
    await service.cacheCheckpoint('old', 1);
    const waiting: (() => void)[] = [];
    environment.beforeCommit = () => new Promise((resolve) => void waiting.push(resolve));
    await schedule.start();
    await passDays(8);
    await passDays(2);
    expect(events.of('cleanup')).toHaveLength(7);
    environment.beforeCommit = undefined;
    for (const goOn of waiting) goOn();
    await task.run();
    await pass(0);
    expect(events.of('cleanup')).toHaveLength(8);
    expect(events.of('cleanup').at(-1)).toMatchObject({ removed: 1 });
    await schedule.stop();
  });
});
