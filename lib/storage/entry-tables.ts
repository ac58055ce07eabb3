import { physicalKey } from '../entries/key.js';
import { decodeEntryRow, decodeKey, decodeSequence, type EntryRow } from './entry-row.js';
import { StorageFault, type Environment, type Table, type TableKey } from './environment.js';
import { decodeReference } from './split-value.js';

/** Past every sequence and every time. */
const END = Number.MAX_VALUE;

/**
 * How entries lie in an environment. All rows of an entry change in one transaction, so that none is ever stale:
 * `records`: physical key -> the record's bytes, or a reference to its parts;
 * `parts`: [lane, landed, index] -> a stretch of a long record;
 * `places`: physical key -> sequence;
 * `recency`: [lane, sequence] -> the entry's row, the least recently used first;
 * `expiry`: [lane, expiresAt, landed] -> the key;
 * `usage`: lane -> what it holds.
 */
export class EntryTables {
  readonly records: Table;
  readonly parts: Table;
  readonly places: Table;
  readonly recency: Table;
  readonly expiry: Table;
  readonly usage: Table;

  constructor(environment: Environment) {
    this.records = environment.table('records');
    this.parts = environment.table('parts');
    this.places = environment.table('places');
    this.recency = environment.table('recency');
    this.expiry = environment.table('expiry');
    this.usage = environment.table('usage');
  }

  /** The record's bytes as they were stored. Throws `StorageFault` when a part of them is missing. */
  record(lane: string, key: string): Uint8Array | undefined {
    const row = this.records.get(physicalKey(lane, key));
    const reference = row === undefined ? undefined : decodeReference(row);
    if (reference === undefined) return row;
    const parts: Uint8Array[] = [];
    for (let index = 0; index < reference.parts; index++) {
      const bytes = this.parts.get([lane, reference.landed, index]);
      if (bytes === undefined) throw new StorageFault('damaged', `part ${index} of a record is missing`);
      parts.push(bytes);
    }
    return Buffer.concat(parts);
  }

  has(lane: string, key: string): boolean {
    const physical = physicalKey(lane, key);
    return this.places.get(physical) !== undefined || this.records.get(physical) !== undefined;
  }

  /** What is known of the entry. Throws `StorageFault` when the tables contradict each other. */
  row(lane: string, key: string): EntryRow | undefined {
    const row = this.indexed(lane, key);
    if (row === undefined && this.records.get(physicalKey(lane, key)) !== undefined)
      throw new StorageFault('damaged', `the index of lane '${lane}' misses an entry that is there`);
    return row;
  }

  /** As `row`, for whoever replaces the record: whether there is one beside the index does not matter then. */
  indexed(lane: string, key: string): EntryRow | undefined {
    const place = this.places.get(physicalKey(lane, key));
    if (place === undefined) return undefined;
    const sequence = decodeSequence(place);
    const bytes = this.recency.get([lane, sequence]);
    if (bytes === undefined) throw new StorageFault('damaged', `the index of lane '${lane}' misses row ${sequence}`);
    return decodeRow(bytes, sequence);
  }

  /** At most `limit` rows from `fromSequence` on, the least recently used first. */
  leastRecent(lane: string, fromSequence: number, limit: number): EntryRow[] {
    const rows: EntryRow[] = [];
    for (const { key, value } of this.recency.range({ start: [lane, fromSequence], end: [lane, END], limit })) {
      rows.push(decodeRow(value, sequenceOf(key)));
    }
    return rows;
  }

  /** At most `limit` keys of entries that ended by `now`, the longest dead first. */
  expired(lane: string, now: number, limit: number): string[] {
    const keys: string[] = [];
    for (const { value } of this.expiry.range({ start: [lane], end: [lane, now, END], limit })) {
      keys.push(decodeKey(value));
    }
    return keys;
  }
}

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
