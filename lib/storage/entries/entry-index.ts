import { SlotHeap } from '../../eviction/slot-heap.js';
import { SlotList } from '../../eviction/slot-list.js';
import { NONE, type Slot } from '../../eviction/slots.js';
import { StorageFault, type Environment, type Table, type TableKey, type Transaction } from '../environment.js';

/** What the store knows of its entries without their bytes, by key, in the order of recency, and in the order of expiry. */
export interface EntryIndex {
  /** False where the index knows that nothing is stored under the key. */
  mayHave(lane: string, physical: string): boolean;
  /** Throws `StorageFault` when the index contradicts itself. */
  row(lane: string, physical: string): EntryRow | undefined;
  /** At most `limit` rows from `fromSequence` on, the least recently used first. */
  leastRecent(lane: string, fromSequence: number, limit: number): EntryRow[];
  /** At most `limit` rows before `beforeSequence`, the most recently used first. */
  mostRecent(lane: string, beforeSequence: number, limit: number): EntryRow[];
  /** The keys of at most `limit` entries that ended by `now`. */
  expired(lane: string, now: number, limit: number): string[];
  /** Writes what a change makes of the index, in the transaction of the change. */
  write(transaction: Transaction, lane: string, change: IndexChange): void;
  /** The transaction of these changes is committed. They come in the order of their sequences, up to `sequence`. */
  committed(lane: string, changes: Iterable<IndexChange>, sequence: number): void;
}

/** An entry as it is stored, and as it will be. */
export interface IndexChange {
  readonly physical: string;
  readonly stored: EntryRow | undefined;
  readonly row: EntryRow | undefined;
}

/** Past every sequence and every time. */
const END = Number.MAX_VALUE;

/**
 * The index in tables beside the records. Opening it reads none of it.
 * - `places`: physical key -> sequence
 * - `recency`: [lane, sequence] -> the entry's row, the least recently used first
 * - `expiry`: [lane, expiresAt, sequence] -> the key
 */
export class StoredIndex implements EntryIndex {
  private readonly places: Table;
  private readonly recency: Table;
  private readonly expiry: Table;

  constructor(environment: Environment) {
    this.places = environment.table('places');
    this.recency = environment.table('recency');
    this.expiry = environment.table('expiry');
  }

  /** Only the record itself shows it. */
  mayHave(): boolean {
    return true;
  }

  row(lane: string, physical: string): EntryRow | undefined {
    const place = this.places.get(physical);
    if (place === undefined) return undefined;
    const sequence = decodeSequence(place);
    const bytes = this.recency.get([lane, sequence]);
    if (bytes === undefined) throw new StorageFault('damaged', `the index of lane '${lane}' misses row ${sequence}`);
    return decodeRow(bytes, sequence);
  }

  leastRecent(lane: string, fromSequence: number, limit: number): EntryRow[] {
    const rows: EntryRow[] = [];
    for (const { key, value } of this.recency.range({ start: [lane, fromSequence], end: [lane, END], limit })) {
      rows.push(decodeRow(value, sequenceOf(key)));
    }
    return rows;
  }

  mostRecent(lane: string, beforeSequence: number, limit: number): EntryRow[] {
    const rows: EntryRow[] = [];
    const start = [lane, Math.min(beforeSequence - 1, END)];
    for (const { key, value } of this.recency.range({ start, end: [lane, -1], reverse: true, limit })) {
      rows.push(decodeRow(value, sequenceOf(key)));
    }
    return rows;
  }

  expired(lane: string, now: number, limit: number): string[] {
    const keys: string[] = [];
    for (const { value } of this.expiry.range({ start: [lane], end: [lane, now, END], limit })) {
      keys.push(decodeKey(value));
    }
    return keys;
  }

  write(transaction: Transaction, lane: string, { physical, stored, row }: IndexChange): void {
    const isSame = stored !== undefined && stored.recordSequence === row?.recordSequence;
    if (stored !== undefined) {
      transaction.remove(this.recency, [lane, stored.sequence]);
      if (!isSame) transaction.remove(this.expiry, [lane, finite(stored.expiresAt), stored.recordSequence]);
      if (row === undefined) transaction.remove(this.places, physical);
    }
    if (row === undefined) return;
    transaction.put(this.places, physical, encodeSequence(row.sequence));
    transaction.put(this.recency, [lane, row.sequence], encodeEntryRow(row));
    if (isSame) return;
    transaction.put(this.expiry, [lane, finite(row.expiresAt), row.recordSequence], encodeKey(row.key));
  }

