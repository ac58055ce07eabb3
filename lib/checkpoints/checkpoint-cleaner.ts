import { type Clock, nextTurn } from '../clock/clock.js';
import { onRejection } from '../clock/promises.js';
import type { EventSink } from '../events/event-map.js';
import type { ReportFault } from '../events/reasons.js';
import { defined } from '../options/options-shape.js';
import type { CleanupOptions } from './checkpoint.js';
import { toRule } from './checkpoint-validation.js';
import { storedBytesOf, type CheckpointStore, type CleanupPosition, type DueVersion } from './checkpoint-store.js';
import { daysOf, type RetentionOptions } from './retention.js';

const MAX_LISTED = 1_000;

/** The result of a cleanup. */
export interface CleanupTally {
  readonly removed: number;
  readonly bytes: number;
  readonly pinnedKept: number;
  /** Of how many ids the newest version is among them. Their workflows can no longer resume. */
  readonly newestOfId: number;
  /** The first 1,000. */
  readonly due: readonly DueVersion[];
}

/** How a caller follows a cleanup, and ends it after the slice under way. */
interface CleanupWatch {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((removed: number) => void) | undefined;
}

interface Pass extends CleanupWatch {
  /** The ids whose newest version is removed. Where versions go one by one, each becomes the newest in its turn. */
  readonly headless: Set<string>;
}

const NOTHING: CleanupTally = { removed: 0, bytes: 0, pinnedKept: 0, newestOfId: 0, due: [] };

/**
 * Removes the versions that are due, slice by slice. Other work gets its turn in between. A cleanup that is killed has
 * removed whole slices.
 */
export class CheckpointCleaner {
  constructor(
    private readonly store: () => CheckpointStore,
    private readonly clock: Clock,
    private readonly events: EventSink,
    /** What a call that names no rule of its own goes by. */
    private readonly retention: RetentionOptions = {},
  ) {}

  async clean(options: CleanupOptions, watch: CleanupWatch = {}): Promise<CleanupTally> {
    const { keepLast, keepUnfinished } = this.retention;
    const rules: CleanupOptions = { ...defined({ keepLast, keepUnfinished }), ...options };
    const maxAgeDays = options.maxAgeDays ?? this.retention.maxAgeDays;
    const headless = new Set<string>();
    if (typeof maxAgeDays !== 'object' || options.lane !== undefined)
      return this.pass(rules, daysOf(maxAgeDays, options.lane ?? ''), { ...watch, headless }, NOTHING);
    let total = NOTHING;
    // One lane after the other leaves the disk to the app.
    for (const lane of await this.lanes()) {
      if (watch.signal?.aborted === true) break;
      total = await this.pass({ ...rules, lane }, daysOf(maxAgeDays, lane), { ...watch, headless }, total);
    }
    return total;
  }

  /** Adds what one pass removes to `before`. */
  private async pass(
    rules: CleanupOptions,
    days: number,
    { signal, onProgress, headless }: Pass,
    before: CleanupTally,
  ): Promise<CleanupTally> {
    const rule = toRule(rules, days, this.clock.now());
    let total = before;
    let from: CleanupPosition | undefined;
    for (;;) {
      const { removed, pinnedKept, next } = await this.store().clean(rule, from);
      const already = headless.size;
      for (const { record, isNewest } of removed) if (isNewest) headless.add(record.id);
      const newestOfId = headless.size - already;
      const bytes = removed.reduce((sumOfBytes, { record }) => sumOfBytes + storedBytesOf(record), 0);
      total = sum(total, { removed: removed.length, bytes, pinnedKept, newestOfId, due: removed });
      if (rule.mode === 'remove') this.emitRemoved(removed);
      onProgress?.(total.removed);
      from = next;
      if (from === undefined || signal?.aborted === true) return total;
      await nextTurn();
    }
  }

  /** The lanes that have checkpoints. */
  private async lanes(): Promise<readonly string[]> {
    return Object.keys((await this.store().usage(this.clock.now())).lanes);
  }

  private emitRemoved(removed: readonly DueVersion[]): void {
    if (!this.events.wants('checkpoint')) return;
    for (const { record } of removed)
      this.events.emit('checkpoint', { action: 'removed', id: record.id, version: record.version });
  }
}

/** The function of a caller that follows a cleanup. Its failure is reported once, and does not end the cleanup. */
export function untilItFails(
  onProgress: (removed: number) => unknown,
  report: ReportFault | undefined,
): (removed: number) => void {
  let hasFailed = false;
  const fail = (error: unknown): void => {
    if (hasFailed) return;
    hasFailed = true;
    const detail = "'onProgress' of a cleanup failed. The cleanup continues without it.";
    report?.({ collaborator: 'listener', detail, error });
  };
  return (removed) => {
    if (hasFailed) return;
    try {
      onRejection(onProgress(removed), fail);
    } catch (error) {
      fail(error);
    }
  };
}

const sum = (one: CleanupTally, other: CleanupTally): CleanupTally => ({
  removed: one.removed + other.removed,
  bytes: one.bytes + other.bytes,
  pinnedKept: one.pinnedKept + other.pinnedKept,
  newestOfId: one.newestOfId + other.newestOfId,
  due: one.due.length >= MAX_LISTED ? one.due : [...one.due, ...other.due].slice(0, MAX_LISTED),
});
