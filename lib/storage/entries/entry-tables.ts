import type { Compression } from '../../entries/compression.js';
import type { Keeper } from '../../eviction/lane-eviction.js';
import { bufferOf, type EntryIndex, type EntryRow, StoredIndex } from './entry-index.js';
import { StorageFault, type Environment, type Table, type Transaction } from '../environment.js';

/**
 * The rows of entries in an environment. All rows of an entry change in one transaction, so none is ever out of step:
 * - `records`: the key that the index says -> the record's bytes, or a reference to its parts
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
  record(lane: string, key: string): Uint8Array | undefined {
    const place = this.index.recordKey(lane, key);
    const row = place === undefined ? undefined : this.records.get(place);
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
  borrow(lane: string, key: string): Buffer | undefined {
    const place = this.index.recordKey(lane, key);
    return place === undefined ? undefined : this.records.borrow(place);
  }

  /** Whether there is something that could be read. */
  has(lane: string, key: string): boolean {
    return this.borrow(lane, key) !== undefined;
  }

  /** What is known of the entry. Throws `StorageFault` when the tables contradict each other. */
  row(lane: string, key: string): EntryRow | undefined {
    const row = this.index.row(lane, key);
    if (row === undefined && this.has(lane, key))
      throw new StorageFault('damaged', `the index of lane '${lane}' misses an entry that is there`);
    return row;
  }
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
    this.seenAt = seen === undefined ? 0 : bufferOf(seen).readDoubleLE(0);
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
    transaction.put(this.table, SEEN, encodeTime(now));
    for (const lane of this.changed) transaction.put(this.table, lane, encodeCount(this.of(lane)));
    this.changed.clear();
  }
}

function encodeTime(time: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleLE(time, 0);
  return bytes;
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
