import type { CheckpointCleaner } from '../checkpoints/checkpoint-cleaner.js';
import type { CleanupReport } from '../checkpoints/checkpoint.js';
import type { EventSink } from '../events/event-map.js';
import { CronJob } from 'cron';
import { LaneCacheError } from '../errors/lane-cache.error.js';

/** Days, for all lanes or by lane; lanes that a record leaves out keep 7. false = for ever. */
export type RetentionDays = number | false | Readonly<Record<string, number | false>>;

interface CheckpointCleanupOptions {
  readonly cleaner: CheckpointCleaner;
  readonly events: EventSink;
  /** Whether this process owns the checkpoint directory; only then is there anything to do. */
  readonly isOwner: () => boolean;
  /** Default 7. */
  readonly retentionDays?: RetentionDays;
}

const DEFAULT_DAYS = 7;
const NOTHING = { removed: 0, bytes: 0, pinnedKept: 0, newestOfId: 0 };

/** Removes, lane by lane, the checkpoints that are older than their lane keeps them, and those that have expired. */
export class CheckpointCleanupTask {
  private running: Promise<CleanupReport> | undefined;
  private readonly stopping = new AbortController();

  constructor(private readonly options: CheckpointCleanupOptions) {}

  /** Never overlaps itself: called while it runs, it gives the report of the run under way. */
  run(): Promise<CleanupReport> {
    this.running ??= this.clean().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  /** Ends a run after its current slice and lets no other do anything. Resolves when nothing runs; never rejects. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running?.catch(() => undefined);
  }

  private async clean(): Promise<CleanupReport> {
    const { cleaner, events, isOwner } = this.options;
    const { signal } = this.stopping;
    let total = NOTHING;
    if (!isOwner() || signal.aborted) return toReport(total);
    for (const lane of await cleaner.lanes()) {
      if (signal.aborted) break;
      // oxlint-disable-next-line no-await-in-loop -- one lane after the other, to leave the disk to the app
      const tally = await cleaner.clean({ lane, maxAgeDays: this.daysOf(lane) }, signal);
      total = {
        removed: total.removed + tally.removed,
        bytes: total.bytes + tally.bytes,
        pinnedKept: total.pinnedKept + tally.pinnedKept,
        newestOfId: total.newestOfId + tally.newestOfId,
      };
    }
    events.emit('cleanup', { ...total, dryRun: false });
    return toReport(total);
  }

  /** Kept for ever still means until it expires. */
  private daysOf(lane: string): number {
    const { retentionDays = DEFAULT_DAYS } = this.options;
    const days = typeof retentionDays === 'object' ? (retentionDays[lane] ?? DEFAULT_DAYS) : retentionDays;
    return days === false ? Infinity : days;
  }
}

const toReport = ({ removed, bytes, pinnedKept }: typeof NOTHING): CleanupReport => ({
  removed,
  bytes,
  pinnedKept,
  dryRun: false,
});

/** Where jobs can be seen and stopped by name. The front door puts Nest's SchedulerRegistry behind it, if there is one. */
export interface JobRegistry {
  add(name: string, job: CronJob): void;
  remove(name: string): void;
}

interface CleanupScheduleOptions {
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
