import type { RangeOptions, TableKey } from '../../storage/environment.js';
import { storedBytesOf, type CheckpointRecord } from '../checkpoint-store.js';
import { hasExpired, type Neighbours } from '../retention.js';
import {
  EVERYTHING,
  FORMAT,
  PART_BYTES,
  STORE_KEY,
  headRow,
  keyOf,
  leaseRow,
  numbersOf,
  ranges,
  recordRow,
  storeRow,
  tokenRow,
  usageRow,
  workflowRow,
  pointerRow,
  type CheckpointTables,
  type FaultReportingTable,
  type Head,
  type LeaseRow,
  type Pointer,
  type Scope,
  type StoreRow,
  type TokenRow,
  type UsageRow,
  type WorkflowRow,
  type WriteBatch,
} from './checkpoint-tables.js';

const NO_USAGE: UsageRow = { ids: 0, versions: 0, bytes: 0 };
const NEW_WORKFLOW: WorkflowRow = { epoch: 0, isFinished: false };

/** A row of an index. It points to nothing if it is damaged. */
interface IndexRow {
  readonly key: TableKey;
  readonly pointer: Pointer | undefined;
}

/** Reads the rows of the store: the committed ones, with the changes of a batch on top if there is one. */
export class CheckpointRows {
  constructor(
    readonly tables: CheckpointTables,
    private readonly batch?: WriteBatch,
  ) {}

  /** A missing or unreadable row is rebuilt, so that no position in the order of saving is used twice. */
  get store(): StoreRow {
    const row = storeRow.open(this.get(this.tables.store, STORE_KEY));
    if (row !== undefined) return row;
    const [last] = this.tables.order.keys({ ...ranges.orderDown(EVERYTHING, undefined), limit: 1 });
    return { format: FORMAT, sequence: (last === undefined ? undefined : numbersOf(last)[0]) ?? 0 };
  }

  usage(scope: string): UsageRow {
    return usageRow.open(this.get(this.tables.usage, scope)) ?? NO_USAGE;
  }

  workflow(workflow: string): WorkflowRow {
    return workflowRow.open(this.get(this.tables.workflows, keyOf(workflow))) ?? NEW_WORKFLOW;
  }

  lease(idKey: string): LeaseRow | undefined {
    return leaseRow.open(this.get(this.tables.leases, idKey));
  }

  /** A missing or unreadable head is rebuilt in such a way that no version is used twice. */
  head(idKey: string): Head {
    const bytes = this.get(this.tables.heads, idKey);
    const head = headRow.open(bytes);
    if (head !== undefined) return head;
    const versions = [...this.versions(idKey)];
    const newest = versions[0] ?? 0;
    const counts = new Map<string, number>();
    for (const version of versions) {
      const lane = this.record(idKey, version)?.lane;
      if (lane !== undefined) counts.set(lane, (counts.get(lane) ?? 0) + 1);
    }
    const lanes = Object.fromEntries(counts);
    // The store has had at least as many saves as the id has had versions.
    return { counter: bytes === undefined ? newest : Math.max(newest, this.store.sequence), newest, lanes };
  }

  /** Undefined when there is none, and when its row is damaged. */
  record(idKey: string, version: number): CheckpointRecord | undefined {
    const record = recordRow.open(this.get(this.tables.versions, [idKey, version]));
    return record?.version === version ? record : undefined;
  }

  /** Where the save with this token was stored, if it is remembered. */
  saved(idKey: string, token: string): TokenRow | undefined {
    return tokenRow.open(this.get(this.tables.tokens, [idKey, token]));
  }

  /** Whether the workflow of the version was invalidated since it was saved. */
  isInvalidated({ workflow, sequence }: CheckpointRecord): boolean {
    return workflow !== undefined && sequence <= (this.workflow(workflow).removedUpTo ?? 0);
  }

  /** The other versions of the id of `record`, for the decision about it. */
  neighboursOf(idKey: string, record: CheckpointRecord, now: number): Neighbours {
    const { version, workflow } = record;
    return {
      newer: (limit, count) => {
        const counts = ({ pinned }: CheckpointRecord): boolean => count === 'all' || !pinned;
        return this.countNewer(idKey, version, limit, (other) => isRestorable(other, now) && counts(other));
      },
      isLastOfUnfinished: () => {
        if (workflow === undefined || this.workflow(workflow).isFinished) return false;
        const isLater = (other: CheckpointRecord): boolean => isRestorable(other, now) && other.workflow === workflow;
        return this.countNewer(idKey, version, 1, isLater) === 0;
      },
    };
  }

  private countNewer(
    idKey: string,
    version: number,
    limit: number,
    counts: (other: CheckpointRecord) => boolean,
  ): number {
    let newer = 0;
    for (const other of this.versions(idKey)) {
      if (other <= version || newer === limit) break;
      const record = this.record(idKey, other);
      if (record !== undefined && counts(record)) newer += 1;
    }
    return newer;
  }

