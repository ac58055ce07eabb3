import type { EntryBatch } from './entry-batch.js';

/** Writing a use down costs about as much as an entry: most are overtaken by the key's next use before they have to be. */
const MANY = 16_384;

/** Uses that are not yet in the order of recency, the oldest first. */
export class Touches {
  private readonly lanes = new Map<string, Map<string, number>>();
  private size = 0;
  private isAsked = false;

  /** Whether they should be written down before there are more. */
  get areDue(): boolean {
    return this.size >= MANY || (this.isAsked && this.size > 0);
  }

  /** They are to be written down whether they are many or not. */
  ask(): void {
    this.isAsked = true;
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
    this.isAsked = false;
  }
}
