import { LRUCache } from 'lru-cache';
import { LifeClock, nextTurn } from '../clock/clock.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import { decodeRecord, encodeRecord } from '../entries/record.js';
import type { Keeper, ReportUse, RequestedEntry } from '../eviction/lane-eviction.js';
import type { ResolvedLane } from '../lanes/policy.js';
import type { EntryView, LaneStrategy } from '../lanes/strategy.js';
import type { Tier, TierLookup, TierRecord, TierState, TierUsage } from './tier.js';

interface MemoryTierOptions {
  readonly lanes: ReadonlyMap<string, ResolvedLane>;
  readonly codec: ValueCodec;
  readonly life: LifeClock;
  /** An entry had to go for another, or its life was over. */
  readonly evicted: (lane: string, entry: MemoryEntry, reason: 'entries' | 'bytes' | 'expired') => void;
}

const ON: TierState = Object.freeze({ state: 'on' });
const CLOSED: TierState = Object.freeze({ state: 'off', reason: 'closed' });
/** Between two turns of the event loop a sweep looks at so many entries, or removes a tenth of them: less than a millisecond. */
const SLICE_WORK = 4_000;
const WORK_OF_REMOVAL = 10;
/** A walk that rests at an entry cannot go on once that is used or removed. So often it is begun; the next sweep begins anew. */
const SWEEP_ROUNDS = 3;
/** Characters of keys and tags that are matched between two turns, at most 2 ms of work; each look costs a few as well. */
const SLICE_CHARACTERS = 100_000;
const CHARACTERS_PER_LOOK = 32;

/**
 * L1: entries in this process's memory, each lane within its own entries and bytes.
 *
 * @example
 * ```ts
 * const { entries, sizeBytes } = app.get(MemoryTier).usage('docs');
 * ```
 */
export class MemoryTier implements Tier {
  readonly name = 'l1';
  state: TierState = ON;
  private readonly spaces: ReadonlyMap<string, MemorySpace>;

  /** @internal The app creates it. */
  constructor(private readonly options: MemoryTierOptions) {
    const spaces = new Map<string, MemorySpace>();
    for (const [lane, { policy, strategy, eviction }] of options.lanes) {
      const evicted = (entry: MemoryEntry, reason: 'entries' | 'bytes'): void => options.evicted(lane, entry, reason);
      const now = (): number => options.life.now();
      const space = new MemorySpace({ lane, ...policy.l1, strategy, now, evicted, keeper: eviction?.keeperOf('l1') });
      eviction?.readUsesFrom((report) => space.takeUses(report));
      eviction?.serves('l1', { ...policy.l1, rank: 1, mostInBooks: Infinity });
      spaces.set(lane, space);
    }
    this.spaces = spaces;
  }

  /** The lane's memory itself, for the read and write paths. */
  space(lane: string): MemorySpace {
    const space = this.spaces.get(lane);
    if (space === undefined) throw new TypeError(`no memory for lane '${lane}'`);
    return space;
  }

  read(lane: string, key: string): TierLookup {
    if (this.state === CLOSED) return { outcome: 'off', reason: 'closed' };
    const entry = this.space(lane).get(key);
    if (entry === undefined) return { outcome: 'miss' };
    const record = this.recordOf(entry);
    return record === undefined ? { outcome: 'miss' } : { outcome: 'hit', record };
  }

  write(lane: string, record: TierRecord): void {
    if (this.state === CLOSED) return;
    const { value, storedAt, expiresAt, staleUntil, schemaVersion } = decodeRecord(record.bytes);
    const { key, tags, birth, computeMs } = record;
    this.space(lane).set(
      new MemoryEntry({
        key,
        tags,
        birth,
        flight: 0,
        storedAt,
        expiresAt,
        staleUntil,
        refreshAt: Infinity,
        computeMs,
        sizeBytes: value.length,
        schemaVersion,
        stamp: -1,
        held: { kind: 'bytes', bytes: value },
      }),
    );
  }

  remove(lane: string, key: string): boolean {
    return this.space(lane).delete(key);
  }

  /** Looks at the entries of this moment, in slices. An entry that is stored meanwhile stays. */
  async removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number> {
    const space = this.space(lane);
    let removed = 0;
    let characters = 0;
    for (const entry of Array.from(space.values())) {
      const { key, tags } = entry;
      characters += (key.length + CHARACTERS_PER_LOOK) * (1 + tags.length);
      if (characters > SLICE_CHARACTERS) {
        characters = 0;
        await nextTurn();
      }
      if (space.peek(key) !== entry || !matches(key, tags)) continue;
      space.delete(key);
      removed++;
    }
    return removed;
  }

  clear(lane: string): Promise<void> {
    this.space(lane).clear();
    return Promise.resolve();
  }

  clearAll(): void {
    for (const space of this.spaces.values()) space.clear();
  }

