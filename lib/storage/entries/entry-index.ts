import { SlotHeap, SlotList, NONE, type Slot } from '../../eviction/slots.js';
import { StorageFault, type Environment, type Table, type TableKey, type Transaction } from '../environment.js';

/** What the store knows of its entries without their bytes, by key, in the order of recency, and in the order of expiry. */
export interface EntryIndex {
  /** Under which key the record lies, if it is there. Undefined where the index knows that it is not. */
  recordKey(lane: string, physical: string): TableKey | undefined;
  /** Throws `StorageFault` when the index contradicts itself. */
  row(lane: string, physical: string): EntryRow | undefined;
  /** At most `limit` rows from `fromSequence` on, the least recently used first. */
  leastRecent(lane: string, fromSequence: number, limit: number): EntryRow[];
  /** At most `limit` rows before `beforeSequence`, the most recently used first. */
  mostRecent(lane: string, beforeSequence: number, limit: number): EntryRow[];
  /** The keys of at most `limit` entries that ended by `now`. */
  expired(lane: string, now: number, limit: number): string[];
  /** Writes what the changes of a lane make of the index and of the table of records. They come in the order of their sequences. */
  write(transaction: Transaction, lane: string, changes: IndexChanges, records: Table): void;
  /** The transaction of the changes that were written last is committed. Their last sequence is `sequence`. */
  committed(lane: string, changes: IndexChanges, sequence: number): void;
}

