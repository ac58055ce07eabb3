import { CronJob } from 'cron';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { CheckpointCleanupTask } from './checkpoint-cleanup.task.js';

/** Where jobs can be seen and stopped by name. The front door puts Nest's SchedulerRegistry behind it, if there is one. */
export interface JobRegistry {
  add(name: string, job: CronJob): void;
  remove(name: string): void;
}

export interface CleanupScheduleOptions {
  readonly task: CheckpointCleanupTask;
  /** A cron expression. Default: daily at 03:00, `0 3 * * *`. */
  readonly cron?: string;
  /** An IANA name. Default: the machine's. */
  readonly timeZone?: string;
  readonly registry?: JobRegistry;
  /** Told when a run fails; the next one is tried as planned. */
  readonly onFailure: (error: unknown) => void;
}

/** Under this name the job stands in the registry. */
export const CLEANUP_JOB = 'lane-cache:checkpoint-cleanup';
const DAILY = '0 3 * * *';

/** Runs the cleanup when its hour comes; keeps no process alive. */
export class CleanupSchedule {
  private readonly job: CronJob;

  /** Throws `OPTIONS_INVALID` for an expression or a time zone that is none. */
  constructor(private readonly options: CleanupScheduleOptions) {
    this.job = toJob(options);
  }

  start(): void {
    this.options.registry?.add(CLEANUP_JOB, this.job);
    this.job.start();
  }

  /** Resolves when no run is under way any more. */
  async stop(): Promise<void> {
    this.options.registry?.remove(CLEANUP_JOB);
    await Promise.all([this.options.task.stop(), this.job.stop()]);
  }
}

function toJob({ task, cron = DAILY, timeZone, onFailure }: CleanupScheduleOptions): CronJob {
  try {
    return CronJob.from({
      name: CLEANUP_JOB,
      cronTime: cron,
      ...(timeZone !== undefined && { timeZone }),
      onTick: async () => {
        await task.run().catch(onFailure);
      },
      unrefTimeout: true,
      waitForCompletion: true,
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it is no schedule';
    throw new LaneCacheError(
      'OPTIONS_INVALID',
      `checkpoints.cleanup '${cron}'${timeZone === undefined ? '' : ` with checkpoints.timeZone '${timeZone}'`} is no schedule: ${why}. Give a cron expression such as '${DAILY}', or false.`,
      { field: 'checkpoints.cleanup', cause },
    );
  }
}