  usage(lane: string): TierUsage {
    return this.space(lane).usage();
  }

  async *keys(lane: string): AsyncIterable<string> {
    for (const entry of Array.from(this.space(lane).values())) yield entry.key;
  }

  async sweep(lane: string): Promise<{ readonly expired: number; readonly evicted: number }> {
    const now = this.options.life.now();
    const space = this.space(lane);
    this.options.lanes.get(lane)?.eviction?.sweep();
    let expired = 0;
    const remove = (entry: MemoryEntry | undefined): void => {
      if (entry === undefined || space.peek(entry.key) !== entry) return;
      space.delete(entry.key);
      this.options.evicted(lane, entry, 'expired');
      expired++;
    };
    let isWhole = false;
    for (let round = 0; round < SWEEP_ROUNDS && !isWhole; round++) {
      let work = 0;
      let isLost = false;
      let last: MemoryEntry | undefined;
      // An entry goes once the walk has gone on from it.
      let ended: MemoryEntry | undefined;
      for (const entry of space.fromOldest()) {
        work += ended === undefined ? 1 : WORK_OF_REMOVAL;
        remove(ended);
        ended = entry.staleUntil <= now ? entry : undefined;
        last = entry;
        if (work < SLICE_WORK) continue;
        work = 0;
        const { accessCount } = entry;
        await nextTurn();
        isLost = entry.accessCount !== accessCount || space.peek(entry.key) !== entry;
        if (isLost) break;
      }
      isWhole = !isLost && last === space.newest;
      remove(ended);
    }
    return { expired, evicted: 0 };
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.state = CLOSED;
    this.clearAll();
    return Promise.resolve();
  }

  private recordOf(entry: MemoryEntry): TierRecord | undefined {
    const value = this.bytesOf(entry);
    return value && recordOfEntry(entry, { value, room: 0, appVersion: '', turn: undefined });
  }

  private bytesOf(entry: MemoryEntry): Uint8Array | undefined {
    if (entry.held.kind === 'bytes') return entry.held.bytes;
    const encoded = this.options.codec.encode(entry.held.value);
    return encoded.storable ? encoded.bytes : undefined;
  }
}

interface MemorySpaceOptions {
  readonly lane: string;
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly strategy: LaneStrategy | undefined;
  readonly now: () => number;
  /** What decides the evictions of an adaptive lane. */
  readonly keeper?: Keeper | undefined;
  /** An entry had to go for another; not called for removals. */
  readonly evicted: (entry: MemoryEntry, reason: 'entries' | 'bytes') => void;
}

/** What an entry costs beside its value: objects, map slot, promise (measured on Node 20, rounded up). */
const OVERHEAD_BYTES = 400;
/** Up to this many entries a strategy sees all of them; beyond, the least recently used ones only. */
const STRATEGY_SEES_ALL = 10_000;
const STRATEGY_TAIL = 64;
const NONE: readonly MemoryEntry[] = Object.freeze([]);
/** An entry may have been looked at and not served, so a few that were not used are passed over. */
const UNUSED_LOOKED_AT = 2;

/** The memory of one lane: exact LRU within its entries and bytes, or what the lane's strategy or policy decides. */
export class MemorySpace {
  private readonly entries: LRUCache<string, MemoryEntry>;
  private crowded: 'entries' | 'bytes' = 'entries';
  /** An entry was found since uses were taken: most misses follow none. */
  private mayBeUsed = false;

  constructor(private readonly options: MemorySpaceOptions) {
    this.entries = new LRUCache({ max: options.maxEntries, maxSize: options.maxBytes });
  }

  /** The entry, which is the most recently used one from here on. */
  get(key: string): MemoryEntry | undefined {
    const entry = this.entries.get(key);
    if (entry !== undefined) this.mayBeUsed = true;
    return entry;
  }

  peek(key: string): MemoryEntry | undefined {
    return this.entries.peek(key);
  }

  /** Whether it was stored: an entry larger than the whole lane is not, and leaves nothing under its key. */
  set(entry: MemoryEntry): boolean {
    const size = sizeOf(entry);
    const { strategy, keeper } = this.options;
    if (size > this.options.maxBytes) {
      this.delete(entry.key);
      return false;
    }
    this.entries.delete(entry.key);
    this.crowded = this.entries.calculatedSize + size > this.options.maxBytes ? 'bytes' : 'entries';
    if (strategy !== undefined) this.makeRoom(size, strategy);
    if (keeper !== undefined && !this.makeRoomIn(keeper, entry, size)) return false;
    const victim = this.isFullFor(size) ? this.entries.pop() : undefined;
    const others = victim !== undefined && this.isFullFor(size) ? this.popUntilRoomFor(size) : NONE;
    this.entries.set(entry.key, entry, { size });
    // Only now is the memory in order again: a listener of the event may remove entries of this lane.
    if (victim !== undefined) this.leave(victim);
    for (const other of others) this.leave(other);
    return true;
  }

