import { crc32 } from 'node:zlib';
import { physicalKey } from '../../entries/record.js';
import { SlotHeap, SlotList, NONE, type Slot } from '../../eviction/slots.js';
import { StorageFault, type Environment, type Table, type TableKey, type Transaction } from '../environment.js';

/** What the store knows of its entries without their bytes, by key, in the order of recency, and in the order of expiry. */
export interface EntryIndex {
  /** Under which key of the table the record lies, if it is there. Undefined where the index knows that it is not. */
  recordKey(lane: string, key: string): TableKey | undefined;
  /** Throws `StorageFault` when the index contradicts itself. */
  row(lane: string, key: string): EntryRow | undefined;
  /** At most `limit` rows from `fromSequence` on, the least recently used first. */
  leastRecent(lane: string, fromSequence: number, limit: number): EntryRow[];
  /** At most `limit` rows before `beforeSequence`, the most recently used first. */
  mostRecent(lane: string, beforeSequence: number, limit: number): EntryRow[];
  /** The keys of at most `limit` entries that ended by `now`, found as they are asked for. */
  expired(lane: string, now: number, limit: number): Iterable<string>;
  /** Writes what the changes of a lane make of the index and of the table of records. They come in the order of their sequences. */
  write(transaction: Transaction, lane: string, changes: IndexChanges, records: Table): void;
  /** The transaction of the changes that were written last is committed. Their last sequence is `sequence`. */
  committed(lane: string, changes: IndexChanges, sequence: number): void;
}

/** An entry as it is stored, and as it will be. */
export interface IndexChange {
  readonly stored: EntryRow | undefined;
  readonly row: EntryRow | undefined;
  /** What the table of records has of it, if that is new. */
  readonly record: Uint8Array | undefined;
}

/** By key. */
type IndexChanges = ReadonlyMap<string, IndexChange>;

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
  /** The page of the index that has this row; 0 if none has it. */
  readonly page: number;
  /** How many rows of the parts table hold the bytes; 0 when the entry's own row does. */
  readonly parts: number;
}

/**
 * The index in memory, of entries that end with the process. It is as of the last commit, and serves the next store over the
 * same environment when one has failed. Records lie under numbers. One that comes takes the number of one that goes, so that
 * one row is written for both.
 */
export class SessionIndex implements EntryIndex {
  private readonly lanes = new Map<string, LaneIndex>();
  private readonly freeNumbers: number[] = [];
  private nextNumber = 0;

  recordKey(lane: string, key: string): number | undefined {
    return this.lanes.get(lane)?.number(key);
  }

