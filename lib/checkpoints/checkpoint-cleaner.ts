import { type Clock, nextTurn } from '../clock/clock.js';
import type { EventSink } from '../events/event-map.js';
import type { CleanupOptions } from './checkpoint.js';
import { toRule } from './checkpoint-validation.js';
import type { CheckpointRecord, CheckpointStore, CleanupPosition } from './checkpoint-store.js';

const MAX_LISTED = 1_000;

/** The result of a cleanup. */
export interface CleanupTally {
  readonly removed: number;
  readonly bytes: number;
  readonly pinnedKept: number;
  /** How many of the removed were the newest version of their id. Their workflows can no longer resume. */
  readonly newestOfId: number;
  /** The first 1,000. */
  readonly records: readonly CheckpointRecord[];
}

/**
 * Removes the versions that are due, slice by slice. Other work gets its turn in between. A cleanup that is killed has
 * removed whole slices.
 */
export class CheckpointCleaner {
  constructor(
    private readonly store: () => CheckpointStore,
    private readonly clock: Clock,
    private readonly events: EventSink,
  ) {}

  async clean(options: CleanupOptions, signal?: AbortSignal): Promise<CleanupTally> {
    const rule = toRule(options, this.clock.now());
    const records: CheckpointRecord[] = [];
    let [removed, bytes, pinnedKept, newestOfId] = [0, 0, 0, 0];
    let from: CleanupPosition | undefined;
    for (;;) {
      const slice = await this.store().clean(rule, from);
      removed += slice.removed.length;
      newestOfId += slice.newestOfId;
      pinnedKept += slice.pinnedKept;
      for (const record of slice.removed) {
        bytes += record.sizeBytes;
        if (records.length < MAX_LISTED) records.push(record);
      }
      if (rule.mode === 'remove') this.emitRemoved(slice.removed);
      from = slice.next;
      if (from === undefined || signal?.aborted === true) break;
      await nextTurn();
    }
    return { removed, bytes, pinnedKept, newestOfId, records };
  }

  /** The lanes that have checkpoints. */
  async lanes(): Promise<readonly string[]> {
    return Object.keys((await this.store().usage(this.clock.now())).lanes);
  }

  private emitRemoved(removed: readonly CheckpointRecord[]): void {
    if (!this.events.wants('checkpoint')) return;
    for (const { id, version } of removed) this.events.emit('checkpoint', { action: 'removed', id, version });
  }
}
