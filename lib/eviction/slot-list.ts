import { grown, NONE, type Slot, type SlotColumn } from './slots.js';

/** Slots in an order of their own, each at most once: the first is the next to go. */
export class SlotList implements SlotColumn {
  /** `UNLISTED` where the slot is not in the list. */
  private before = new Int32Array(0);
  private after = new Int32Array(0);
  private head: Slot = NONE;
  private tail: Slot = NONE;
  size = 0;

  grow(slots: number): void {
    const known = this.before.length;
    this.before = grown(this.before, new Int32Array(slots)).fill(UNLISTED, known);
    this.after = grown(this.after, new Int32Array(slots));
  }

  get first(): Slot {
    return this.head;
  }

  has(slot: Slot): boolean {
    return this.before[slot] !== UNLISTED;
  }

  /** The one behind it; `NONE` behind the last. */
  next(slot: Slot): Slot {
    return this.after[slot] ?? NONE;
  }

  get last(): Slot {
    return this.tail;
  }

  /** The one before it; `NONE` before the first. */
  previous(slot: Slot): Slot {
    return this.before[slot] ?? NONE;
  }

  append(slot: Slot): void {
    this.before[slot] = this.tail;
    this.after[slot] = NONE;
    if (this.tail === NONE) this.head = slot;
    else this.after[this.tail] = slot;
    this.tail = slot;
    this.size++;
  }

  /** Whether it was in the list. */
  remove(slot: Slot): boolean {
    const before = this.before[slot] ?? UNLISTED;
    if (before === UNLISTED) return false;
    const after = this.next(slot);
    if (before === NONE) this.head = after;
    else this.after[before] = after;
    if (after === NONE) this.tail = before;
    else this.before[after] = before;
    this.before[slot] = UNLISTED;
    this.size--;
    return true;
  }

  clear(): void {
    this.before.fill(UNLISTED);
    this.head = NONE;
    this.tail = NONE;
    this.size = 0;
  }
}

const UNLISTED = -2;