  delete(key: string): boolean {
    const isDeleted = this.entries.delete(key);
    this.options.keeper?.removed(key);
    return isDeleted;
  }

  clear(): void {
    const { keeper } = this.options;
    if (keeper !== undefined) for (const key of this.entries.keys()) keeper.removed(key);
    this.entries.clear();
  }

  /** Reports the entries that were used since the last call, the one used last at the end, and how often. */
  takeUses(report: ReportUse): void {
    if (!this.mayBeUsed) return;
    this.mayBeUsed = false;
    let used: MemoryEntry[] | undefined;
    let unused = 0;
    for (const entry of this.entries.values()) {
      if (entry.accessCount > entry.reportedUses) (used ??= []).push(entry);
      else if (++unused > UNUSED_LOOKED_AT) break;
    }
    if (used === undefined) return;
    for (let index = used.length - 1; index >= 0; index--) {
      const entry = used[index];
      if (entry === undefined) continue;
      const uses = entry.accessCount - entry.reportedUses;
      entry.reportedUses = entry.accessCount;
      report(requestedOf(entry, entry.sizeBytes), uses);
    }
  }

  usage(): TierUsage {
    return { entries: this.entries.size, sizeBytes: this.entries.calculatedSize };
  }

  /**
   * The entries, the least recently used first. The walk may rest while entries change, but is lost once the entry at which it
   * rests is used or removed.
   */
  *fromOldest(): Iterable<MemoryEntry> {
    for (const entry of this.entries.rvalues()) if (entry !== undefined) yield entry;
  }

  /** The most recently used entry. */
  get newest(): MemoryEntry | undefined {
    for (const entry of this.entries.values()) return entry;
    return undefined;
  }

  /** Most recently used first. */
  values(): Iterable<MemoryEntry> {
    return this.entries.values();
  }

  private isFullFor(size: number): boolean {
    const { maxEntries, maxBytes } = this.options;
    return this.entries.size >= maxEntries || this.entries.calculatedSize + size > maxBytes;
  }

  /** Takes the least recently used entries out. */
  private popUntilRoomFor(size: number): readonly MemoryEntry[] {
    const popped: MemoryEntry[] = [];
    while (this.isFullFor(size)) {
      const victim = this.entries.pop();
      if (victim === undefined) break;
      popped.push(victim);
    }
    return popped;
  }

  /** An entry that was taken out is gone for good. */
  private leave(victim: MemoryEntry): void {
    this.options.keeper?.evicted(victim.key);
    this.options.evicted(victim, this.crowded);
  }

  private makeRoom(size: number, strategy: LaneStrategy): void {
    while (this.isFullFor(size)) {
      const victim = this.chosenBy(strategy);
      if (victim === undefined) return;
      this.entries.delete(victim.key);
      this.options.evicted(victim, this.crowded);
    }
  }

  /** False if the new entry itself is the one to go: others save more than it does. */
  private makeRoomIn(keeper: Keeper, entry: MemoryEntry, size: number): boolean {
    keeper.stored({ key: entry.key, sizeBytes: size, computeMs: entry.computeMs, expiresAt: entry.staleUntil });
    if (keeper.order === 'lru') return true;
    const { key } = entry;
    while (this.isFullFor(size)) {
      const name = keeper.victim();
      if (name === undefined) return true;
      keeper.evicted(name);
      const victim = name === key ? entry : this.entries.peek(name);
      if (victim === undefined) continue;
      if (name !== key) this.entries.delete(name);
      this.options.evicted(victim, this.crowded);
      if (name === key) return false;
    }
    return true;
  }

  /** The highest priority of those looked at; the least recently used one among equals, or if the strategy fails. */
  private chosenBy(strategy: LaneStrategy): MemoryEntry | undefined {
    const now = this.options.now();
    const looked = this.entries.size <= STRATEGY_SEES_ALL ? this.entries.size : STRATEGY_TAIL;
    let victim: MemoryEntry | undefined;
    let highest = -Infinity;
    let seen = 0;
    for (const entry of this.entries.rvalues()) {
      if (entry === undefined || seen++ >= looked) break;
      const priority = priorityOf(strategy, this.options.lane, viewOf(entry, now));
      if (victim === undefined || priority > highest) {
        victim = entry;
        highest = priority;
      }
    }
    return victim;
  }
}

/** How an entry in memory looks to a strategy and to listings. */
function viewOf(entry: MemoryEntry, now: number): EntryView {
  return {
    key: entry.key,
    tags: entry.tags,
    tier: 'l1',
    sizeBytes: entry.sizeBytes,
    computeMs: entry.computeMs,
    accessCount: entry.accessCount,
    ageMs: now - entry.storedAt,
    idleMs: now - entry.usedAt,
    remainingMs: Math.max(0, entry.expiresAt - now),
  };
}

