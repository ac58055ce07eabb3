import { CheckpointCleaner } from './checkpoints/checkpoint-cleaner.js';
import type { CheckpointStore } from './checkpoints/checkpoint-store.js';
import { CheckpointCleanupTask } from './housekeeping/checkpoint-cleanup.task.js';
import { CleanupSchedule, type JobRegistry } from './housekeeping/cleanup-schedule.js';
import type { Disk } from './lane-cache.disk.js';
import type { Foundations } from './lane-cache.foundations.js';

/** The cleanup of one app's checkpoints: the task, and the hour at which it runs by itself. */
export interface Cleanup {
  readonly task: CheckpointCleanupTask;
  /** Plans the task, also in `registry` if there is one. Once. */
  plan(registry?: JobRegistry): void;
  /** Resolves when nothing is planned and nothing runs. */
  stop(): Promise<void>;
}

/** Throws OPTIONS_INVALID for a schedule that is none. */
export function cleanupOf(
  { options, clock, events, warnOnce }: Foundations,
  disk: Disk,
  store: () => CheckpointStore,
): Cleanup {
  const { retentionDays, cleanup, timeZone } = options.checkpoints === false ? {} : (options.checkpoints ?? {});
  const isShared = options.checkpoints !== false && options.checkpoints?.store === 'distributed';
  const isAlone = isShared || options.directory === false;
  const task = new CheckpointCleanupTask({
    cleaner: new CheckpointCleaner(store, clock, events),
    events,
    isOwner: () => (isAlone || disk.journal !== undefined) && store().state.state === 'on',
    ...(retentionDays === undefined ? {} : { retentionDays }),
  });
  const isOff = cleanup === false || options.checkpoints === false;
  const isNowhere = options.directory === false && !isShared;
  const onFailure = (error: unknown): void => {
    const text = error instanceof Error ? error.message : String(error);
    warnOnce(`cleanup:${text}`, `The cleanup of checkpoints failed and will be tried again as planned: ${text}`);
  };
  const plan = (registry?: JobRegistry): CleanupSchedule =>
    new CleanupSchedule({
      task,
      onFailure,
      ...(cleanup === undefined || cleanup === false ? {} : { cron: cleanup }),
      ...(timeZone === undefined ? {} : { timeZone }),
      ...(registry === undefined ? {} : { registry }),
    });
  // A schedule that is none must fail at boot, whoever plans it later.
  if (!isOff) plan();
  let planned: CleanupSchedule | undefined;
  return {
    task,
    plan: (registry) => {
      if (isOff || isNowhere || planned !== undefined) return;
      planned = plan(registry);
      planned.start();
    },
    stop: async () => {
      await (planned === undefined ? task.stop() : planned.stop());
    },
  };
}
