import { physicalKey } from '../../entries/key.js';
import type { Keeper } from '../../eviction/lane-eviction.js';
import type { EntryRow, IndexChange } from './entry-index.js';
import {
  type EntryTables,
  type StoredRecord,
  type LaneUsage,
  countParts,
  encodeReference,
  part,
} from './entry-tables.js';
import type { Table, TableKey, Transaction } from '../environment.js';

/** An entry that changes with this batch: as it is stored, and as it will be. */
interface Draft extends IndexChange {
  /** The bytes to store, if they are new. */
  readonly bytes: Uint8Array | undefined;
}

/**
 * The changes of one transaction, visible to reads of the batch.
 *
 * What is written in the end is only the difference: an entry that came and went within the batch leaves no trace.
 */
export class EntryBatch {
  /** By lane and key, those of a lane in the order of their new sequences. The hash of a key is known, that of its physical key is not. */
  private readonly drafts = new Map<string, Map<string, Draft>>();
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
    return !this.hasDrafts && this.extra.length === 0 && !this.isProbe;
  }

  find(lane: string, key: string): EntryRow | undefined {
    const draft = this.draftOf(lane, key);
    return draft === undefined ? this.tables.row(lane, physicalKey(lane, key)) : draft.row;
  }

  /** Whether the stored row, as read from the tables, still holds within this batch. */
  isUntouched(lane: string, row: EntryRow): boolean {
    return this.draftOf(lane, row.key) === undefined;
  }

  /** The lane's entries that came or were used within this batch, the least recently used first. */
  *newest(lane: string): Iterable<EntryRow> {
    for (const { row } of this.drafts.get(lane)?.values() ?? []) if (row !== undefined) yield row;
  }

  /** `bytes`: those of the record, perhaps compressed. */
  put(lane: string, record: StoredRecord, bytes: Uint8Array): void {
    const draft = this.draftOf(lane, record.key);
    const physical = draft?.physical ?? physicalKey(lane, record.key);
    const stored = draft === undefined ? this.tables.index.row(lane, physical) : draft.stored;
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
      page: 0,
      parts: countParts(bytes.length),
    };
    this.stage(lane, key, { physical, stored, row, bytes });
    this.keeperOf(lane)?.stored(row);
  }

  /** Whether there was something to remove. */
  remove(lane: string, key: string): boolean {
    const draft = this.draftOf(lane, key);
    const physical = draft?.physical ?? physicalKey(lane, key);
    const stored = draft === undefined ? this.tables.row(lane, physical) : draft.stored;
    const row = draft === undefined ? stored : draft.row;
    if (row !== undefined) this.drop(lane, physical, stored, row);
    this.keeperOf(lane)?.removed(key);
    return row !== undefined;
  }

  /** Removes the entry of a row that was just found: stored and untouched, or one of `newest`. */
  evict(lane: string, row: EntryRow): void {
    const draft = this.draftOf(lane, row.key);
    const physical = draft?.physical ?? physicalKey(lane, row.key);
    this.drop(lane, physical, draft === undefined ? row : draft.stored, row);
    this.keeperOf(lane)?.evicted(row.key);
  }

  /** Moves the entry to the young end of the order of recency. */
  touch(lane: string, key: string, uses: number): void {
    const draft = this.draftOf(lane, key);
    const physical = draft?.physical ?? physicalKey(lane, key);
    const stored = draft === undefined ? this.tables.row(lane, physical) : draft.stored;
    const row = draft === undefined ? stored : draft.row;
    if (row === undefined) return;
    const sequence = ++this.usage.of(lane).sequence;
    this.usage.note(lane);
    const moved: EntryRow = { ...row, sequence, touchedAt: this.now, accessCount: row.accessCount + uses };
    this.stage(lane, key, { physical, stored, row: moved, bytes: draft?.bytes });
  }

  /** A row of another table that must come to be together with the entries. */
  set(table: Table, key: TableKey, value: Uint8Array): void {
    this.extra.push({ table, key, value });
  }

  unset(table: Table, key: TableKey): void {
    this.extra.push({ table, key, value: undefined });
  }

  writeTo(transaction: Transaction): void {
    for (const [lane, drafts] of this.drafts) {
      for (const draft of drafts.values()) this.writeRecord(transaction, lane, draft);
      this.tables.index.write(transaction, lane, drafts.values());
    }
    for (const { table, key, value } of this.extra) {
      if (value === undefined) transaction.remove(table, key);
      else transaction.put(table, key, value);
    }
    this.usage.writeTo(transaction, this.now);
  }

  /** What was written is committed. */
  committed(): void {
    for (const [lane, drafts] of this.drafts) {
      this.tables.index.committed(lane, drafts.values(), this.usage.of(lane).sequence);
    }
  }

  private writeRecord(transaction: Transaction, lane: string, { physical, stored, row, bytes }: Draft): void {
    const { records, parts } = this.tables;
    if (stored !== undefined && stored.recordSequence !== row?.recordSequence) {
      for (let index = 0; index < stored.parts; index++) {
        transaction.remove(parts, [lane, stored.recordSequence, index]);
      }
      if (row === undefined) transaction.remove(records, physical);
    }
    if (row === undefined || bytes === undefined) return;
    transaction.put(records, physical, row.parts === 0 ? bytes : encodeReference(row));
    for (let index = 0; index < row.parts; index++) {
      transaction.put(parts, [lane, row.recordSequence, index], part(bytes, index));
    }
  }

  private drop(lane: string, physical: string, stored: EntryRow | undefined, row: EntryRow): void {
    this.count(lane, row, undefined);
    this.stage(lane, row.key, { physical, stored, row: undefined, bytes: undefined });
  }

  private draftOf(lane: string, key: string): Draft | undefined {
    return this.drafts.get(lane)?.get(key);
  }

  private get hasDrafts(): boolean {
    for (const drafts of this.drafts.values()) if (drafts.size > 0) return true;
    return false;
  }

  private stage(lane: string, key: string, draft: Draft): void {
    let drafts = this.drafts.get(lane);
    if (drafts === undefined) this.drafts.set(lane, (drafts = new Map()));
    drafts.delete(key);
    drafts.set(key, draft);
  }

  private count(lane: string, old: EntryRow | undefined, newBytes: number | undefined): { sequence: number } {
    const count = this.usage.of(lane);
    count.entries += (newBytes === undefined ? 0 : 1) - (old === undefined ? 0 : 1);
    count.sizeBytes += (newBytes ?? 0) - (old?.sizeBytes ?? 0);
    this.usage.note(lane);
    return count;
  }
}
