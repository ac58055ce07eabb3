import type { EntryBatch } from './entry-batch.js';

/** So many uses are taken down as they come before they are put in order: most are overtaken by the key's next use. */
const UNORDERED = 16_384;
/** Writing a use down costs about as much as an entry, so it waits until there are so many to write. */
const MANY = 8_192;

/** The uses of one lane. */
class LaneUses {
  /** As they came. */
  unordered: string[] = [];
  /** How often each key was used, the one used last first. */
  ordered: (readonly [key: string, uses: number])[] = [];

  order(): void {
    const { unordered, ordered: earlier } = this;
    if (unordered.length === 0) return;
    const uses = new Map<string, number>();
    for (let at = unordered.length - 1; at >= 0; at--) {
      const key = unordered[at] ?? '';
      uses.set(key, (uses.get(key) ?? 0) + 1);
    }
    for (const [key, before] of earlier) uses.set(key, (uses.get(key) ?? 0) + before);
    this.ordered = [...uses];
    this.unordered = [];
  }
}

/** Uses that are not yet in the order of recency on disk. */
export class RecencyLog {
  private readonly lanes = new Map<string, LaneUses>();
  private unordered = 0;
  private ordered = 0;
  private isAsked = false;

  /** Whether they should be written down before there are more. */
  get areDue(): boolean {
    return this.ordered >= MANY || (this.isAsked && !this.isEmpty);
  }

  /** They are to be written down whether they are many or not. */
  ask(): void {
    this.isAsked = true;
  }

  get isEmpty(): boolean {
    return this.unordered + this.ordered === 0;
  }

  note(lane: string, key: string): void {
    let uses = this.lanes.get(lane);
    if (uses === undefined) this.lanes.set(lane, (uses = new LaneUses()));
    uses.unordered.push(key);
    this.unordered++;
    if (this.unordered === UNORDERED) this.order();
  }

  /** As many as fit before the batch is spent, the oldest first; what came since they were put in order waits its turn. */
  applyTo(batch: EntryBatch, isSpent: () => boolean): void {
    if (this.ordered === 0) this.order();
    for (const [lane, { ordered }] of this.lanes) {
      for (let oldest = ordered.at(-1); oldest !== undefined; oldest = ordered.at(-1)) {
        if (isSpent()) return;
        ordered.pop();
        this.ordered--;
        batch.touch(lane, ...oldest);
      }
    }
    if (this.isEmpty) this.isAsked = false;
  }

  private order(): void {
    if (this.unordered === 0) return;
    for (const uses of this.lanes.values()) uses.order();
    this.unordered = 0;
    this.ordered = 0;
    for (const { ordered } of this.lanes.values()) this.ordered += ordered.length;
  }
}
