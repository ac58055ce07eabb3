import { CostRange } from './cost-range.js';
import { FrequencySketch } from './frequency-sketch.js';
import {
  GdsfShadow,
  LruShadow,
  ValueShadow,
  type Capacity,
  type Shadow,
  type ShadowName,
  type ShadowObserver,
} from './shadow.js';
import { SlotList } from './slot-list.js';
import { NONE, type Slot, Slots } from './slots.js';

/** Savings count half after so many requests per entry of the capacity. */
const HALF_LIFE = 8;
/** The lead is looked at each so many requests, a power of two. */
const LOOK_EVERY = 16;
/** By how much of all cost another shadow must be ahead to take the lead. */
const LEAD_SHARE = 0.01;
const NOTES = 256;
const COMPUTATIONS_AVERAGED = 32;
const SIZES_AVERAGED = 1_000;

/** An entry that a lane stores. */
export interface StoredEntry {
  /** Of its key, by `hashKey`. */
  readonly hash: number;
  readonly sizeBytes: number;
  readonly computeMs: number;
  /** Epoch ms. */
  readonly expiresAt: number;
}

/**
 * Keeps what saves the most compute time. Three shadow caches follow GDSF, a window with a heap by value, and exact LRU; the
 * lane keeps what the shadow keeps that would have saved most lately, and what it holds beyond that goes first.
 */
export class AdaptivePolicy {
  private readonly sketch = new FrequencySketch();
  private readonly costs = new CostRange();
  private readonly slots = new Slots();
  private readonly value: ValueShadow;
  private readonly shadows: readonly Shadow[];
  /** What the lane holds, in the order in which it was stored. */
  private readonly held = new SlotList();
  /** What the lane holds and the leader does not. */
  private readonly surplus = new SlotList();
  /** Cost that each shadow, and the lane, saved; and all cost: older ones count less and less. */
  private readonly saved: Float64Array;
  private savedByLane = 0;
  private asked = 0;
  private leading: Shadow;
  private requests = 0;
  private meanBytes = 1;
  private sizesSeen = 0;
  private readonly notes = new Int32Array(NOTES);
  private noted = 0;

  private decay = 1;

  constructor(private readonly capacity: Capacity & { readonly now: () => number }) {
    const observer: ShadowObserver = {
      held: (slot) => this.slots.hold(slot),
      gone: (slot, shadow) => this.left(slot, shadow),
    };
    this.value = new ValueShadow(capacity, this.slots, this.sketch, observer);
    const gdsf = new GdsfShadow(capacity, this.slots, observer);
    const lru = new LruShadow(capacity, this.slots, observer);
    this.shadows = [this.value, gdsf, lru];
    this.leading = this.value;
    this.saved = new Float64Array(this.shadows.length);
    for (const column of [this.held, this.surplus, ...this.shadows]) this.slots.attach(column);
  }

  get leader(): ShadowName {
    return this.leading.name;
  }

  /** The share of all cost that each shadow would have saved lately, and that the lane saved, in percent. */
  get savedShares(): Readonly<Record<ShadowName | 'lane', number>> {
    this.settle();
    const share = (saved: number): number => (this.asked === 0 ? 0 : (100 * saved) / this.asked);
    const [value = 0, gdsf = 0, lru = 0] = this.saved;
    return { value: share(value), gdsf: share(gdsf), lru: share(lru), lane: share(this.savedByLane) };
  }

  /** How many entries the books hold, the lane's own among them: at most four times what the lane can hold. */
  get known(): number {
    return this.slots.count;
  }

  /** Notes a use of an entry that the lane holds. It counts from the next call of another method on. */
  used(slot: Slot): void {
    this.notes[this.noted++] = slot;
    if (this.noted === NOTES) this.settle();
  }

  /** The lane holds the entry from here on; it may hold too much until `victim` was followed. */
  stored({ hash, sizeBytes, computeMs, expiresAt }: StoredEntry): Slot {
    this.settle();
    const found = this.slots.find(hash);
    const slot = found === NONE ? this.slots.add(hash) : found;
    this.slots.hold(slot);
    this.resize(slot, sizeBytes);
    const isNew = !this.held.has(slot);
    // A refresh, or a value that is set, is no request.
    this.learn(slot, computeMs);
    if (isNew) this.request(slot);
    this.slots.expiries[slot] = expiresAt;
    if (isNew) this.hold(slot);
    this.slots.release(slot);
    return slot;
  }

