import type { CheckpointCleaner } from '../checkpoints/checkpoint-cleaner.js';
import type { CleanupReport } from '../checkpoints/checkpoint.js';
import type { EventSink } from '../events/event-map.js';

/** Days, for all lanes or by lane; lanes that a record leaves out keep 7. false = for ever. */
export type RetentionDays = number | false | Readonly<Record<string, number | false>>;

export interface CheckpointCleanupOptions {
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
