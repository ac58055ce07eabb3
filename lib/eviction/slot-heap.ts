import { grown, NONE, type Slot, type SlotColumn } from './slots.js';

const ABSENT = -1;

/** Slots by priority: the lowest one is the first to go. Each change takes O(log n). */
export class SlotHeap implements SlotColumn {
  private heap = new Int32Array(0);
  private places = new Int32Array(0);
  private priorities = new Float64Array(0);
  size = 0;

  grow(slots: number): void {
    const known = this.places.length;
    this.heap = grown(this.heap, new Int32Array(slots));
    this.places = grown(this.places, new Int32Array(slots)).fill(ABSENT, known);
    this.priorities = grown(this.priorities, new Float64Array(slots));
  }

  get first(): Slot {
    return this.size === 0 ? NONE : this.at(0);
  }

  at(place: number): Slot {
    return this.heap[place] ?? NONE;
  }

  has(slot: Slot): boolean {
    return this.placeOf(slot) !== ABSENT;
  }

  priorityOf(slot: Slot): number {
    return this.priorities[slot] ?? 0;
  }

  /** At most `limit` slots whose priority is at most `priority`, in no order. */
  upTo(priority: number, limit: number): Slot[] {
    const found: Slot[] = [];
    // What is below a place has no lower priority.
    const places = [0];
    for (const place of places) {
      if (found.length === limit) break;
      if (place >= this.size || this.priorityOf(this.at(place)) > priority) continue;
      found.push(this.at(place));
      places.push(place * 2 + 1, place * 2 + 2);
    }
    return found;
  }

  /** Adds the slot, or moves it to its new priority. */
  set(slot: Slot, priority: number): void {
    this.priorities[slot] = priority;
    let place = this.placeOf(slot);
    if (place === ABSENT) place = this.size++;
    this.settle(slot, place);
  }

  remove(slot: Slot): boolean {
    const place = this.placeOf(slot);
    if (place === ABSENT) return false;
    this.places[slot] = ABSENT;
    const last = this.at(--this.size);
    if (last !== slot) this.settle(last, place);
    return true;
  }

  /** Gives every slot its priority anew, in O(n). */
  rekey(priorityOf: (slot: Slot) => number): void {
    for (let place = 0; place < this.size; place++) this.priorities[this.at(place)] = priorityOf(this.at(place));
    for (let place = (this.size >> 1) - 1; place >= 0; place--) this.sink(this.at(place), place);
  }

  clear(): void {
    this.places.fill(ABSENT);
    this.size = 0;
  }

  private placeOf(slot: Slot): number {
    return this.places[slot] ?? ABSENT;
  }

  private settle(slot: Slot, place: number): void {
    this.sink(slot, this.rise(slot, place));
  }

  private rise(slot: Slot, from: number): number {
    const priority = this.priorityOf(slot);
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.at(above);
      if (this.priorityOf(parent) <= priority) break;
      this.put(parent, place);
      place = above;
    }
    return place;
  }

  private sink(slot: Slot, from: number): void {
    const priority = this.priorityOf(slot);
    let place = from;
    for (;;) {
      let below = place * 2 + 1;
      if (below >= this.size) break;
      if (below + 1 < this.size && this.priorityOf(this.at(below + 1)) < this.priorityOf(this.at(below))) below++;
      const child = this.at(below);
      if (this.priorityOf(child) >= priority) break;
      this.put(child, place);
      place = below;
    }
    this.put(slot, place);
  }

  private put(slot: Slot, place: number): void {
    this.heap[place] = slot;
    this.places[slot] = place;
  }
}