function priorityOf(strategy: LaneStrategy, lane: string, view: EntryView): number {
  try {
    const priority = strategy.getEvictionPriority(lane, view);
    return Number.isNaN(priority) ? -Infinity : priority;
  } catch {
    return -Infinity;
  }
}

/** The entry as eviction sees it. */
export function requestedOf(entry: MemoryEntry, recordBytes: number): RequestedEntry {
  const { key, computeMs, staleUntil } = entry;
  return { key, computeMs, expiresAt: staleUntil, memoryBytes: sizeOf(entry), recordBytes };
}

function sizeOf(entry: MemoryEntry): number {
  return entry.sizeBytes + entry.key.length * 2 + OVERHEAD_BYTES;
}

/** What an entry in memory holds: a value that all may share, or the encoded bytes of which each reader gets a copy. */
export type Held =
  { readonly kind: 'value'; readonly value: unknown } | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

export interface MemoryEntryFields {
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
  /** Orders entries of one birth; 0 for what was promoted from a tier below. */
  readonly flight: number;
  readonly storedAt: number;
  readonly expiresAt: number;
  readonly staleUntil: number;
  /** When a hit starts a refresh in the background. Infinity for never. */
  readonly refreshAt: number;
  readonly computeMs: number;
  /** Encoded bytes of the value before compression. */
  readonly sizeBytes: number;
  readonly schemaVersion: number;
  /** The invalidation log's stamp when the entry was found good. */
  readonly stamp: number;
  readonly held: Held;
}

/** An entry in memory. Its fields are flat and its class is one, because reading it is the hottest path there is. */
export class MemoryEntry {
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
  readonly flight: number;
  readonly storedAt: number;
  readonly computeMs: number;
  readonly sizeBytes: number;
  readonly schemaVersion: number;
  readonly held: Held;
  expiresAt: number;
  staleUntil: number;
  refreshAt: number;
  /** Until then the entry may be served as it is: its value is shared, it is not due for a refresh, and its ttl has not ended. */
  quietUntil: number;
  stamp: number;
  accessCount = 0;
  /** How many of the accesses the lane's eviction knows of. */
  reportedUses = 0;
  usedAt: number;
  /** The resolved promise that every hit returns, made with the first hit. */
  promise: Promise<unknown> | undefined = undefined;

  constructor(fields: MemoryEntryFields) {
    this.key = fields.key;
    this.tags = fields.tags;
    this.birth = fields.birth;
    this.flight = fields.flight;
    this.storedAt = fields.storedAt;
    this.computeMs = fields.computeMs;
    this.sizeBytes = fields.sizeBytes;
    this.schemaVersion = fields.schemaVersion;
    this.held = fields.held;
    this.expiresAt = fields.expiresAt;
    this.staleUntil = fields.staleUntil;
    this.refreshAt = fields.refreshAt;
    this.stamp = fields.stamp;
    this.usedAt = fields.storedAt;
    this.quietUntil = fields.held.kind === 'value' ? Math.min(fields.expiresAt, fields.refreshAt) : 0;
  }

  /** No hit before `at` starts a refresh. */
  refreshFrom(at: number): void {
    this.refreshAt = at;
    this.settle();
  }

  /** Past its ttl at `at`, good as a stale copy for as long as its grace lasts from there. */
  expire(at: number): void {
    if (at >= this.expiresAt) return;
    this.staleUntil = at + (this.staleUntil - this.expiresAt);
    this.expiresAt = at;
    // Whoever asks may have read the clock before it was set to the time of the process that said so.
    this.quietUntil = 0;
  }

  private settle(): void {
    this.quietUntil = this.held.kind === 'value' ? Math.min(this.expiresAt, this.refreshAt) : 0;
  }
}

/** What a record has beside the fields of its entry. */
interface RecordParts {
  readonly value: Uint8Array;
  /** See `encodeRecord`. */
  readonly room: number;
  readonly appVersion: string;
  /** The turn in which the value was computed. */
  readonly turn: string | undefined;
}

/** The record of an entry, as the tiers below keep it. */
export function recordOfEntry(entry: MemoryEntry, { value, room, appVersion, turn }: RecordParts): TierRecord {
  const { key, tags, birth, storedAt, expiresAt, staleUntil, computeMs, schemaVersion } = entry;
  const bytes = encodeRecord(
    {
      key,
      tags,
      birth,
      storedAt,
      expiresAt,
      staleUntil,
      computeMs,
      appVersion,
      schemaVersion,
      value,
    },
    room,
  );
  return { key, tags, birth, expiresAt: staleUntil, computeMs, bytes, turn };
}
