import type { CheckpointRecord, UsageCounts } from '../checkpoints/checkpoint-store.js';

/** Whether the version has outlived its ttl. One of exactly its ttl has not. */
export const hasExpired = ({ expiresAt }: CheckpointRecord, now: number): boolean =>
  expiresAt !== undefined && now > expiresAt;

/** Adds up versions. */
export class Tally {
  private readonly ids = new Set<string>();
  private versions = 0;
  private bytes = 0;
  private oldest = Infinity;
  private newest = -Infinity;

  add(record: CheckpointRecord, now: number): void {
    if (!hasExpired(record, now) && !record.damaged) this.ids.add(record.id);
    this.versions++;
    this.bytes += record.sizeBytes;
    this.oldest = Math.min(this.oldest, record.savedAt);
    this.newest = Math.max(this.newest, record.savedAt);
  }

  get counts(): UsageCounts {
    const { ids, versions, bytes, oldest, newest } = this;
    return { ids: ids.size, versions, bytes, ...(versions > 0 && { oldest, newest }) };
  }
}
