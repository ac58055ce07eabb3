import type { Compression } from '../../entries/compression.js';
import type { Keeper } from '../../eviction/lane-eviction.js';
import { StorageFault, type Environment, type Table, type TableKey, type Transaction } from '../environment.js';

/**
 * The rows of entries in an environment. All rows of an entry change in one transaction, so none is ever out of step:
 * - `records`: physical key -> the record's bytes, or a reference to its parts
 * - `parts`: [lane, sequence, index] -> a part of a long record
 * - `usage`: lane -> what it holds
 * - `eviction`: lane -> what its eviction goes on with after a restart
 * - those of the index, unless it is in memory
 */
export class EntryTables {
  readonly records: Table;
  readonly parts: Table;
  readonly usage: Table;
  readonly eviction: Table;

  constructor(
    environment: Environment,
    readonly index: EntryIndex = new StoredIndex(environment),
  ) {
    this.records = environment.table('records');
    this.parts = environment.table('parts');
    this.usage = environment.table('usage');
    this.eviction = environment.table('eviction');
  }

  /** The record's bytes as they were stored. Throws `StorageFault` when a part of them is missing. */
  record(lane: string, physical: string): Uint8Array | undefined {
    const row = this.index.mayHave(lane, physical) ? this.records.get(physical) : undefined;
    const reference = row === undefined ? undefined : decodeReference(row);
    if (reference === undefined) return row;
    const parts: Uint8Array[] = [];
    for (let index = 0; index < reference.parts; index++) {
      const bytes = this.parts.get([lane, reference.recordSequence, index]);
      if (bytes === undefined) throw new StorageFault('damaged', `part ${index} of a record is missing`);
      parts.push(bytes);
    }
    return Buffer.concat(parts);
  }

  /** As `record`, without a copy: see `Table.borrow`. A record in parts comes as the reference to them. */
  borrow(lane: string, physical: string): Buffer | undefined {
    return this.index.mayHave(lane, physical) ? this.records.borrow(physical) : undefined;
  }

  /** Whether there is something that could be read. */
  has(lane: string, physical: string): boolean {
    return this.index.mayHave(lane, physical) && this.records.get(physical) !== undefined;
  }

  /** What is known of the entry. Throws `StorageFault` when the tables contradict each other. */
  row(lane: string, physical: string): EntryRow | undefined {
    const row = this.index.row(lane, physical);
    if (row === undefined && this.has(lane, physical))
      throw new StorageFault('damaged', `the index of lane '${lane}' misses an entry that is there`);
    return row;
  }
}

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
class StoredIndex implements EntryIndex {
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
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function encodeSequence(sequence: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(NUMBER_BYTES);
  bytes.writeDoubleLE(sequence, 0);
  return bytes;
}

function decodeSequence(bytes: Uint8Array): number {
  return bufferOf(bytes).readDoubleLE(0);
}

/** As JSON, which keeps lone surrogates that UTF-8 would lose. */
function encodeKey(key: string): Uint8Array {
  return Buffer.from(JSON.stringify(key));
}

function decodeKey(bytes: Uint8Array): string {
  return JSON.parse(bufferOf(bytes).toString('utf8'));
}

/** For values of 16 MiB and more LMDB returns its live map, so no value may be that long. */
const PART_BYTES = 15 * 1024 * 1024;
/** Shorter than any record, so the length of the row shows which it is. */
const REFERENCE_BYTES = 12;

/** Where the parts of a long value lie. */
interface PartsReference {
  readonly recordSequence: number;
  readonly parts: number;
}

/** How many parts a value of `length` needs. 0 when it fits into one row. */
export function countParts(length: number): number {
  return length <= PART_BYTES ? 0 : Math.ceil(length / PART_BYTES);
}

export function part(value: Uint8Array, index: number): Uint8Array {
  return value.subarray(index * PART_BYTES, (index + 1) * PART_BYTES);
}

export function encodeReference(reference: PartsReference): Uint8Array {
  const bytes = Buffer.allocUnsafe(REFERENCE_BYTES);
  bytes.writeDoubleLE(reference.recordSequence, 0);
  bytes.writeUInt32LE(reference.parts, 8);
  return bytes;
}

/** `undefined` when the row is the value itself. */
function decodeReference(row: Uint8Array): PartsReference | undefined {
  if (row.length !== REFERENCE_BYTES) return undefined;
  const bytes = bufferOf(row);
  return { recordSequence: bytes.readDoubleLE(0), parts: bytes.readUInt32LE(8) };
}

/** Beside the lanes, whose keys are strings. */
const SEEN = 0;
const ROW_BYTES = 24;

/** The counts of a lane, and its last sequence. */
export interface LaneCount {
  entries: number;
  sizeBytes: number;
  sequence: number;
}

/** The counts of all lanes, stored with the entries they count, so that opening needs no scan. */
export class LaneUsage {
  private readonly counts = new Map<string, LaneCount>();
  private readonly changed = new Set<string>();

  /** The latest time at which an earlier opener wrote; 0 for none. */
  readonly seenAt: number;

  constructor(private readonly table: Table) {
    const seen = table.get(SEEN);
    this.seenAt = seen === undefined ? 0 : decodeSequence(seen);
    for (const { key, value } of table.range()) if (typeof key === 'string') this.counts.set(key, decodeCount(value));
  }

  /** The lane's counts. A caller that changes them in place also calls `note`. */
  of(lane: string): LaneCount {
    let count = this.counts.get(lane);
    if (count === undefined) this.counts.set(lane, (count = { entries: 0, sizeBytes: 0, sequence: 0 }));
    return count;
  }

  /** Lanes that have ever held something here. */
  lanes(): readonly string[] {
    return [...this.counts.keys()];
  }

  note(lane: string): void {
    this.changed.add(lane);
  }

  writeTo(transaction: Transaction, now: number): void {
    transaction.put(this.table, SEEN, encodeSequence(now));
    for (const lane of this.changed) transaction.put(this.table, lane, encodeCount(this.of(lane)));
    this.changed.clear();
  }
}

function encodeCount(count: LaneCount): Uint8Array {
  const bytes = Buffer.allocUnsafe(ROW_BYTES);
  bytes.writeDoubleLE(count.entries, 0);
  bytes.writeDoubleLE(count.sizeBytes, 8);
  bytes.writeDoubleLE(count.sequence, 16);
  return bytes;
}

function decodeCount(row: Uint8Array): LaneCount {
  if (row.length !== ROW_BYTES) throw new StorageFault('damaged', 'the counts of a lane cannot be read');
  const bytes = bufferOf(row);
  return { entries: bytes.readDoubleLE(0), sizeBytes: bytes.readDoubleLE(8), sequence: bytes.readDoubleLE(16) };
}

/** The limits of a lane in a store, and what is evicted first. */
export interface LaneRules {
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** Absent: records are stored as they are. */
  readonly compression?: Compression;
  /** Of the least recently used entries the one with the highest priority is evicted first. Absent: the least recently used. */
  readonly priority?: (entry: EntryRow, now: number) => number;
  /** Decides what is evicted first, and learns what is stored and removed. */
  readonly keeper?: Keeper | undefined;
}

/** An entry as it comes into the store. */
export interface StoredRecord {
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
  /** Epoch ms from which the record is of no use at all. */
  readonly expiresAt: number;
  readonly computeMs: number;
  readonly bytes: Uint8Array;
}
