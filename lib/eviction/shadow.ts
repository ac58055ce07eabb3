import { SlotHeap, SlotList, grown, NONE, type Slot, type SlotColumn, type Slots } from './slots.js';
import type { FrequencySketch } from './frequency-sketch.js';

export type ShadowName = 'gdsf' | 'value' | 'lru';

/** What a lane may hold, and how much of it is taken. */
export interface Capacity {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** A cache of metadata alone: it shows what a policy would hold, and what that would save. */
export interface Shadow extends SlotColumn {
  readonly name: ShadowName;
  holds(slot: Slot): boolean;
  /** From here on the shadow keeps within this share of its limits. */
  limit(share: number): void;
  /** A run of requests for an entry. Returns whether the shadow held it; from then on it does if its policy says so. */
  request(slot: Slot, uses: number): boolean;
  /** The entry is no longer valid. Returns whether the shadow held it. */
  remove(slot: Slot): boolean;
  /** An entry takes so many bytes more, or less. */
  resize(slot: Slot, byBytes: number): void;
}

/** Notes each entry that a shadow takes in, and each that it gives up or does not take. */
export interface ShadowObserver {
  held(slot: Slot): void;
  gone(slot: Slot, shadow: Shadow): void;
}

/** Entries and bytes within limits. */
class Room {
  entries = 0;
  bytes = 0;
  private maxEntries = 0;
  maxBytes = 0;

  limit({ maxEntries, maxBytes }: Capacity, share: number): void {
    this.maxEntries = Math.max(1, Math.floor(maxEntries * share));
    this.maxBytes = maxBytes * share;
  }

  get isCrowded(): boolean {
    return this.entries > this.maxEntries || this.bytes > this.maxBytes;
  }

  /** `less`: so many of the entries would leave for it. */
  fits(bytes: number, less = 0): boolean {
    return this.entries - less < this.maxEntries && this.bytes + bytes <= this.maxBytes;
  }

  take(bytes: number): void {
    this.entries++;
    this.bytes += bytes;
  }

  leave(bytes: number): void {
    this.entries--;
    this.bytes -= bytes;
  }

  resize(byBytes: number): void {
    this.bytes += byBytes;
  }
}

/** A shadow that keeps one order: the first of it goes for what comes. */
abstract class OrderedShadow implements Shadow {
  abstract readonly name: ShadowName;
  protected abstract readonly order: SlotList | SlotHeap;
  private readonly room = new Room();

  constructor(
    protected readonly capacity: Capacity,
    protected readonly slots: Slots,
    private readonly observer: ShadowObserver,
  ) {}

  limit(share: number): void {
    this.room.limit(this.capacity, share);
    while (this.room.isCrowded && this.order.size > 0) this.dropFirst();
  }

  grow(slots: number): void {
    this.order.grow(slots);
  }

  holds(slot: Slot): boolean {
    return this.order.has(slot);
  }

  request(slot: Slot, uses: number): boolean {
    if (this.order.has(slot)) {
      this.use(slot, uses);
      return true;
    }
    const bytes = this.slots.sizeOf(slot);
    while (!this.room.fits(bytes) && this.order.size > 0) this.dropFirst();
    this.enter(slot, uses);
    this.room.take(bytes);
    this.observer.held(slot);
    return false;
  }

  remove(slot: Slot): boolean {
    if (!this.order.remove(slot)) return false;
    this.room.leave(this.slots.sizeOf(slot));
    return true;
  }

  resize(slot: Slot, byBytes: number): void {
    if (this.order.has(slot)) this.room.resize(byBytes);
  }

  protected dropFirst(): void {
    const { first } = this.order;
    this.remove(first);
    this.observer.gone(first, this);
  }

  /** Gives a slot that is in the order its new place. */
  protected abstract use(slot: Slot, uses: number): void;

  /** Takes a slot into the order. */
  protected abstract enter(slot: Slot, uses: number): void;
}

/** Exact LRU: with it among the shadows, the lane saves no less than an LRU lane would. */
export class LruShadow extends OrderedShadow {
  readonly name = 'lru';
  protected readonly order = new SlotList();

