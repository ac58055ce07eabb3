import { physicalKey } from '../../entries/key.js';
import type { Keeper } from '../../eviction/lane-eviction.js';
import {
  encodeEntryRow,
  encodeKey,
  encodeSequence,
  type EntryRow,
  type EntryTables,
  type StoredRecord,
  type LaneUsage,
  countParts,
  encodeReference,
  part,
} from './entry-tables.js';
import type { Table, TableKey, Transaction } from '../environment.js';

/** An entry that changes with this batch: as it is stored, and as it will be. */
interface Draft {
  readonly lane: string;
  readonly stored: EntryRow | undefined;
  readonly row: EntryRow | undefined;
  /** The bytes to store, if they are new. */
  readonly bytes: Uint8Array | undefined;
}

/**
 * The changes of one transaction, visible to reads of the batch.
 *
 * What is written in the end is only the difference: an entry that came and went within the batch leaves no trace.
 */
export class EntryBatch {
  /** By physical key, in the order of the new sequences. */
  private readonly drafts = new Map<string, Draft>();
  private readonly extra: { readonly table: Table; readonly key: TableKey; readonly value: Uint8Array | undefined }[] =
    [];

  constructor(
    private readonly tables: EntryTables,
    private readonly usage: LaneUsage,
    readonly now: number,
    private readonly keeperOf: (lane: string) => Keeper | undefined = () => undefined,
  ) {}

  /** Whether it is written even if nothing changes, to see that it can be. */
  isProbe = false;

  get isEmpty(): boolean {
    return this.drafts.size === 0 && this.extra.length === 0 && !this.isProbe;
  }

  find(lane: string, key: string): EntryRow | undefined {
    const physical = physicalKey(lane, key);
    const draft = this.drafts.get(physical);
    return draft === undefined ? this.tables.row(lane, physical) : draft.row;
  }

  /** Whether the stored row, as read from the tables, still holds within this batch. */
  isUntouched(lane: string, row: EntryRow): boolean {
    return !this.drafts.has(physicalKey(lane, row.key));
  }

  /** The lane's entries that came or were used within this batch, the least recently used first. */
  *newest(lane: string): Iterable<EntryRow> {
    for (const draft of this.drafts.values()) if (draft.lane === lane && draft.row !== undefined) yield draft.row;
  }

  /** `physical`: the record's physical key. `bytes` may be its compressed bytes. */
  put(lane: string, physical: string, record: StoredRecord, bytes: Uint8Array): void {
    const draft = this.drafts.get(physical);
    const stored = draft === undefined ? this.tables.indexed(lane, physical) : draft.stored;
    const count = this.count(lane, draft === undefined ? stored : draft.row, bytes.length);
    const sequence = ++count.sequence;
    const { key, tags, birth, computeMs, expiresAt } = record;
    const row: EntryRow = {
      key,
      tags,
      birth,
      computeMs,
      expiresAt,
      sizeBytes: bytes.length,
      storedAt: this.now,
      touchedAt: this.now,
      accessCount: 0,
      recordSequence: sequence,
      sequence,
      parts: countParts(bytes.length),
    };
    this.stage(physical, { lane, stored, row, bytes });
    this.keeperOf(lane)?.stored(row);
  }

  /** Whether there was something to remove. */
  remove(lane: string, key: string): boolean {
    const physical = physicalKey(lane, key);
    const draft = this.drafts.get(physical);
    const stored = draft === undefined ? this.tables.row(lane, physical) : draft.stored;
    const row = draft === undefined ? stored : draft.row;
    if (row !== undefined) this.drop(lane, physical, stored, row);
    this.keeperOf(lane)?.removed(key);
    return row !== undefined;
  }

  /** Removes the entry of a row that was just found: stored and untouched, or one of `newest`. */
  evict(lane: string, row: EntryRow): void {
    const physical = physicalKey(lane, row.key);
    const draft = this.drafts.get(physical);
    this.drop(lane, physical, draft === undefined ? row : draft.stored, row);
    this.keeperOf(lane)?.evicted(row.key);
  }

  /** Moves the entry to the young end of the order of recency. */
  touch(lane: string, key: string, uses: number): void {
    const physical = physicalKey(lane, key);
    const draft = this.drafts.get(physical);
    const stored = draft === undefined ? this.tables.row(lane, physical) : draft.stored;
    const row = draft === undefined ? stored : draft.row;
    if (row === undefined) return;
    const sequence = ++this.usage.of(lane).sequence;
    this.usage.note(lane);
    const moved: EntryRow = { ...row, sequence, touchedAt: this.now, accessCount: row.accessCount + uses };
    this.stage(physical, { lane, stored, row: moved, bytes: draft?.bytes });
  }

  /** A row of another table that must come to be together with the entries. */
  set(table: Table, key: TableKey, value: Uint8Array): void {
    this.extra.push({ table, key, value });
  }

  unset(table: Table, key: TableKey): void {
    this.extra.push({ table, key, value: undefined });
  }

  writeTo(transaction: Transaction): void {
    for (const [physical, draft] of this.drafts) {
      if (draft.stored !== undefined) this.dropOld(transaction, physical, draft.stored, draft);
      if (draft.row !== undefined) this.putNew(transaction, physical, draft.row, draft);
    }
    for (const { table, key, value } of this.extra) {
      if (value === undefined) transaction.remove(table, key);
      else transaction.put(table, key, value);
    }
    this.usage.writeTo(transaction, this.now);
  }

  private dropOld(transaction: Transaction, physical: string, old: EntryRow, { lane, row }: Draft): void {
    transaction.remove(this.tables.recency, [lane, old.sequence]);
    if (row?.recordSequence !== old.recordSequence) {
      transaction.remove(this.tables.expiry, [lane, finite(old.expiresAt), old.recordSequence]);
      for (let index = 0; index < old.parts; index++)
        transaction.remove(this.tables.parts, [lane, old.recordSequence, index]);
    }
    if (row === undefined) {
      transaction.remove(this.tables.places, physical);
      transaction.remove(this.tables.records, physical);
    }
  }

  private putNew(transaction: Transaction, physical: string, row: EntryRow, { lane, bytes }: Draft): void {
    transaction.put(this.tables.places, physical, encodeSequence(row.sequence));
    transaction.put(this.tables.recency, [lane, row.sequence], encodeEntryRow(row));
    if (bytes === undefined) return;
    transaction.put(this.tables.expiry, [lane, finite(row.expiresAt), row.recordSequence], encodeKey(row.key));
    transaction.put(this.tables.records, physical, row.parts === 0 ? bytes : encodeReference(row));
    for (let index = 0; index < row.parts; index++) {
      transaction.put(this.tables.parts, [lane, row.recordSequence, index], part(bytes, index));
    }
  }

  private drop(lane: string, physical: string, stored: EntryRow | undefined, row: EntryRow): void {
    this.count(lane, row, undefined);
    this.stage(physical, { lane, stored, row: undefined, bytes: undefined });
  }

  private stage(physical: string, draft: Draft): void {
    this.drafts.delete(physical);
    this.drafts.set(physical, draft);
  }

  private count(lane: string, old: EntryRow | undefined, newBytes: number | undefined): { sequence: number } {
    const count = this.usage.of(lane);
    count.entries += (newBytes === undefined ? 0 : 1) - (old === undefined ? 0 : 1);
    count.sizeBytes += (newBytes ?? 0) - (old?.sizeBytes ?? 0);
    this.usage.note(lane);
    return count;
  }
}

/** An order of times has no place for `Infinity`. */
const finite = (time: number): number => Math.min(time, Number.MAX_SAFE_INTEGER);