  /** The first index rows of a scope up to a position in the order of saving, at most `limit`, with the changes of the batch. */
  firstOf(scope: Scope, upTo: number, limit: number): readonly IndexRow[] {
    const { tables, batch } = this;
    const { order } = tables;
    const found: IndexRow[] = [];
    const atMost = limit + (batch?.countOf(order) ?? 0);
    for (const { key, value } of order.range({ ...ranges.orderUp(scope, 0, upTo), limit: atMost })) {
      if (batch?.changes(order, key) !== true) found.push({ key, pointer: pointerRow.open(value) });
    }
    for (const key of batch?.putKeys(order) ?? []) {
      const [sequence = Infinity] = numbersOf(key);
      if (typeof key === 'object' && key[0] === scope && sequence <= upTo)
        found.push({ key, pointer: pointerRow.open(this.get(order, key)) });
    }
    return found.slice(0, limit);
  }

  /** Whether there is a row, readable or not. */
  has(idKey: string, version: number): boolean {
    return this.get(this.tables.versions, [idKey, version]) !== undefined;
  }

  /** The versions of an id that are below `below`, newest first. */
  *versions(idKey: string, below = Infinity): Generator<number, void, undefined> {
    const changed = this.changed(idKey)
      .filter((version) => version < below)
      .toSorted((a, b) => b - a);
    for (const version of this.unchanged(idKey, ranges.versionsDown(idKey, below))) {
      while (changed[0] !== undefined && changed[0] > version) yield* changed.splice(0, 1);
      yield version;
    }
    yield* changed;
  }

  /** The oldest ones above `above`, oldest first, at most `limit`. */
  oldest(idKey: string, above: number, limit: number): readonly number[] {
    const versions = this.changed(idKey).filter((version) => version > above);
    let count = 0;
    for (const version of this.unchanged(idKey, ranges.versionsUp(idKey, above))) {
      versions.push(version);
      if (++count === limit) break;
    }
    return versions.toSorted((a, b) => a - b).slice(0, limit);
  }

  /** The newest ones below `below`, newest first, at most `limit`. */
  newest(idKey: string, below: number, limit: number): readonly number[] {
    const versions: number[] = [];
    for (const version of this.versions(idKey, below)) if (versions.push(version) === limit) break;
    return versions;
  }

  /** The version at place `place` among those that can be restored, are not pinned, and are counted from the newest; 0 = none. */
  restorableAt(idKey: string, place: number, now: number): number {
    let newer = 0;
    for (const version of this.versions(idKey)) {
      const record = this.record(idKey, version);
      if (record === undefined || record.pinned || !isRestorable(record, now)) continue;
      if (++newer === place) return version;
    }
    return 0;
  }

  /** The newest version that is not past; 0 = none. An unreadable one counts, because it exists. */
  current(idKey: string, now: number): number {
    const { newest } = this.head(idKey);
    if (newest === 0 || !this.isPast(idKey, newest, now)) return newest;
    for (const version of this.versions(idKey)) if (!this.isPast(idKey, version, now)) return version;
    return 0;
  }

  /** Whether the version has expired or was invalidated with its workflow. */
  private isPast(idKey: string, version: number, now: number): boolean {
    const record = this.record(idKey, version);
    return record !== undefined && (hasExpired(record, now) || this.isInvalidated(record));
  }

  private get(table: FaultReportingTable, key: TableKey): Uint8Array | undefined {
    return this.batch === undefined ? table.get(key) : this.batch.get(table, key);
  }

  /** Versions that the batch adds or changes. */
  private changed(idKey: string): number[] {
    const versions = this.batch?.putKeys(this.tables.versions) ?? [];
    return [...versions].filter((key) => typeof key === 'object' && key[0] === idKey).flatMap((key) => numbersOf(key));
  }

  /** Committed versions that the batch leaves as they are, in the order of the range. */
  private *unchanged(idKey: string, range: RangeOptions): Generator<number, void, undefined> {
    const { versions } = this.tables;
    for (const key of versions.keys(range)) {
      const [version] = numbersOf(key);
      if (version !== undefined && this.batch?.changes(versions, [idKey, version]) !== true) yield version;
    }
  }

  /** Undefined when a part is missing. */
  state(idKey: string, record: CheckpointRecord): Uint8Array | undefined {
    const { version } = record;
    const stored = storedBytesOf(record);
    const parts: Uint8Array[] = [];
    let length = 0;
    for (let part = 0; part < partCount(stored); part += 1) {
      const bytes = this.get(this.tables.states, [idKey, version, part]);
      if (bytes === undefined) return undefined;
      length += bytes.length;
      parts.push(bytes);
    }
    if (length !== stored) return undefined;
    return parts.length === 1 ? parts[0] : Buffer.concat(parts, length);
  }
}

const isRestorable = (record: CheckpointRecord, now: number): boolean => !record.damaged && !hasExpired(record, now);

export const partCount = (storedBytes: number): number => Math.ceil(storedBytes / PART_BYTES);