  protected use(slot: Slot): void {
    this.order.remove(slot);
    this.order.append(slot);
  }

  protected enter(slot: Slot): void {
    this.order.append(slot);
  }
}

/** Greedy-Dual-Size-Frequency (Cherkasova, 1998): cost and uses per share of the lane, plus the priority of what went last. */
export class GdsfShadow extends OrderedShadow {
  readonly name = 'gdsf';
  protected readonly order = new SlotHeap();
  private uses = new Float32Array(0);
  /** The priority of what went last. */
  private inflation = 0;

  override grow(slots: number): void {
    super.grow(slots);
    this.uses = grown(this.uses, new Float32Array(slots));
  }

  protected use(slot: Slot, uses: number): void {
    this.uses[slot] = (this.uses[slot] ?? 0) + uses;
    this.order.set(slot, this.priorityOf(slot));
  }

  protected enter(slot: Slot, uses: number): void {
    this.uses[slot] = uses;
    this.order.set(slot, this.priorityOf(slot));
  }

  protected override dropFirst(): void {
    this.inflation = this.order.priorityOf(this.order.first);
    super.dropFirst();
  }

  private priorityOf(slot: Slot): number {
    const value = (this.uses[slot] ?? 0) * this.slots.costOf(slot);
    return this.inflation + value / shareOf(this.slots.sizeOf(slot), this.capacity);
  }
}

const WINDOW_SHARE = 0.01;
/** What an entry counts for that was not asked for again. */
export const LEAST_FREQUENCY = 0.25;
/** An often used entry enters now and then although others are worth more: no fixed set of keys can shut it out. */
const OFTEN_USED = 6;
const CHANCES = 128;

/**
 * A small LRU window in front of a heap by frequency x cost per share of the lane. What leaves the window enters the heap
 * only if it is worth more than all that it would push out: W-TinyLFU (Einziger, Friedman and Manes, 2017) with costs and sizes.
 */
export class ValueShadow implements Shadow {
  readonly name = 'value';
  private readonly window = new SlotList();
  private readonly heap = new SlotHeap();
  private readonly windowRoom = new Room();
  private readonly heapRoom = new Room();
  private candidates = 0;

  constructor(
    private readonly capacity: Capacity,
    private readonly slots: Slots,
    private readonly sketch: FrequencySketch,
    private readonly observer: ShadowObserver,
  ) {}

  limit(share: number): void {
    const { maxEntries, maxBytes } = this.capacity;
    const windowEntries = Math.max(1, Math.floor(maxEntries * share * WINDOW_SHARE));
    this.windowRoom.limit({ maxEntries: windowEntries, maxBytes: maxBytes * share * WINDOW_SHARE }, 1);
    this.heapRoom.limit(
      { maxEntries: maxEntries * share - windowEntries, maxBytes: maxBytes * share * (1 - WINDOW_SHARE) },
      1,
    );
    while (this.heapRoom.isCrowded && this.heap.size > 0) {
      const lowest = this.heap.first;
      this.remove(lowest);
      this.observer.gone(lowest, this);
    }
    this.emptyWindow();
  }

  grow(slots: number): void {
    this.window.grow(slots);
    this.heap.grow(slots);
  }

  holds(slot: Slot): boolean {
    return this.window.has(slot) || this.heap.has(slot);
  }

  request(slot: Slot): boolean {
    if (this.heap.has(slot)) {
      this.heap.set(slot, this.densityOf(slot));
      return true;
    }
    if (this.window.remove(slot)) {
      this.window.append(slot);
      return true;
    }
    this.observer.held(slot);
    const bytes = this.slots.sizeOf(slot);
    if (bytes > this.windowRoom.maxBytes) {
      this.admit(slot, bytes);
      return false;
    }
    this.window.append(slot);
    this.windowRoom.take(bytes);
    this.emptyWindow();
    return false;
  }

