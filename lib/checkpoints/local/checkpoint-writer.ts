import type { TableKey } from '../../storage/environment.js';
import { CheckpointRows, partCount } from './checkpoint-rows.js';
import type { CheckpointDraft, CheckpointMark, CheckpointRecord, SaveOutcome } from '../checkpoint-store.js';
import {
  EVERYTHING,
  FORMAT,
  PART_BYTES,
  STORE_KEY,
  headRow,
  keyOf,
  laneScope,
  pointerRow,
  ranges,
  recordRow,
  scopesOf,
  storeRow,
  usageRow,
  type CheckpointTables,
  type Head,
  type Pointer,
  type FaultReportingTable,
  type WriteBatch,
} from './checkpoint-tables.js';

/** Changes a version together with its state, indexes and counts, in one batch. */
export class CheckpointWriter {
  readonly rows: CheckpointRows;

  constructor(
    private readonly tables: CheckpointTables,
    private readonly batch: WriteBatch,
  ) {
    this.rows = new CheckpointRows(tables, batch);
  }

  save(draft: CheckpointDraft, state: Uint8Array, expectedVersion: number | undefined): SaveOutcome {
    const idKey = keyOf(draft.id);
    const head = this.rows.head(idKey);
    const stored = draft.token === undefined ? undefined : this.rows.savedAs(idKey, draft.token);
    if (stored !== undefined) return { outcome: 'saved', record: stored };
    if (expectedVersion !== undefined) {
      const currentVersion = this.rows.current(idKey, draft.savedAt);
      if (currentVersion !== expectedVersion) return { outcome: 'conflict', currentVersion };
    }
    const sequence = this.rows.store.sequence + 1;
    const version = head.counter + 1;
    const record: CheckpointRecord = { ...draft, version, sequence, pinned: false, damaged: false };
    this.batch.put(this.tables.store, STORE_KEY, storeRow.seal({ format: FORMAT, sequence }));
    this.putRecord(idKey, record);
    for (let part = 0; part < partCount(draft.sizeBytes); part += 1) {
      const bytes = state.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
      this.batch.put(this.tables.states, [idKey, version, part], bytes);
    }
    this.index(record, [idKey, version]);
    this.count(idKey, { ...head, counter: version, newest: version }, record, 1);
    return { outcome: 'saved', record };
  }

  /** Returns the record, if it was readable. */
  remove(idKey: string, version: number): CheckpointRecord | undefined {
    const record = this.rows.record(idKey, version);
    const head = this.rows.head(idKey);
    this.batch.remove(this.tables.versions, [idKey, version]);
    this.batch.remove(this.tables.damaged, [idKey, version]);
    for (const key of this.stateKeys(idKey, version, record)) this.batch.remove(this.tables.states, key);
    const newest = head.newest === version ? this.newestOf(idKey) : head.newest;
    if (record === undefined) {
      this.batch.put(this.tables.heads, idKey, headRow.seal({ ...head, newest }));
      return undefined;
    }
    this.unindex(record);
    this.count(idKey, { ...head, newest }, record, -1);
    return record;
  }

  mark(idKey: string, version: number, mark: CheckpointMark): boolean {
    const record = this.rows.record(idKey, version);
    if (record === undefined) return false;
    if (mark === 'damaged') {
      const pointer: Pointer = [idKey, version];
      this.batch.put(this.tables.damaged, pointer, pointerRow.seal(pointer));
      this.putRecord(idKey, { ...record, damaged: true });
    } else if (record.pinned !== (mark === 'pinned')) {
      this.putRecord(idKey, { ...record, pinned: mark === 'pinned' });
    }
    return true;
  }

  /** Removes an index row that points to no version. */
  dropIndexRow(index: FaultReportingTable, key: TableKey): void {
    this.batch.remove(index, key);
  }

  private stateKeys(idKey: string, version: number, record: CheckpointRecord | undefined): Iterable<TableKey> {
    if (record === undefined) return this.tables.states.keys(ranges.parts(idKey, version));
    return Array.from({ length: partCount(record.sizeBytes) }, (_, part) => [idKey, version, part]);
  }

  private newestOf(idKey: string): number {
    const newest = this.rows.versions(idKey).next();
    return newest.done === true ? 0 : newest.value;
  }

  private putRecord(idKey: string, record: CheckpointRecord): void {
    this.batch.put(this.tables.versions, [idKey, record.version], recordRow.seal(record));
  }

  private index(record: CheckpointRecord, pointer: Pointer): void {
    const row = pointerRow.seal(pointer);
    for (const scope of scopesOf(record)) {
      this.batch.put(this.tables.order, [scope, record.sequence], row);
      this.batch.put(this.tables.ages, [scope, record.savedAt, record.sequence], row);
      if (record.expiresAt !== undefined) {
        this.batch.put(this.tables.expiries, [scope, record.expiresAt, record.sequence], row);
      }
    }
  }

  private unindex(record: CheckpointRecord): void {
    for (const scope of scopesOf(record)) {
      this.batch.remove(this.tables.order, [scope, record.sequence]);
      this.batch.remove(this.tables.ages, [scope, record.savedAt, record.sequence]);
      if (record.expiresAt !== undefined) {
        this.batch.remove(this.tables.expiries, [scope, record.expiresAt, record.sequence]);
      }
    }
  }

  /** Updates the head and the counts for one version more or less. */
  private count(idKey: string, head: Head, { lane, sizeBytes }: CheckpointRecord, by: 1 | -1): void {
    const before = head.lanes[lane] ?? 0;
    const { [lane]: _, ...others } = head.lanes;
    const lanes = before + by > 0 ? { ...others, [lane]: before + by } : others;
    this.batch.put(this.tables.heads, idKey, headRow.seal({ ...head, lanes }));
    const idsInLane = Math.sign(before + by) - Math.sign(before);
    const ids = Math.sign(Object.keys(lanes).length) - Math.sign(Object.keys(head.lanes).length);
    this.addUsage(EVERYTHING, ids, by, by * sizeBytes);
    this.addUsage(laneScope(lane), idsInLane, by, by * sizeBytes);
  }

  private addUsage(scope: string, ids: number, versions: number, bytes: number): void {
    const usage = this.rows.usage(scope);
    const row = { ids: usage.ids + ids, versions: usage.versions + versions, bytes: usage.bytes + bytes };
    if (row.versions > 0) this.batch.put(this.tables.usage, scope, usageRow.seal(row));
    else this.batch.remove(this.tables.usage, scope);
  }
}
