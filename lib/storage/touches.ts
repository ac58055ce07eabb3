import type { EntryBatch } from './entry-batch.js';

const MANY = 4096;

/** Uses that are not yet in the order of recency, the oldest first. */
export class Touches {
  private readonly lanes = new Map<string, Map<string, number>>();
  private size = 0;

  /** Whether they should be written down before there are more. */
  get areMany(): boolean {
    return this.size >= MANY;
  }

  get isEmpty(): boolean {
    return this.size === 0;
  }

  note(lane: string, key: string): void {
    let uses = this.lanes.get(lane);
    if (uses === undefined) this.lanes.set(lane, (uses = new Map<string, number>()));
    const before = uses.get(key);
    if (before === undefined) this.size++;
    else uses.delete(key);
    uses.set(key, (before ?? 0) + 1);
  }

  /** As many as fit before the batch is spent. */
  applyTo(batch: EntryBatch, isSpent: () => boolean): void {
    for (const [lane, touched] of this.lanes) {
      for (const [key, uses] of touched) {
        if (isSpent()) return;
        touched.delete(key);
        this.size--;
        batch.touch(lane, key, uses);
      }
    }
  }
}
