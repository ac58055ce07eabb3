import type { EntryBatch } from './entry-batch.js';
import type { LaneLimits } from './lane-limits.js';
import type { LaneRules, StoredRecord } from './lane-rules.js';

/** So many may leave for one that comes before the turn is given up: a large entry can push out thousands of small ones. */
const EVICTED_AT_ONCE = 128;

/** Puts entries into batches of one lane, by its rules. */
export class LaneWriter {
  constructor(
    private readonly lane: string,
    private readonly rules: LaneRules,
    private readonly limits: LaneLimits,
  ) {}

  get compressFrom(): number | undefined {
    return this.rules.compressFrom;
  }

  /** What is larger than the whole lane is not stored; what it would have replaced goes just the same. */
  put(batch: EntryBatch, record: StoredRecord, bytes: Uint8Array): void {
    if (bytes.length > this.rules.maxBytes) batch.remove(this.lane, record.key);
    else batch.put(this.lane, record, bytes);
  }

  /** Returns whether there may be more to evict with the next batch. */
  evict(batch: EntryBatch): boolean {
    return this.limits.enforce(batch, this.lane, this.rules, EVICTED_AT_ONCE) === EVICTED_AT_ONCE;
  }
}
