import { CostRange, isMeasured } from './cost-range.js';
import { FrequencySketch, HIGHEST_COUNT } from './frequency-sketch.js';
import { Scores } from './scores.js';
import {
  GdsfShadow,
  LEAST_FREQUENCY,
  LruShadow,
  shareOf,
  ValueShadow,
  type Capacity,
  type Shadow,
  type ShadowName,
  type ShadowObserver,
} from './shadow.js';
import { SlotList, hashKey, NONE, type Slot, Slots } from './slots.js';

/** The lead is looked at each so many requests. */
const LOOK_EVERY = 16;
const COMPUTATIONS_AVERAGED = 32;
const SIZES_AVERAGED = 1_000;
/** When the books have become full, keys leave them until this share is left. */
const SAMPLE_SHARE = 0.3;
/** The books hold no longer keys: a lane of these evicts the least recently used ones. */
const LONGEST_KEY = 1_024;

/** An entry, as the books see it. */
export interface KnownEntry {
  readonly key: string;
  readonly sizeBytes: number;
  /** 0 if nobody has measured it. */
  readonly computeMs: number;
  /** Epoch ms. */
  readonly expiresAt: number;
}

/** An entry of which the books may know nothing else. */
export interface UnknownEntry {
  readonly key: string;
  readonly sizeBytes: number;
  readonly computeMs: number;
  readonly accessCount: number;
}

/** computed: no tier had it. found: a tier had it. given: the app stored it, or it was renewed. */
export type Origin = 'computed' | 'found' | 'given';

/** What may be saved of a policy and adopted by a later one. */
export interface PolicyState {
  readonly leader: ShadowName;
  readonly scores: readonly number[];
  readonly costs: readonly number[];
}

/**
 * Keeps what saves the most compute time. Three shadow caches follow GDSF, a window with a heap by value, and exact LRU. The
 * lane keeps what the shadow keeps that would have saved most lately, and what it holds beyond that goes first.
 */
export class AdaptivePolicy {
  private readonly sketch = new FrequencySketch();
  private readonly costs = new CostRange();
  private readonly slots = new Slots();
  private readonly value: ValueShadow;
  private readonly shadows: readonly Shadow[];
  private readonly scores: Scores;
  /** What the lane holds, by slot. */
  private readonly keys: (string | undefined)[] = [];
  /** What the lane holds and the leader does not. */
  private readonly surplus = new SlotList();
  private leading = 0;
  private requests = 0;
  private nextLook = LOOK_EVERY;
  private meanBytes = 1;
  private sizesSeen = 0;
  private heldEntries = 0;
  /** A key is in the books if these bits of its hash are 0. */
  private sampleMask = 0;

  constructor(
    private readonly capacity: Capacity,
    private readonly now: () => number,
    /** With more entries than these, only a sample of the keys is in the books. */
    private readonly mostEntries = Infinity,
  ) {
    const observer: ShadowObserver = {
      held: (slot) => this.slots.hold(slot),
      gone: (slot, shadow) => this.left(slot, shadow),
    };
    this.value = new ValueShadow(capacity, this.slots, this.sketch, observer);
    const gdsf = new GdsfShadow(capacity, this.slots, observer);
    const lru = new LruShadow(capacity, this.slots, observer);
    this.shadows = [this.value, gdsf, lru];
    this.scores = new Scores(this.shadows.length);
    for (const column of [this.surplus, ...this.shadows]) this.slots.attach(column);
    this.limitShadows();
  }

  get leader(): ShadowName {
    return this.leadingShadow.name;
  }

  /** The share of all cost that each shadow would have saved lately, in percent. */
  get savedShares(): Readonly<Record<ShadowName, number>> {
    const [value = 0, gdsf = 0, lru = 0] = this.shadows.map((_shadow, index) => this.scores.shareOf(index));
    return { value, gdsf, lru };
  }

  /** The share of all cost that the lane has saved lately, in percent. */
  get savedByLane(): number {
    return this.scores.laneShare;
  }

  /** How many entries are in the books, the lane's own among them: at most four times what the lane can hold. */
  get known(): number {
    return this.slots.count;
  }

  /** Whether the books hold a sample of the keys, so that `victim` cannot answer. */
  get isSampled(): boolean {
    return this.sampleMask > 0;
  }

  get state(): PolicyState {
    return { leader: this.leader, scores: this.scores.toNumbers(), costs: this.costs.toNumbers() };
  }

  adopt({ leader, scores, costs }: PolicyState): void {
    this.scores.adopt(scores);
    this.costs.adopt(costs);
    this.lead(
      Math.max(
        0,
        this.shadows.findIndex(({ name }) => name === leader),
      ),
    );
  }