/** An entry as it is stored, and as it will be. */
export interface IndexChange {
  readonly physical: string;
  readonly stored: EntryRow | undefined;
  readonly row: EntryRow | undefined;
  /** What the table of records has of it, if that is new. */
  readonly record: Uint8Array | undefined;
}

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

  recordKey(lane: string, physical: string): number | undefined {
    return this.lanes.get(lane)?.number(physical);
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

  write(transaction: Transaction, lane: string, changes: IndexChanges, records: Table): void {
    const index = this.laneIndex(lane);
    const left: number[] = [];
    for (const { physical, row } of changes.values()) {
      const number = row === undefined ? index.number(physical) : undefined;
      if (number !== undefined) left.push(number);
    }
    const taken: number[] = [];
    for (const { physical, record } of changes.values()) {
      if (record === undefined) continue;
      let number = index.number(physical);
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
    for (const { physical, row } of changes.values()) {
      if (row === undefined) index.remove(physical);
      else index.set(physical, row, index.number(physical) ?? taken[next++]);
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

  row(physical: string): EntryRow | undefined {
    const slot = this.slots.get(physical);
    return slot === undefined ? undefined : this.rows[slot];
  }

  /** Of its record. */
  number(physical: string): number | undefined {
    const slot = this.slots.get(physical);
    return slot === undefined ? undefined : this.numbers[slot];
  }

  /** The row becomes the most recently used one. */
  set(physical: string, row: EntryRow, number: number | undefined): void {
    let slot = this.slots.get(physical);
    if (slot === undefined) this.slots.set(physical, (slot = this.free.pop() ?? this.newSlot()));
    else this.recency.remove(slot);
    this.rows[slot] = row;
    this.numbers[slot] = number;
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
    this.numbers.push(undefined);
    return slot;
  }
}

/** Past every sequence and every time. */
const END = Number.MAX_VALUE;

/**
 * The index in tables beside the records. Opening it reads none of it. The rows of a commit share pages, so that an entry takes a
 * fraction of a row in the orders of recency and of expiry.
 * - `places`: physical key -> [page, sequence]
 * - `recency`: [lane, page] -> the rows of the page, the least recently used first. A page has the number of its last sequence.
 * - `expiry`: [lane, the earliest end in the page, page] -> nothing
 *
 * Folders of earlier releases have pages of another form, see `IndexPage`.
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
  recordKey(_lane: string, physical: string): string {
    return physical;
  }

  row(lane: string, physical: string): EntryRow | undefined {
    const place = this.places.get(physical);
    if (place === undefined) return undefined;
    const { page, sequence } = decodePlace(place);
    const row = this.page(lane, page)?.find(sequence);
    if (row === undefined) throw new StorageFault('damaged', `the index of lane '${lane}' misses row ${sequence}`);
    return row;
  }

  leastRecent(lane: string, fromSequence: number, limit: number): EntryRow[] {
    const found: EntryRow[] = [];
    for (const { key, value } of this.recency.range({ start: [lane, fromSequence], end: [lane, END], limit })) {
      for (const row of new IndexPage(pageOf(key), value).rows()) {
        if (row.sequence >= fromSequence && found.length < limit) found.push(row);
      }
      if (found.length === limit) break;
    }
    return found;
  }

  mostRecent(lane: string, beforeSequence: number, limit: number): EntryRow[] {
    const found: EntryRow[] = [];
    const take = ({ key, value }: { readonly key: TableKey; readonly value: Uint8Array }): void => {
      for (const row of new IndexPage(pageOf(key), value).rows().toReversed()) {
        if (row.sequence < beforeSequence && found.length < limit) found.push(row);
      }
    };
    // The first page from there on may begin before.
    const around = { start: [lane, Math.min(beforeSequence, END)], end: [lane, END], limit: 1 };
    for (const page of this.recency.range(around)) take(page);
    const start = [lane, Math.min(beforeSequence - 1, END)];
    for (const page of this.recency.range({ start, end: [lane, -1], reverse: true, limit })) {
      if (found.length === limit) break;
      take(page);
    }
    return found;
  }

  expired(lane: string, now: number, limit: number): string[] {
    const keys: string[] = [];
    // The pages are read when the range has been.
    const ended = Array.from(this.expiry.range({ start: [lane], end: [lane, now, END], limit }));
    for (const { key, value } of ended) {
      if (keys.length >= limit) break;
      if (value.length > 0) keys.push(decodeKey(value));
      else keys.push(...this.expiredIn(lane, pageOf(key), now));
    }
    return keys.slice(0, limit);
  }

  write(transaction: Transaction, lane: string, changes: IndexChanges, records: Table): void {
    const gone = new Map<number, Set<number>>();
    let added = new PageDraft();
    for (const { physical, stored, row, record } of changes.values()) {
      if (record !== undefined) transaction.put(records, physical, record);
      if (stored !== undefined) {
        const sequences = gone.get(stored.page);
        if (sequences === undefined) gone.set(stored.page, new Set([stored.sequence]));
        else sequences.add(stored.sequence);
        if (row === undefined) {
          transaction.remove(records, physical);
          transaction.remove(this.places, physical);
        }
      }
      if (row === undefined) continue;
      const text = rowText(row);
      if (!added.hasRoom(text)) {
        this.add(transaction, lane, added);
        added = new PageDraft();
      }
      added.add(physical, row, text);
    }
    this.add(transaction, lane, added);
    for (const [number, sequences] of gone) this.shorten(transaction, lane, number, sequences);
  }

  committed(): void {
    // the transaction has written it
  }

  private page(lane: string, number: number): IndexPage | undefined {
    const bytes = this.recency.borrow([lane, number]);
    return bytes === undefined ? undefined : new IndexPage(number, bytes);
  }

  private expiredIn(lane: string, number: number, now: number): string[] {
    const page = this.page(lane, number);
    if (page === undefined) throw new StorageFault('damaged', `the index of lane '${lane}' misses page ${number}`);
    return page.rows().flatMap(({ key, expiresAt }) => (expiresAt <= now ? key : []));
  }

  private add(transaction: Transaction, lane: string, draft: PageDraft): void {
    const number = draft.number;
    if (number === undefined) return;
    const page = new IndexPage(number, draft.encode());
    transaction.put(this.recency, [lane, number], page.bytes);
    transaction.put(this.expiry, [lane, ...page.expiryKey()], NOTHING);
    for (const { physical, row } of draft.rows) {
      transaction.put(this.places, physical, encodePlace(number, row.sequence));
    }
  }

  /** Takes the rows of `sequences` out of a page. */
  private shorten(transaction: Transaction, lane: string, number: number, sequences: ReadonlySet<number>): void {
    const page = this.page(lane, number);
    if (page === undefined) throw new StorageFault('damaged', `the index of lane '${lane}' misses page ${number}`);
    const ended = page.expiryKey();
    const rest = page.without(sequences);
    if (rest === undefined) {
      transaction.remove(this.recency, [lane, number]);
      transaction.remove(this.expiry, [lane, ...ended]);
      return;
    }
    transaction.put(this.recency, [lane, number], rest.bytes);
    const ends = rest.expiryKey();
    if (ends[0] === ended[0]) return;
    transaction.remove(this.expiry, [lane, ...ended]);
    transaction.put(this.expiry, [lane, ...ends], NOTHING);
  }
}

const NOTHING = new Uint8Array(0);

/** An order of times has no place for `Infinity`. */
const finite = (time: number): number => Math.min(time, Number.MAX_SAFE_INTEGER);

/** The last part of a key of `recency` or `expiry`. */
function pageOf(key: TableKey): number {
  const number = typeof key === 'object' ? key.at(-1) : undefined;
  return typeof number === 'number' ? number : Number.NaN;
}

const NUMBER_BYTES = 8;
const HEADER_BYTES = 9 * NUMBER_BYTES;
const AT_EXPIRES = 4 * NUMBER_BYTES;

/** As JSON, which keeps lone surrogates that UTF-8 would lose. */
const rowText = (row: EntryRow): Buffer => Buffer.from(JSON.stringify([row.key, ...row.tags]));

/** Writes a row at `at` and returns where it ends. Page and sequence are not part of it. */
function writeRow(bytes: Buffer, at: number, row: EntryRow, text: Uint8Array): number {
  let offset = bytes.writeDoubleLE(row.sizeBytes, at);
  offset = bytes.writeDoubleLE(row.birth, offset);
  offset = bytes.writeDoubleLE(row.computeMs, offset);
  offset = bytes.writeDoubleLE(row.storedAt, offset);
  offset = bytes.writeDoubleLE(row.expiresAt, offset);
  offset = bytes.writeDoubleLE(row.touchedAt, offset);
  offset = bytes.writeDoubleLE(row.accessCount, offset);
  offset = bytes.writeDoubleLE(row.recordSequence, offset);
  offset = bytes.writeDoubleLE(row.parts, offset);
  bytes.set(text, offset);
  return offset + text.length;
}

/** Throws on bytes that `writeRow` did not write. */
function readRow(bytes: Buffer, at: number, end: number, sequence: number, page: number): EntryRow {
  const texts: string[] = JSON.parse(bytes.toString('utf8', at + HEADER_BYTES, end));
  const key = texts.shift();
  if (key === undefined) throw new RangeError('an index row without a key');
  return {
    key,
    tags: texts,
    sizeBytes: bytes.readDoubleLE(at),
    birth: bytes.readDoubleLE(at + NUMBER_BYTES),
    computeMs: bytes.readDoubleLE(at + 2 * NUMBER_BYTES),
    storedAt: bytes.readDoubleLE(at + 3 * NUMBER_BYTES),
    expiresAt: bytes.readDoubleLE(at + AT_EXPIRES),
    touchedAt: bytes.readDoubleLE(at + 5 * NUMBER_BYTES),
    accessCount: bytes.readDoubleLE(at + 6 * NUMBER_BYTES),
    recordSequence: bytes.readDoubleLE(at + 7 * NUMBER_BYTES),
    sequence,
    page,
    parts: bytes.readDoubleLE(at + 8 * NUMBER_BYTES),
  };
}

/** A page fits into one page of LMDB, which has a header of 16 bytes. A row that is longer has a page of its own. */
const PAGE_BYTES = 4_080;
const PAGE_HEADER_BYTES = 8;
/** Its sequence, and where it ends. */
const DIRECTORY_BYTES = 12;
/** In the last bytes of the first number: a row of an earlier release begins with a size, which is never that. */
const PAGE_MARK = 0xff_ff_ff_ff;

/** The rows of a page that is being made. */
class PageDraft {
  readonly rows: { readonly physical: string; readonly row: EntryRow; readonly text: Uint8Array }[] = [];
  private bytes = PAGE_HEADER_BYTES;

  hasRoom(text: Uint8Array): boolean {
    return this.rows.length === 0 || this.bytes + DIRECTORY_BYTES + HEADER_BYTES + text.length <= PAGE_BYTES;
  }

  add(physical: string, row: EntryRow, text: Uint8Array): void {
    this.rows.push({ physical, row, text });
    this.bytes += DIRECTORY_BYTES + HEADER_BYTES + text.length;
  }

  get number(): number | undefined {
    return this.rows.at(-1)?.row.sequence;
  }

  encode(): Buffer {
    const page = Buffer.allocUnsafe(this.bytes);
    let directory = writePageHead(page, this.rows.length);
    let at = directory + this.rows.length * DIRECTORY_BYTES;
    for (const { row, text } of this.rows) {
      at = writeRow(page, at, row, text);
      directory = page.writeUInt32LE(at, page.writeDoubleLE(row.sequence, directory));
    }
    return page;
  }
}

function writePageHead(page: Buffer, rows: number): number {
  return page.writeUInt32LE(PAGE_MARK, page.writeUInt32LE(rows, 0));
}

/**
 * Rows of one lane that came in one commit, without those that were removed or used since:
 * the number of rows and a mark (4 bytes each), sequence and end of each row (8 and 4 bytes), the rows.
 *
 * Earlier releases wrote one row for each page, without what is before it. They numbered the row in `expiry` by the sequence
 * of the record, with the key as its value. Throws `StorageFault` when the bytes cannot be read.
 */
class IndexPage {
  readonly bytes: Buffer;
  private readonly isSingle: boolean;
  private readonly count: number;

  constructor(
    private readonly number: number,
    bytes: Uint8Array,
  ) {
    this.bytes = bufferOf(bytes);
    if (bytes.length < HEADER_BYTES) throw this.damage();
    this.isSingle = this.bytes.readUInt32LE(4) !== PAGE_MARK;
    this.count = this.isSingle ? 1 : this.bytes.readUInt32LE(0);
    if (this.count === 0 || (!this.isSingle && this.firstRow() + this.count * HEADER_BYTES > bytes.length))
      throw this.damage();
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

  /** The earliest end of its rows, and what distinguishes the page from others with the same: the rest of its key in `expiry`. */
  expiryKey(): readonly [endsAt: number, number: number] {
    if (this.isSingle) {
      const { expiresAt, recordSequence } = this.row(0);
      return [finite(expiresAt), recordSequence];
    }
    let earliest = Infinity;
    for (let index = 0; index < this.count; index++) {
      earliest = Math.min(earliest, this.bytes.readDoubleLE(this.start(index) + AT_EXPIRES));
    }
    return [finite(earliest), this.number];
  }

  /** The page without the rows of these sequences. Undefined if none is left. Throws if one of them is not in it. */
  without(sequences: ReadonlySet<number>): IndexPage | undefined {
    const kept: number[] = [];
    let length = PAGE_HEADER_BYTES;
    for (let index = 0; index < this.count; index++) {
      if (sequences.has(this.sequence(index))) continue;
      kept.push(index);
      length += DIRECTORY_BYTES + this.end(index) - this.start(index);
    }
    if (kept.length !== this.count - sequences.size) throw this.damage();
    if (kept.length === 0) return undefined;
    const page = Buffer.allocUnsafe(length);
    let directory = writePageHead(page, kept.length);
    let at = directory + kept.length * DIRECTORY_BYTES;
    for (const index of kept) {
      at += this.bytes.copy(page, at, this.start(index), this.end(index));
      directory = page.writeUInt32LE(at, page.writeDoubleLE(this.sequence(index), directory));
    }
    return new IndexPage(this.number, page);
  }

  private row(index: number): EntryRow {
    try {
      return readRow(this.bytes, this.start(index), this.end(index), this.sequence(index), this.number);
    } catch (cause) {
      throw this.damage(cause);
    }
  }

  private sequence(index: number): number {
    return this.isSingle ? this.number : this.bytes.readDoubleLE(PAGE_HEADER_BYTES + index * DIRECTORY_BYTES);
  }

  private start(index: number): number {
    return index === 0 ? this.firstRow() : this.end(index - 1);
  }

  private firstRow(): number {
    return this.isSingle ? 0 : PAGE_HEADER_BYTES + this.count * DIRECTORY_BYTES;
  }

  private end(index: number): number {
    if (this.isSingle) return this.bytes.length;
    return this.bytes.readUInt32LE(PAGE_HEADER_BYTES + index * DIRECTORY_BYTES + NUMBER_BYTES);
  }

  private damage(cause?: unknown): StorageFault {
    return new StorageFault('damaged', `page ${this.number} of the index cannot be read`, cause);
  }
}

/** Where the row of an entry is. Earlier releases wrote the sequence alone, which was the number of the page as well. */
function encodePlace(page: number, sequence: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(2 * NUMBER_BYTES);
  bytes.writeDoubleLE(sequence, bytes.writeDoubleLE(page, 0));
  return bytes;
}

function decodePlace(bytes: Uint8Array): { readonly page: number; readonly sequence: number } {
  const place = bufferOf(bytes);
  const page = place.readDoubleLE(0);
  return { page, sequence: place.length < 2 * NUMBER_BYTES ? page : place.readDoubleLE(NUMBER_BYTES) };
}

/** The same memory. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decodeKey(bytes: Uint8Array): string {
  return JSON.parse(bufferOf(bytes).toString('utf8'));
}