  /** What goes first; `NONE` if the lane holds nothing. */
  victim(): Slot {
    this.settle();
    return this.surplus.first === NONE ? this.held.first : this.surplus.first;
  }

  /** The lane no longer holds the entry, for lack of room. The shadows may. */
  evicted(slot: Slot): void {
    this.settle();
    if (!this.held.remove(slot)) return;
    this.surplus.remove(slot);
    this.slots.release(slot);
  }

  /** The entry has expired or was invalidated: the shadows would not have it either. */
  removed(slot: Slot): void {
    this.settle();
    this.slots.hold(slot);
    for (const shadow of this.shadows) if (shadow.remove(slot)) this.slots.release(slot);
    this.evicted(slot);
    this.slots.release(slot);
  }

  /** As `removed`, for an entry that the lane may not hold. */
  forget(hash: number): void {
    const slot = this.slots.find(hash);
    if (slot !== NONE) this.removed(slot);
  }

  private settle(): void {
    const noted = this.noted;
    this.noted = 0;
    for (let index = 0; index < noted; index++) this.request(this.notes[index] ?? NONE);
  }

  private request(slot: Slot): void {
    const { slots, shadows, saved, decay } = this;
    if (this.sketch.add(slots.hashOf(slot), this.entriesHeld)) this.value.rekey();
    const cost = slots.costOf(slot);
    const isValid = (slots.expiries[slot] ?? 0) > this.capacity.now();
    this.asked = this.asked * decay + cost;
    this.savedByLane = this.savedByLane * decay + (this.held.has(slot) ? cost : 0);
    for (let index = 0; index < shadows.length; index++) {
      const isHit = shadows[index]?.request(slot) === true && isValid;
      saved[index] = (saved[index] ?? 0) * decay + (isHit ? cost : 0);
    }
    if (this.surplus.size > 0 && this.leading.holds(slot)) this.surplus.remove(slot);
    if ((++this.requests & (LOOK_EVERY - 1)) === 0) this.chooseLeader();
  }

  private chooseLeader(): void {
    this.decay = 2 ** (-1 / (HALF_LIFE * this.entriesHeld));
    let best = this.shadows.indexOf(this.leading);
    const before = this.saved[best] ?? 0;
    for (let index = 0; index < this.saved.length; index++) {
      if ((this.saved[index] ?? 0) > (this.saved[best] ?? 0)) best = index;
    }
    const leader = this.shadows[best];
    if (leader === undefined || leader === this.leading) return;
    if ((this.saved[best] ?? 0) - before <= LEAD_SHARE * this.asked) return;
    this.leading = leader;
    this.surplus.clear();
    for (let slot = this.held.first; slot !== NONE; slot = this.held.next(slot)) {
      if (!leader.holds(slot)) this.surplus.append(slot);
    }
  }

  /** About how many entries the lane can hold. */
  private get entriesHeld(): number {
    return Math.max(8, Math.min(this.capacity.maxEntries, Math.round(this.capacity.maxBytes / this.meanBytes)));
  }

  private hold(slot: Slot): void {
    this.slots.hold(slot);
    this.held.append(slot);
    if (!this.leading.holds(slot)) this.surplus.append(slot);
  }

  /** The mean of its compute times, each within the lane's range. */
  private learn(slot: Slot, computeMs: number): void {
    const count = Math.min(COMPUTATIONS_AVERAGED, (this.slots.computations[slot] ?? 0) + 1);
    const mean = this.slots.costOf(slot);
    this.slots.computations[slot] = count;
    this.slots.costs[slot] = mean + (this.costs.clamp(computeMs) - mean) / count;
  }

  private resize(slot: Slot, sizeBytes: number): void {
    const by = sizeBytes - this.slots.sizeOf(slot);
    this.slots.sizes[slot] = sizeBytes;
    if (by !== 0) for (const shadow of this.shadows) shadow.resize(slot, by);
    this.sizesSeen = Math.min(SIZES_AVERAGED, this.sizesSeen + 1);
    this.meanBytes += (sizeBytes - this.meanBytes) / this.sizesSeen;
  }

  private left(slot: Slot, shadow: Shadow): void {
    if (shadow === this.leading && this.held.has(slot) && !this.surplus.has(slot)) this.surplus.append(slot);
    this.slots.release(slot);
  }
}
