import type { CronJob } from 'cron';
import type { CheckpointCleaner } from '../checkpoints/checkpoint-cleaner.js';
import type { CleanupReport } from '../checkpoints/checkpoint.js';
import { nextTurn } from '../clock/clock.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { EventSink } from '../events/event-map.js';

interface CleanupTaskOptions {
  readonly cleaner: () => CheckpointCleaner;
  readonly events: EventSink;
  /** Whether this process owns the checkpoint directory. Without it a run does nothing. */
  readonly isOwner: () => boolean;
}

const NOTHING = { removed: 0, bytes: 0, pinnedKept: 0, newestOfId: 0 };

/**
 * Removes what the settings no longer keep: the same cleanup that a call without options runs.
 *
 * @example
 * ```ts
 * const { removed } = await app.get(CheckpointCleanupTask).run();
 * ```
 */
export class CheckpointCleanupTask {
  private running: Promise<CleanupReport> | undefined;
  private readonly stopping = new AbortController();

  /** @internal The app creates it. */
  constructor(private readonly options: CleanupTaskOptions) {}

  /** Runs never overlap: a call during a run returns the report of that run. */
  run(): Promise<CleanupReport> {
    this.running ??= this.clean().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  /** Ends a run after its current slice, and makes later runs do nothing. Resolves when nothing runs. Never rejects. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running?.catch(() => undefined);
  }

  private async clean(): Promise<CleanupReport> {
    const { cleaner, events, isOwner } = this.options;
    const { signal } = this.stopping;
    if (!isOwner() || signal.aborted) return toReport(NOTHING);
    const { removed, bytes, pinnedKept, newestOfId } = await cleaner().clean({}, { signal });
    const total = { removed, bytes, pinnedKept, newestOfId };
    events.emit('cleanup', total);
    return toReport(total);
  }
}

const toReport = ({ removed, bytes, pinnedKept }: typeof NOTHING): CleanupReport => ({
  removed,
  bytes,
  pinnedKept,
  dryRun: false,
});

/** Where jobs can be seen and stopped by name. Under Nest it is the SchedulerRegistry, if the app has one. */
export interface JobRegistry {
  add(name: string, job: CronJob): void;
  remove(name: string): void;
}

interface CleanupScheduleOptions {
  readonly task: CheckpointCleanupTask;
  /** A cron expression. Default '0 3 * * *', daily at 03:00. false = the task runs only when it is called. */
  readonly cron?: string | false | undefined;
  /** An IANA name. Default: the machine's. */
  readonly timeZone?: string | undefined;
  /** Whether the app keeps checkpoints that can be cleaned up. */
  readonly isNeeded: boolean;
  /** Called when a run fails. The next run is tried as planned. */
  readonly onFailure: (error: unknown) => void;
}

/** The name of the job in the registry. */
export const CLEANUP_JOB = 'lane-cache:checkpoint-cleanup';
const DAILY = '0 3 * * *';

/** Runs the cleanup at its hours, without keeping the process alive. */
export class CleanupSchedule {
  readonly task: CheckpointCleanupTask;
  private planned:
    Promise<{ readonly job: CronJob; readonly registry: JobRegistry | undefined } | undefined> | undefined;

  constructor(private readonly options: CleanupScheduleOptions) {
    this.task = options.task;
  }

  /** Rejects with OPTIONS_INVALID for a cron expression or a time zone that is none. */
  async check(): Promise<void> {
    const { cron, timeZone } = this.options;
    if (cron !== false && (cron ?? timeZone) !== undefined) await toJob(this.options);
  }

  /** Plans the task once, and adds the job to `registry` if there is one. Resolves when it is planned; never rejects. */
  async start(registry?: JobRegistry): Promise<void> {
    if (this.options.cron === false || !this.options.isNeeded) return;
    this.planned ??= this.plan(registry);
    await this.planned;
  }

  /** Resolves when nothing is planned and nothing runs. */
  async stop(): Promise<void> {
    const planned = await this.planned;
    planned?.registry?.remove(CLEANUP_JOB);
    await Promise.all([this.task.stop(), planned?.job.stop()]);
  }

  private async plan(registry: JobRegistry | undefined) {
    try {
      // Loading cron stops the loop for longer than opening an app, so that goes first.
      if (registry === undefined) await nextTurn();
      const job = await toJob(this.options);
      registry?.add(CLEANUP_JOB, job);
      job.start();
      return { job, registry };
    } catch (error) {
      this.options.onFailure(error);
      return undefined;
    }
  }
}

/** Loads `cron`. */
async function toJob({ task, cron, timeZone, onFailure }: CleanupScheduleOptions): Promise<CronJob> {
  const { CronJob } = await import('cron');
  const cronTime = cron === undefined || cron === false ? DAILY : cron;
  try {
    return CronJob.from({
      name: CLEANUP_JOB,
      cronTime,
      ...(timeZone !== undefined && { timeZone }),
      onTick: async () => {
        await task.run().catch(onFailure);
      },
      unrefTimeout: true,
      waitForCompletion: true,
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.replace(/\.$/, '') : 'it cannot be parsed';
    throw new LaneCacheError(
      'OPTIONS_INVALID',
      `checkpoints.cleanup '${cronTime}'${timeZone === undefined ? '' : ` with checkpoints.timeZone '${timeZone}'`} is no schedule: ${why}. Give a cron expression such as '${DAILY}', or false.`,
      { field: 'checkpoints.cleanup', cause },
    );
  }
}