  /** An entry was asked for so many times in a row, and then it is in the lane, or it was stored without being asked for. */
  requested(entry: KnownEntry, origin: Origin, uses = 1): void {
    const hash = hashKey(entry.key);
    this.count(hash, uses);
    if (!this.isInBooks(hash) || !this.fits(entry.sizeBytes)) return;
    const slot = this.slotFor(hash);
    const isHeld = this.keys[slot] !== undefined;
    // What was there and had to be computed was not valid: the shadows would not have had it either.
    if (origin === 'computed' && isHeld) this.dropFromShadows(slot);
    if (this.slots.sizeOf(slot) === 0) this.resize(slot, entry.sizeBytes);
    if (origin !== 'found' || this.slots.computations[slot] === 0) this.learnCost(slot, entry.computeMs);
    if (origin !== 'given' || !isHeld) this.ask(slot, origin === 'found' || isHeld ? 'hit' : 'miss', uses);
    this.slots.expiries[slot] = entry.expiresAt;
    this.slots.release(slot);
  }

  /** The lane holds the entry from here on. It may hold too much until `victim` was followed. */
  stored(entry: KnownEntry): void {
    const { key, sizeBytes } = entry;
    const hash = hashKey(key);
    if (!this.isInBooks(hash) || !this.fits(sizeBytes) || key.length > LONGEST_KEY) return;
    if (this.slots.find(hash) === NONE) this.requested(entry, 'computed');
    const slot = this.slotFor(hash);
    this.resize(slot, sizeBytes);
    const before = this.keys[slot];
    if (before === undefined) {
      this.slots.hold(slot);
      this.heldEntries++;
      if (!this.leadingShadow.holds(slot)) this.surplus.append(slot);
    }
    this.keys[slot] = key;
    this.slots.release(slot);
    if (this.heldEntries >= this.mostEntries) this.takeSample();
  }

  /** An entry that the lane has held since before the books began. Its uses so far count as one run of requests, and save nothing. */
  learn(entry: UnknownEntry & { readonly expiresAt: number }): void {
    const { key, accessCount } = entry;
    const hash = hashKey(key);
    if (this.slots.find(hash) !== NONE) {
      this.stored(entry);
      return;
    }
    const uses = accessCount + 1;
    this.count(hash, uses);
    if (!this.isInBooks(hash) || !this.fits(entry.sizeBytes)) return;
    const slot = this.slotFor(hash);
    this.resize(slot, entry.sizeBytes);
    this.learnCost(slot, entry.computeMs);
    this.slots.expiries[slot] = entry.expiresAt;
    for (const shadow of this.shadows) shadow.request(slot, uses);
    this.stored(entry);
    this.slots.release(slot);
  }

  /** Which entry goes first. Undefined if the leader would keep all that the lane holds. */
  victim(): string | undefined {
    return this.surplus.first === NONE ? undefined : this.keys[this.surplus.first];
  }

  /** Whether the leader would keep an entry, as far as can be said of one that is not in the books. */
  keeps(entry: UnknownEntry): boolean {
    const hash = hashKey(entry.key);
    const slot = this.isInBooks(hash) ? this.slots.find(hash) : NONE;
    if (slot !== NONE) return this.leadingShadow.holds(slot);
    return this.leader !== 'lru' && this.worthOf(entry, hash) >= this.value.bar;
  }

  /** The lane no longer holds the entry, for lack of room. The shadows may. */
  evicted(key: string): void {
    const slot = this.slots.find(hashKey(key));
    if (slot !== NONE && this.keys[slot] === key) this.dropFromLane(slot);
  }

  /** The entry has expired or was invalidated, whether the lane held it or not. The shadows would not have it either. */
  removed(key: string): void {
    const slot = this.slots.find(hashKey(key));
    if (slot !== NONE) this.forget(slot);
  }

  /** Keys that the lane holds, those first whose uses would have taken the longest to compute. */
  best(limit: number): readonly string[] {
    const held: { readonly key: string; readonly saves: number }[] = [];
    for (let slot = 0; slot < this.slots.end; slot++) {
      const key = this.keys[slot];
      if (key === undefined) continue;
      held.push({ key, saves: this.sketch.estimate(this.slots.hashOf(slot)) * this.slots.costOf(slot) });
    }
    return held
      .toSorted((a, b) => b.saves - a.saves)
      .slice(0, limit)
      .map(({ key }) => key);
  }

  /** Removes what has expired and only shadows still hold. */
  sweep(): void {
    const now = this.now();
    for (let slot = 0; slot < this.slots.end; slot++) {
      if (this.slots.isInUse(slot) && (this.slots.expiries[slot] ?? 0) <= now) this.dropFromShadows(slot);
    }
  }

  private get leadingShadow(): Shadow {
    return this.shadows[this.leading] ?? this.value;
  }

  private isInBooks(hash: number): boolean {
    return this.sampleMask === 0 || (Math.floor(hash / 2 ** 32) & this.sampleMask) === 0;
  }

  /** An entry larger than the lane, or than the sample stands for, is in no shadow. */
  private fits(sizeBytes: number): boolean {
    return sizeBytes <= this.capacity.maxBytes * this.sampleShare;
  }

  private get sampleShare(): number {
    return 1 / (this.sampleMask + 1);
  }