  row(lane: string, key: string): EntryRow | undefined {
    return this.lanes.get(lane)?.row(key);
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

  write(transaction: Transaction, lane: string, changes: IndexChanges, records: Table): void {
    const index = this.laneIndex(lane);
    const left: number[] = [];
    for (const [key, { row }] of changes) {
      const number = row === undefined ? index.number(key) : undefined;
      if (number !== undefined) left.push(number);
    }
    const taken: number[] = [];
    for (const [key, { record }] of changes) {
      if (record === undefined) continue;
      let number = index.number(key);
      // A number that a failed commit has taken is not used again.
      if (number === undefined) taken.push((number = left.pop() ?? this.freeNumbers.pop() ?? this.nextNumber++));
      transaction.put(records, number, record);
    }
    for (const number of left) transaction.remove(records, number);
    index.written = { taken, left };
  }

  committed(lane: string, changes: IndexChanges, sequence: number): void {
    const index = this.laneIndex(lane);
    const { taken, left } = index.written;
    let next = 0;
    for (const [key, { row }] of changes) {
      if (row === undefined) index.remove(key);
      else if (index.set(row, taken[next])) next++;
    }
    this.freeNumbers.push(...left);
    index.sequence = sequence;
  }

  private laneIndex(lane: string): LaneIndex {
    let index = this.lanes.get(lane);
    if (index === undefined) this.lanes.set(lane, (index = new LaneIndex()));
    return index;
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
  /** The numbers of records that the transaction gives to new entries, in their order, and those that it leaves free. */
  written: { readonly taken: readonly number[]; readonly left: readonly number[] } = { taken: [], left: [] };
  private readonly slots = new Map<string, Slot>();
  private readonly rows: (EntryRow | undefined)[] = [];
  /** Under which number the record lies. */
  private readonly numbers: (number | undefined)[] = [];
  private readonly free: Slot[] = [];
  private readonly recency = new SlotList();
  private readonly expiry = new SlotHeap();
  private capacity = 0;
  /** The slot at which the last listing ended. The next one goes on there. */
  private listedTo: Slot = NONE;

  get size(): number {
    return this.slots.size;
  }

  row(key: string): EntryRow | undefined {
    const slot = this.slots.get(key);
    return slot === undefined ? undefined : this.rows[slot];
  }

  /** Of its record. */
  number(key: string): number | undefined {
    const slot = this.slots.get(key);
    return slot === undefined ? undefined : this.numbers[slot];
  }

  /** The row becomes the most recently used one. Whether its key is new: then its record lies under `number`. */
  set(row: EntryRow, number: number | undefined): boolean {
    const known = this.slots.get(row.key);
    const slot = known ?? this.newSlot(row.key, number);
    if (known !== undefined) this.recency.remove(slot);
    this.rows[slot] = row;
    this.recency.append(slot);
    this.expiry.set(slot, row.expiresAt);
    return known === undefined;
  }

  remove(key: string): void {
    const slot = this.slots.get(key);
    if (slot === undefined) return;
    this.slots.delete(key);
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

  private newSlot(key: string, number: number | undefined): Slot {
    const slot = this.free.pop() ?? this.rows.push(undefined) - 1;
    if (slot === this.capacity) {
      this.capacity = Math.max(FIRST_SLOTS, 2 * this.capacity);
      this.recency.grow(this.capacity);
      this.expiry.grow(this.capacity);
    }
    this.slots.set(key, slot);
    this.numbers[slot] = number;
    return slot;
  }
}

/** Past every sequence and every time. */
const END = Number.MAX_VALUE;
/** So many are looked up for a slice of a sweep. */
const PAGES_AT_ONCE = 32;

/**
 * The index in tables beside the records. Opening it reads none of it. The rows of a commit share pages, so that an entry takes a
 * fraction of a row in the orders of recency and of expiry. An entry that is used or stored again moves to a page of that commit.
 *
 *     places   physical key                  -> [page, sequence]
 *     recency  [lane, page]                  -> the page: its rows, the least recently used first
 *     expiry   [lane, earliest end, page]    -> nothing
 *
 * A page has the number of the last sequence that it was made with, so that pages and the rows in them have one order. What the
 * tables say of each other is checked: an entry that is not found cannot be removed.
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

  /** Only the record itself shows whether it is there. */
  recordKey(lane: string, key: string): string {
    return physicalKey(lane, key);
  }

  row(lane: string, key: string): EntryRow | undefined {
    const place = this.places.borrow(physicalKey(lane, key));
    if (place === undefined) return undefined;
    const { page, sequence } = decodePlace(place);
    const row = this.page(lane, page).find(sequence);
    if (row?.key === key) return row;
    throw new StorageFault('damaged', `the index of lane '${lane}' misses row ${sequence}`);
  }

  leastRecent(lane: string, fromSequence: number, limit: number): EntryRow[] {
    const found: EntryRow[] = [];
    for (const { key, value } of this.recency.range({ start: [lane, fromSequence], end: [lane, END], limit })) {
      const rows = IndexPage.read(pageOf(key), value).rows();
      found.push(...rows.filter(({ sequence }) => sequence >= fromSequence));
      if (found.length >= limit) break;
    }
    return found.slice(0, limit);
  }

  mostRecent(lane: string, beforeSequence: number, limit: number): EntryRow[] {
    const found: EntryRow[] = [];
    // The first page from there on may begin before.
    const around = { start: [lane, Math.min(beforeSequence, END)], end: [lane, END], limit: 1 };
    const before = { start: [lane, Math.min(beforeSequence - 1, END)], end: [lane, -1], reverse: true, limit };
    for (const range of [around, before]) {
      for (const { key, value } of this.recency.range(range)) {
        const rows = IndexPage.read(pageOf(key), value).rows();
        found.push(...rows.filter(({ sequence }) => sequence < beforeSequence).toReversed());
        if (found.length >= limit) return found.slice(0, limit);
      }
    }
    return found;
  }

  *expired(lane: string, now: number, limit: number): Iterable<string> {
    let found = 0;
    // The range is read before anything else is.
    const pages = Array.from(this.expiry.range({ start: [lane], end: [lane, now, END], limit: PAGES_AT_ONCE }));
    for (const { key, value } of pages) {
      for (const ended of value.length > 0 ? [decodeKey(value)] : this.expiredIn(lane, pageOf(key), now)) {
        if (found++ === limit) return;
        yield ended;
      }
    }
  }

  write(transaction: Transaction, lane: string, changes: IndexChanges, records: Table): void {
    const left = new Map<number, Set<number>>();
    let added = new NewPage();
    for (const [key, { stored, row, record }] of changes) {
      const physical = physicalKey(lane, key);
      if (record !== undefined) transaction.put(records, physical, record);
      if (stored !== undefined) {
        const sequences = left.get(stored.page);
        if (sequences === undefined) left.set(stored.page, new Set([stored.sequence]));
        else sequences.add(stored.sequence);
        if (row === undefined) {
          transaction.remove(records, physical);
          transaction.remove(this.places, physical);
        }
      }
      if (row === undefined) continue;
      const bytes = encodeRow(row);
      if (!added.hasRoomFor(bytes)) {
        this.add(transaction, lane, added);
        added = new NewPage();
      }
      added.add({ physical, sequence: row.sequence, bytes });
    }
    this.add(transaction, lane, added);
    for (const [number, sequences] of left) this.takeOut(transaction, lane, number, sequences);
  }

  committed(): void {
    // the transaction has written it
  }

  private page(lane: string, number: number): IndexPage {
    const bytes = this.recency.borrow([lane, number]);
    if (bytes !== undefined) return IndexPage.read(number, bytes);
    throw new StorageFault('damaged', `the index of lane '${lane}' misses page ${number}`);
  }

  private expiredIn(lane: string, number: number, now: number): string[] {
    const keys = this.page(lane, number).endedBy(now);
    if (keys.length > 0) return keys;
    throw new StorageFault('damaged', `the index of lane '${lane}' has page ${number} at a wrong end`);
  }

  private add(transaction: Transaction, lane: string, added: NewPage): void {
    const number = added.rows.at(-1)?.sequence;
    if (number === undefined) return;
    const page = IndexPage.of(number, added.rows);
    transaction.put(this.recency, [lane, number], page.bytes);
    transaction.put(this.expiry, [lane, ...page.expiryKey()], NOTHING);
    for (const { physical, sequence } of added.rows) {
      transaction.put(this.places, physical, encodePlace(number, sequence));
    }
  }

  /** Takes the rows of `sequences` out of a page. */
  private takeOut(transaction: Transaction, lane: string, number: number, sequences: ReadonlySet<number>): void {
    const page = this.page(lane, number);
    const ended = page.expiryKey();
    const rest = page.without(sequences);
    const ends = rest?.expiryKey();
    if (rest === undefined) transaction.remove(this.recency, [lane, number]);
    else transaction.put(this.recency, [lane, number], rest.bytes);
    if (ends?.[0] === ended[0]) return;
    transaction.remove(this.expiry, [lane, ...ended]);
    if (ends !== undefined) transaction.put(this.expiry, [lane, ...ends], NOTHING);
  }
}

const NOTHING = new Uint8Array(0);

/** An order of times has no place for `Infinity`. */
const finite = (time: number): number => Math.min(time, Number.MAX_SAFE_INTEGER);

/** The last part of a key of `recency` or `expiry`. */
function pageOf(key: TableKey): number {
  return Number(typeof key === 'object' ? key.at(-1) : undefined);
}

const NUMBER_BYTES = 8;
const ROW_HEADER_BYTES = 9 * NUMBER_BYTES;
const AT_EXPIRES = 4 * NUMBER_BYTES;

/** Page and sequence are not part of it. The texts are JSON, which keeps lone surrogates that UTF-8 would lose. */
function encodeRow(row: EntryRow): Buffer {
  const { sizeBytes, birth, computeMs, storedAt, expiresAt, touchedAt, accessCount, recordSequence, parts } = row;
  const numbers = [sizeBytes, birth, computeMs, storedAt, expiresAt, touchedAt, accessCount, recordSequence, parts];
  const text = JSON.stringify([row.key, ...row.tags]);
  const bytes = Buffer.allocUnsafe(ROW_HEADER_BYTES + Buffer.byteLength(text));
  let at = 0;
  for (const number of numbers) at = bytes.writeDoubleLE(number, at);
  bytes.write(text, at);
  return bytes;
}

/** Throws on bytes that `encodeRow` did not write. */
function decodeRow(bytes: Buffer, sequence: number, page: number): EntryRow {
  const [key, ...tags]: string[] = JSON.parse(bytes.toString('utf8', ROW_HEADER_BYTES));
  if (key === undefined) throw new RangeError('an index row without a key');
  return {
    key,
    tags,
    sizeBytes: bytes.readDoubleLE(0),
    birth: bytes.readDoubleLE(NUMBER_BYTES),
    computeMs: bytes.readDoubleLE(2 * NUMBER_BYTES),
    storedAt: bytes.readDoubleLE(3 * NUMBER_BYTES),
    expiresAt: bytes.readDoubleLE(AT_EXPIRES),
    touchedAt: bytes.readDoubleLE(5 * NUMBER_BYTES),
    accessCount: bytes.readDoubleLE(6 * NUMBER_BYTES),
    recordSequence: bytes.readDoubleLE(7 * NUMBER_BYTES),
    sequence,
    page,
    parts: bytes.readDoubleLE(8 * NUMBER_BYTES),
  };
}

/** A row as it lies in a page. */
interface PageRow {
  readonly sequence: number;
  readonly bytes: Buffer;
}

/*
 * A page, whose numbers are little-endian:
 *
 * |  at |  bytes | what |
 * | --: | -----: | ---- |
 * |   0 |      4 | CRC-32 of everything after the mark |
 * |   4 |      4 | mark |
 * |   8 |      4 | number of rows |
 * |  12 | 12 x n | of each row: its sequence (8 bytes), and where it ends (4) |
 * |     |        | the rows |
 */
const AT_MARK = 4;
const AT_COUNT = 8;
const AT_DIRECTORY = 12;
const DIRECTORY_BYTES = 12;
/** A row of an earlier release begins with a size, whose last bytes are never that. */
const PAGE_MARK = 0xff_ff_ff_ff;
/** A page fits into one page of LMDB, which has a header of 24 bytes. A row that is longer has a page of its own. */
const PAGE_BYTES = 4_096 - 24;

/** The rows of a page that is being made. */
class NewPage {
  readonly rows: (PageRow & { readonly physical: string })[] = [];
  private bytes = AT_DIRECTORY;

  hasRoomFor(row: Uint8Array): boolean {
    return this.rows.length === 0 || this.bytes + DIRECTORY_BYTES + row.length <= PAGE_BYTES;
  }

  add(row: PageRow & { readonly physical: string }): void {
    this.rows.push(row);
    this.bytes += DIRECTORY_BYTES + row.bytes.length;
  }
}

/**
 * Rows of one lane that came in one commit, without those that were removed or used since.
 *
 * Earlier releases wrote one row for each page, without what is before it. They numbered the row in `expiry` by the sequence
 * of the record, with the key as its value.
 */
class IndexPage {
  private constructor(
    private readonly number: number,
    readonly bytes: Buffer,
    private readonly count: number,
    private readonly isOfEarlierRelease: boolean,
  ) {}

  /** Throws `StorageFault` when the bytes are not as they were written. */
  static read(number: number, stored: Uint8Array): IndexPage {
    const bytes = bufferOf(stored);
    if (bytes.length < ROW_HEADER_BYTES) throw damagedPage(number);
    if (bytes.readUInt32LE(AT_MARK) !== PAGE_MARK) return new IndexPage(number, bytes, 1, true);
    if (bytes.readUInt32LE(0) !== crc32(bytes.subarray(AT_COUNT))) throw damagedPage(number);
    return new IndexPage(number, bytes, bytes.readUInt32LE(AT_COUNT), false);
  }

  static of(number: number, rows: readonly PageRow[]): IndexPage {
    let at = AT_DIRECTORY + rows.length * DIRECTORY_BYTES;
    const bytes = Buffer.allocUnsafe(rows.reduce((length, row) => length + row.bytes.length, at));
    bytes.writeUInt32LE(PAGE_MARK, AT_MARK);
    let directory = bytes.writeUInt32LE(rows.length, AT_COUNT);
    for (const row of rows) {
      bytes.set(row.bytes, at);
      at += row.bytes.length;
      directory = bytes.writeUInt32LE(at, bytes.writeDoubleLE(row.sequence, directory));
    }
    bytes.writeUInt32LE(crc32(bytes.subarray(AT_COUNT)), 0);
    return new IndexPage(number, bytes, rows.length, false);
  }

  rows(): EntryRow[] {
    const rows: EntryRow[] = [];
    for (let index = 0; index < this.count; index++) rows.push(this.row(index));
    return rows;
  }

  find(sequence: number): EntryRow | undefined {
    for (let index = 0; index < this.count; index++) if (this.sequence(index) === sequence) return this.row(index);
    return undefined;
  }

  /** The rest of its key in `expiry`: the earliest end of its rows, and what distinguishes it from other pages with the same. */
  expiryKey(): readonly [endsAt: number, number: number] {
    if (this.isOfEarlierRelease) {
      const { expiresAt, recordSequence } = this.row(0);
      return [finite(expiresAt), recordSequence];
    }
    let earliest = Infinity;
    for (let index = 0; index < this.count; index++) earliest = Math.min(earliest, this.expiresAt(index));
    return [finite(earliest), this.number];
  }

  /** The keys of rows that ended by `now`. */
  endedBy(now: number): string[] {
    const keys: string[] = [];
    for (let index = 0; index < this.count; index++) if (this.expiresAt(index) <= now) keys.push(this.row(index).key);
    return keys;
  }

  /** The page without the rows of these sequences. Undefined if none is left. Throws if one of them is not in it. */
  without(sequences: ReadonlySet<number>): IndexPage | undefined {
    const kept: PageRow[] = [];
    for (let index = 0; index < this.count; index++) {
      const sequence = this.sequence(index);
      if (!sequences.has(sequence)) kept.push({ sequence, bytes: this.rowBytes(index) });
    }
    if (kept.length !== this.count - sequences.size) throw damagedPage(this.number);
    return kept.length === 0 ? undefined : IndexPage.of(this.number, kept);
  }

  private row(index: number): EntryRow {
    try {
      return decodeRow(this.rowBytes(index), this.sequence(index), this.number);
    } catch (cause) {
      throw damagedPage(this.number, cause);
    }
  }

  private rowBytes(index: number): Buffer {
    return this.bytes.subarray(this.start(index), this.end(index));
  }

  private sequence(index: number): number {
    return this.isOfEarlierRelease ? this.number : this.bytes.readDoubleLE(AT_DIRECTORY + index * DIRECTORY_BYTES);
  }

  private expiresAt(index: number): number {
    return this.bytes.readDoubleLE(this.start(index) + AT_EXPIRES);
  }

  private start(index: number): number {
    if (this.isOfEarlierRelease) return 0;
    return index === 0 ? AT_DIRECTORY + this.count * DIRECTORY_BYTES : this.end(index - 1);
  }

  private end(index: number): number {
    if (this.isOfEarlierRelease) return this.bytes.length;
    return this.bytes.readUInt32LE(AT_DIRECTORY + index * DIRECTORY_BYTES + NUMBER_BYTES);
  }
}

function damagedPage(number: number, cause?: unknown): StorageFault {
  return new StorageFault('damaged', `page ${number} of the index cannot be read`, cause);
}

/** Where the row of an entry is. Earlier releases wrote the sequence alone, which was the number of the page as well. */
function encodePlace(page: number, sequence: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(2 * NUMBER_BYTES);
  bytes.writeDoubleLE(sequence, bytes.writeDoubleLE(page, 0));
  return bytes;
}

function decodePlace(bytes: Uint8Array): { readonly page: number; readonly sequence: number } {
  const place = bufferOf(bytes);
  if (place.length < NUMBER_BYTES) throw new StorageFault('damaged', 'a place of the index cannot be read');
  const page = place.readDoubleLE(0);
  return { page, sequence: place.length < 2 * NUMBER_BYTES ? page : place.readDoubleLE(NUMBER_BYTES) };
}

/** The same memory. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decodeKey(bytes: Uint8Array): string {
  try {
    return JSON.parse(bufferOf(bytes).toString('utf8'));
  } catch (cause) {
    throw new StorageFault('damaged', 'an end in the index cannot be read', cause);
  }
}