  committed(): void {
    // the transaction has written it
  }
}

/** An order of times has no place for `Infinity`. */
const finite = (time: number): number => Math.min(time, Number.MAX_SAFE_INTEGER);

function decodeRow(bytes: Uint8Array, sequence: number): EntryRow {
  try {
    return decodeEntryRow(bytes, sequence);
  } catch (cause) {
    throw new StorageFault('damaged', `row ${sequence} of the index cannot be read`, cause);
  }
}

function sequenceOf(key: TableKey): number {
  const sequence = typeof key === 'object' ? key[1] : undefined;
  return typeof sequence === 'number' ? sequence : Number.NaN;
}

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

/** What the store knows of an entry without touching its bytes. */
export interface EntryRow {
  readonly key: string;
  readonly tags: readonly string[];
  /** Bytes of the record as stored, compressed if it was worth it. */
  readonly sizeBytes: number;
  /** Position in the invalidation log at which the computation started. */
  readonly birth: number;
  readonly computeMs: number;
  /** Epoch ms at which the entry came into this store. */
  readonly storedAt: number;
  /** Epoch ms from which the record is of no use at all. */
  readonly expiresAt: number;
  /** Epoch ms at which a use was last noted. */
  readonly touchedAt: number;
  readonly accessCount: number;
  /** The sequence at which the entry was stored. It names these bytes while they are stored. */
  readonly recordSequence: number;
  /** The sequence of its last use: its place in the order of recency. */
  readonly sequence: number;
  /** How many rows of the parts table hold the bytes; 0 when the entry's own row does. */
  readonly parts: number;
}

const NUMBER_BYTES = 8;
const HEADER_BYTES = 9 * NUMBER_BYTES;

/** The row as stored under `[lane, sequence]`; the sequence itself is in the key. */
function encodeEntryRow(row: EntryRow): Uint8Array {
  const text = JSON.stringify([row.key, ...row.tags]);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + Buffer.byteLength(text));
  let offset = bytes.writeDoubleLE(row.sizeBytes, 0);
  offset = bytes.writeDoubleLE(row.birth, offset);
  offset = bytes.writeDoubleLE(row.computeMs, offset);
  offset = bytes.writeDoubleLE(row.storedAt, offset);
  offset = bytes.writeDoubleLE(row.expiresAt, offset);
  offset = bytes.writeDoubleLE(row.touchedAt, offset);
  offset = bytes.writeDoubleLE(row.accessCount, offset);
  offset = bytes.writeDoubleLE(row.recordSequence, offset);
  offset = bytes.writeDoubleLE(row.parts, offset);
  bytes.write(text, offset);
  return bytes;
}

/** Throws on bytes that `encodeEntryRow` did not write. */
function decodeEntryRow(bytes: Uint8Array, sequence: number): EntryRow {
  const row = bufferOf(bytes);
  const texts: string[] = JSON.parse(row.toString('utf8', HEADER_BYTES));
  const key = texts.shift();
  if (key === undefined) throw new RangeError('an index row without a key');
  return {
    key,
    tags: texts,
    sizeBytes: row.readDoubleLE(0),
    birth: row.readDoubleLE(NUMBER_BYTES),
    computeMs: row.readDoubleLE(2 * NUMBER_BYTES),
    storedAt: row.readDoubleLE(3 * NUMBER_BYTES),
    expiresAt: row.readDoubleLE(4 * NUMBER_BYTES),
    touchedAt: row.readDoubleLE(5 * NUMBER_BYTES),
    accessCount: row.readDoubleLE(6 * NUMBER_BYTES),
    recordSequence: row.readDoubleLE(7 * NUMBER_BYTES),
    sequence,
    parts: row.readDoubleLE(8 * NUMBER_BYTES),
  };
}

/** The same memory. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function encodeSequence(sequence: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(NUMBER_BYTES);
  bytes.writeDoubleLE(sequence, 0);
  return bytes;
}

export function decodeSequence(bytes: Uint8Array): number {
  return bufferOf(bytes).readDoubleLE(0);
}

/** As JSON, which keeps lone surrogates that UTF-8 would lose. */
function encodeKey(key: string): Uint8Array {
  return Buffer.from(JSON.stringify(key));
}

function decodeKey(bytes: Uint8Array): string {
  return JSON.parse(bufferOf(bytes).toString('utf8'));
}