  private count(hash: number, uses: number): void {
    const capacity = this.entriesHeld;
    this.sketch.fit(Math.min(capacity, Math.max(this.slots.count, this.heldEntries) / this.sampleShare));
    for (let use = Math.min(uses, HIGHEST_COUNT); use > 0; use--) {
      if (this.sketch.add(hash, capacity)) this.value.rekey();
    }
  }

  /** Held until it is released. */
  private slotFor(hash: number): Slot {
    const found = this.slots.find(hash);
    const slot = found === NONE ? this.slots.add(hash) : found;
    if (found === NONE) this.keys[slot] = undefined;
    this.slots.hold(slot);
    return slot;
  }

  private ask(slot: Slot, inLane: 'hit' | 'miss', uses: number): void {
    const { shadows, scores } = this;
    const cost = this.slots.costOf(slot);
    const isValid = (this.slots.expiries[slot] ?? 0) > this.now();
    scores.ask(cost, uses);
    scores.saveByLane(inLane === 'hit' ? cost : 0);
    for (let index = 0; index < shadows.length; index++) {
      const isHit = shadows[index]?.request(slot, uses) === true && isValid;
      scores.save(index, isHit ? cost : 0);
    }
    if (this.surplus.size > 0 && this.leadingShadow.holds(slot)) this.surplus.remove(slot);
    this.requests += uses;
    if (this.requests < this.nextLook) return;
    this.nextLook = this.requests + LOOK_EVERY;
    scores.adaptTo(Math.max(8, this.entriesHeld * this.sampleShare));
    this.lead(scores.leaderAfter(this.leading));
  }

  private lead(leading: number): void {
    if (leading === this.leading) return;
    this.leading = leading;
    this.surplus.clear();
    for (let slot = 0; slot < this.slots.end; slot++) {
      if (this.keys[slot] !== undefined && !this.leadingShadow.holds(slot)) this.surplus.append(slot);
    }
  }

  /** About how many entries the lane can hold. */
  private get entriesHeld(): number {
    return Math.max(8, Math.min(this.capacity.maxEntries, Math.round(this.capacity.maxBytes / this.meanBytes)));
  }

  private worthOf({ sizeBytes, computeMs }: UnknownEntry, hash: number): number {
    const cost = isMeasured(computeMs) ? this.costs.within(computeMs) : this.costs.mean;
    return ((this.sketch.estimate(hash) + LEAST_FREQUENCY) * cost) / shareOf(sizeBytes, this.capacity);
  }

  /** The mean of its compute times, each within the lane's range. */
  private learnCost(slot: Slot, computeMs: number): void {
    const computed = this.slots.computations[slot] ?? 0;
    if (!isMeasured(computeMs)) {
      if (computed === 0) this.slots.costs[slot] = this.costs.mean;
      return;
    }
    const count = Math.min(COMPUTATIONS_AVERAGED, computed + 1);
    const mean = computed === 0 ? 0 : this.slots.costOf(slot);
    this.slots.computations[slot] = count;
    this.slots.costs[slot] = mean + (this.costs.clamp(computeMs) - mean) / count;
  }

  private resize(slot: Slot, sizeBytes: number): void {
    this.sizesSeen = Math.min(SIZES_AVERAGED, this.sizesSeen + 1);
    this.meanBytes += (sizeBytes - this.meanBytes) / this.sizesSeen;
    const by = sizeBytes - this.slots.sizeOf(slot);
    this.slots.sizes[slot] = sizeBytes;
    if (by !== 0) for (const shadow of this.shadows) shadow.resize(slot, by);
  }

  private dropFromLane(slot: Slot): void {
    this.keys[slot] = undefined;
    this.heldEntries--;
    this.surplus.remove(slot);
    this.slots.release(slot);
  }

  private dropFromShadows(slot: Slot): void {
    const isHeld = this.keys[slot] !== undefined;
    for (const shadow of this.shadows) if (shadow.remove(slot)) this.slots.release(slot);
    if (isHeld && !this.surplus.has(slot)) this.surplus.append(slot);
  }

  private left(slot: Slot, shadow: Shadow): void {
    if (shadow === this.leadingShadow && this.keys[slot] !== undefined && !this.surplus.has(slot)) {
      this.surplus.append(slot);
    }
    this.slots.release(slot);
  }

  /** Half of the keys leave the books, until few enough are left. */
  private takeSample(): void {
    this.sampleMask = this.sampleMask * 2 + 1;
    for (let slot = 0; slot < this.slots.end; slot++) {
      if (this.slots.isInUse(slot) && !this.isInBooks(this.slots.hashOf(slot))) this.forget(slot);
    }
    this.limitShadows();
    if (this.heldEntries > this.mostEntries * SAMPLE_SHARE) this.takeSample();
  }

  /** The key leaves the lane and the shadows. */
  private forget(slot: number): void {
    this.slots.hold(slot);
    this.dropFromShadows(slot);
    if (this.keys[slot] !== undefined) this.dropFromLane(slot);
    this.slots.release(slot);
  }

  private limitShadows(): void {
    for (const shadow of this.shadows) shadow.limit(this.sampleShare);
  }
}
