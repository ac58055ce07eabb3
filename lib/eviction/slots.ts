/** The number of an entry in the books of one policy. It is free for another entry once nothing holds it. */
export type Slot = number;

export const NONE: Slot = -1;

/** Typed arrays that grow with the number of slots. */
export interface SlotColumn {
  grow(slots: number): void;
}

const FIRST_SLOTS = 64;
const GROWTH = 1.4;

/** What is known of each entry: its key's hash, size, cost, and how many holders it has. Found by hash. */
export class Slots {
  /** Bytes that the entry takes. */
  sizes = new Uint32Array(FIRST_SLOTS);
  /** Mean compute time, in milliseconds. */
  costs = new Float32Array(FIRST_SLOTS);
  /** How many compute times `costs` is the mean of, up to 255. */
  computations = new Uint8Array(FIRST_SLOTS);
  /** When the entry's life ends, in epoch milliseconds. */
  expiries = new Float64Array(FIRST_SLOTS);
  private hashes = new Float64Array(FIRST_SLOTS);
  /** How many caches, real or shadow, hold the entry. */
  private holders = new Uint8Array(FIRST_SLOTS);
  /** Slot + 1 by hash, with open addressing; 0 for nothing. */
  private index = new Int32Array(FIRST_SLOTS * 2);
  private readonly free: Slot[] = [];
  private readonly columns: SlotColumn[] = [];
  private used = 0;

  /** From here on the column has a place for every slot. */
  attach(column: SlotColumn): void {
    column.grow(this.hashes.length);
    this.columns.push(column);
  }

  /** How many entries are known. */
  get count(): number {
    return this.used - this.free.length;
  }

  /** Slots in use are below it. */
  get end(): Slot {
    return this.used;
  }

  isInUse(slot: Slot): boolean {
    return (this.holders[slot] ?? 0) > 0;
  }

  hashOf(slot: Slot): number {
    return this.hashes[slot] ?? 0;
  }

  sizeOf(slot: Slot): number {
    return this.sizes[slot] ?? 0;
  }

  costOf(slot: Slot): number {
    return this.costs[slot] ?? 0;
  }

  find(hash: number): Slot {
    return (this.index[this.placeOf(hash)] ?? 0) - 1;
  }

  /** A slot for the hash. It stays in use while something holds it. */
  add(hash: number): Slot {
    const slot = this.free.pop() ?? this.used++;
    if (slot >= this.hashes.length) this.grow(Math.ceil(this.hashes.length * GROWTH));
    this.hashes[slot] = hash;
    this.sizes[slot] = 0;
    this.costs[slot] = 0;
    this.computations[slot] = 0;
    this.expiries[slot] = 0;
    this.index[this.placeOf(hash)] = slot + 1;
    return slot;
  }

  hold(slot: Slot): void {
    this.holders[slot] = (this.holders[slot] ?? 0) + 1;
  }

  /** The last release frees the slot. */
  release(slot: Slot): void {
    const left = (this.holders[slot] ?? 0) - 1;
    this.holders[slot] = left;
    if (left > 0) return;
    this.unindex(slot);
    this.free.push(slot);
  }

  /** Where the hash is, or where it would go. */
  private placeOf(hash: number): number {
    const mask = this.index.length - 1;
    let place = (hash >>> 0) & mask;
    for (;;) {
      const found = (this.index[place] ?? 0) - 1;
      if (found < 0 || this.hashes[found] === hash) return place;
      place = (place + 1) & mask;
    }
  }

  /** Moves those behind it up, so that no search ends too early. */
  private unindex(slot: Slot): void {
    const mask = this.index.length - 1;
    let hole = this.placeOf(this.hashOf(slot));
    this.index[hole] = 0;
    for (let place = (hole + 1) & mask; ; place = (place + 1) & mask) {
      const next = (this.index[place] ?? 0) - 1;
      if (next < 0) return;
      const home = (this.hashOf(next) >>> 0) & mask;
      if (((place - home) & mask) < ((place - hole) & mask)) continue;
      this.index[hole] = next + 1;
      this.index[place] = 0;
      hole = place;
    }
  }

  private grow(slots: number): void {
    this.sizes = grown(this.sizes, new Uint32Array(slots));
    this.costs = grown(this.costs, new Float32Array(slots));
    this.computations = grown(this.computations, new Uint8Array(slots));
    this.expiries = grown(this.expiries, new Float64Array(slots));
    this.hashes = grown(this.hashes, new Float64Array(slots));
    this.holders = grown(this.holders, new Uint8Array(slots));
    this.index = new Int32Array(2 ** Math.ceil(Math.log2(slots * 1.5)));
    for (let slot = 0; slot < this.used; slot++) {
      if (this.isInUse(slot)) this.index[this.placeOf(this.hashOf(slot))] = slot + 1;
    }
    for (const column of this.columns) column.grow(slots);
  }
}

/** Of a longer key the first and the last characters are hashed, half each. */
const HASHED_CHARACTERS = 512;

/** 53 bits of a key. Two keys of one hash share a slot, which costs a little precision and nothing else. */
export function hashKey(key: string): number {
  let low = 0x811c9dc5 ^ key.length;
  let high = 0x2f0b4c47;
  for (let index = 0; index < key.length; index++) {
    if (index === HASHED_CHARACTERS / 2 && key.length > HASHED_CHARACTERS) index = key.length - HASHED_CHARACTERS / 2;
    const code = key.charCodeAt(index);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x5bd1e995) + low;
  }
  low = Math.imul(low ^ (low >>> 16), 0x85ebca6b);
  high = Math.imul(high ^ (high >>> 15), 0xc2b2ae35);
  return ((high ^ (high >>> 13)) & 0x1fffff) * 2 ** 32 + ((low ^ (low >>> 13)) >>> 0);
}

/** The wider array, with what the narrower one held. */
export function grown<T extends Float64Array | Float32Array | Int32Array | Uint32Array | Uint8Array>(
  narrow: T,
  wide: T,
): T {
  wide.set(narrow);
  return wide;
}

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
