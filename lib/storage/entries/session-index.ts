import { SlotHeap, SlotList, NONE, type Slot } from '../../eviction/slots.js';
import type { EntryIndex, EntryRow, IndexChange } from './entry-tables.js';

/**
 * The index in memory, of entries that end with the process. It is as of the last commit, and serves the next store over the
 * same environment when one has failed.
 */
export class SessionIndex implements EntryIndex {
  private readonly lanes = new Map<string, LaneIndex>();

  mayHave(lane: string, physical: string): boolean {
    return this.row(lane, physical) !== undefined;
  }

  row(lane: string, physical: string): EntryRow | undefined {
    return this.lanes.get(lane)?.row(physical);
  }

  leastRecent(lane: string, fromSequence: number, limit: number): EntryRow[] {
    return this.lanes.get(lane)?.leastRecent(fromSequence, limit) ?? [];
  }

  mostRecent(lane: string, beforeSequence: number, limit: number): EntryRow[] {
    return this.lanes.get(lane)?.mostRecent(beforeSequence, limit) ?? [];
  }

  expired(lane: string, now: number, limit: number): string[] {
    return this.lanes.get(lane)?.expired(now, limit) ?? [];
  }

  write(): void {
    // nothing of it is stored
  }

  committed(lane: string, changes: Iterable<IndexChange>, sequence: number): void {
    let index = this.lanes.get(lane);
    if (index === undefined) this.lanes.set(lane, (index = new LaneIndex()));
    for (const { physical, row } of changes) {
      if (row === undefined) index.remove(physical);
      else index.set(physical, row);
    }
    index.sequence = sequence;
  }

  /** Whether it has exactly what was stored. Every commit raises a lane's sequence, or lowers its number of entries. */
  agrees(lane: string, stored: { readonly entries: number; readonly sequence: number }): boolean {
    const index = this.lanes.get(lane);
    return stored.entries === (index?.size ?? 0) && stored.sequence === (index?.sequence ?? 0);
  }
}

const FIRST_SLOTS = 64;

/** The entries of one lane, each in a slot of its own. */
class LaneIndex {
  /** The last sequence that was committed. */
  sequence = 0;
  private readonly slots = new Map<string, Slot>();
  private readonly rows: (EntryRow | undefined)[] = [];
  private readonly free: Slot[] = [];
  private readonly recency = new SlotList();
  private readonly expiry = new SlotHeap();
  private capacity = 0;
  /** The slot at which the last listing ended. The next one goes on there. */
  private listedTo: Slot = NONE;

  get size(): number {
    return this.slots.size;
  }

  row(physical: string): EntryRow | undefined {
    const slot = this.slots.get(physical);
    return slot === undefined ? undefined : this.rows[slot];
  }

  /** The row becomes the most recently used one. */
  set(physical: string, row: EntryRow): void {
    let slot = this.slots.get(physical);
    if (slot === undefined) this.slots.set(physical, (slot = this.free.pop() ?? this.newSlot()));
    else this.recency.remove(slot);
    this.rows[slot] = row;
    this.recency.append(slot);
    this.expiry.set(slot, row.expiresAt);
  }

  remove(physical: string): void {
    const slot = this.slots.get(physical);
    if (slot === undefined) return;
    this.slots.delete(physical);
    this.recency.remove(slot);
    this.expiry.remove(slot);
    this.rows[slot] = undefined;
    this.free.push(slot);
  }

  leastRecent(fromSequence: number, limit: number): EntryRow[] {
    const found: EntryRow[] = [];
    const goesOn = this.rows[this.listedTo]?.sequence === fromSequence - 1;
    let slot = goesOn ? this.recency.next(this.listedTo) : this.recency.first;
    for (; slot !== NONE && found.length < limit; slot = this.recency.next(slot)) {
      const row = this.rows[slot];
      if (row === undefined || row.sequence < fromSequence) continue;
      found.push(row);
      this.listedTo = slot;
    }
    return found;
  }

  mostRecent(beforeSequence: number, limit: number): EntryRow[] {
    const found: EntryRow[] = [];
    for (let slot = this.recency.last; slot !== NONE && found.length < limit; slot = this.recency.previous(slot)) {
      const row = this.rows[slot];
      if (row !== undefined && row.sequence < beforeSequence) found.push(row);
    }
    return found;
  }

  expired(now: number, limit: number): string[] {
    return this.expiry.upTo(now, limit).flatMap((slot) => this.rows[slot]?.key ?? []);
  }

  private newSlot(): Slot {
    const slot = this.rows.length;
    if (slot === this.capacity) {
      this.capacity = Math.max(FIRST_SLOTS, 2 * this.capacity);
      this.recency.grow(this.capacity);
      this.expiry.grow(this.capacity);
    }
    this.rows.push(undefined);
    return slot;
  }
}