  remove(slot: Slot): boolean {
    const bytes = this.slots.sizeOf(slot);
    if (this.window.remove(slot)) this.windowRoom.leave(bytes);
    else if (this.heap.remove(slot)) this.heapRoom.leave(bytes);
    else return false;
    return true;
  }

  resize(slot: Slot, byBytes: number): void {
    if (this.window.has(slot)) this.windowRoom.resize(byBytes);
    else if (this.heap.has(slot)) this.heapRoom.resize(byBytes);
  }

  /** Frequencies were halved: old priorities would keep what an earlier phase asked for. */
  rekey(): void {
    this.heap.rekey((slot) => this.densityOf(slot));
  }

  /** The lowest worth per share of the lane that is kept. */
  get bar(): number {
    return this.heap.first === NONE ? 0 : this.heap.priorityOf(this.heap.first);
  }

  private emptyWindow(): void {
    while (this.windowRoom.isCrowded && this.window.size > 0) {
      const oldest = this.window.first;
      const size = this.slots.sizeOf(oldest);
      this.window.remove(oldest);
      this.windowRoom.leave(size);
      this.admit(oldest, size);
    }
  }

  private admit(slot: Slot, bytes: number): void {
    if (bytes > this.heapRoom.maxBytes) {
      this.observer.gone(slot, this);
      return;
    }
    if (!this.heapRoom.fits(bytes) && this.heapRoom.fits(bytes - this.slots.sizeOf(this.heap.first), 1)) {
      this.admitForFirst(slot, bytes);
      return;
    }
    const victims = this.victimsFor(bytes);
    let worth = 0;
    for (const victim of victims) worth += this.valueOf(victim);
    if (victims.length === 0 || this.valueOf(slot) > worth || this.hasLuck(slot)) {
      for (const victim of victims) this.observer.gone(victim, this);
      this.heap.set(slot, this.densityOf(slot));
      this.heapRoom.take(bytes);
      return;
    }
    for (const victim of victims) {
      this.heap.set(victim, this.heap.priorityOf(victim));
      this.heapRoom.take(this.slots.sizeOf(victim));
    }
    this.observer.gone(slot, this);
  }

  /** Mostly the lowest one alone has to go, and stays: then nothing is moved. */
  private admitForFirst(slot: Slot, bytes: number): void {
    const { first } = this.heap;
    if (this.valueOf(slot) <= this.valueOf(first) && !this.hasLuck(slot)) {
      this.observer.gone(slot, this);
      return;
    }
    this.heap.remove(first);
    this.heapRoom.leave(this.slots.sizeOf(first));
    this.observer.gone(first, this);
    this.heap.set(slot, this.densityOf(slot));
    this.heapRoom.take(bytes);
  }

  /** Takes out the lowest ones until there is room. */
  private victimsFor(bytes: number): readonly Slot[] {
    if (this.heapRoom.fits(bytes)) return NO_SLOTS;
    const victims: Slot[] = [];
    while (!this.heapRoom.fits(bytes) && this.heap.first !== NONE) {
      const lowest = this.heap.first;
      this.heap.remove(lowest);
      this.heapRoom.leave(this.slots.sizeOf(lowest));
      victims.push(lowest);
    }
    return victims;
  }

  private hasLuck(slot: Slot): boolean {
    this.candidates = (Math.imul(this.candidates, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (this.candidates >> 8) % CHANCES === 0 && this.sketch.estimate(this.slots.hashOf(slot)) >= OFTEN_USED;
  }

  private valueOf(slot: Slot): number {
    return (this.sketch.estimate(this.slots.hashOf(slot)) + LEAST_FREQUENCY) * this.slots.costOf(slot);
  }

  private densityOf(slot: Slot): number {
    return this.valueOf(slot) / shareOf(this.slots.sizeOf(slot), this.capacity);
  }
}

const NO_SLOTS: readonly Slot[] = [];

/** The part of the lane that an entry takes, by the limit of which it takes more. */
export function shareOf(bytes: number, { maxEntries, maxBytes }: Capacity): number {
  return Math.max(bytes / maxBytes, 1 / maxEntries);
}
