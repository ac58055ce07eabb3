import { createHash } from 'node:crypto';
import {
  type Environment,
  type RangeOptions,
  type TableKey,
  type Table,
  StorageFault,
  type StorageFaultKind,
  type Transaction,
} from '../../storage/environment.js';
import type { CheckpointRecord } from '../checkpoint-store.js';
import { crc32 } from 'node:zlib';

const CHECK_BYTES = 4;

/** Plain data as bytes that show when they were altered. JSON keeps lone surrogates, as escapes. */
export class ChecksummedRow<T> {
  seal(row: T): Uint8Array {
    const text = Buffer.from(JSON.stringify(row));
    const sealed = Buffer.allocUnsafe(CHECK_BYTES + text.length);
    sealed.writeUInt32LE(crc32(text), 0);
    text.copy(sealed, CHECK_BYTES);
    return sealed;
  }

  /** What was sealed, or undefined when the bytes are not what was written. */
  open(bytes: Uint8Array | undefined): T | undefined {
    if (bytes === undefined || bytes.length <= CHECK_BYTES) return undefined;
    const sealed = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const text = sealed.subarray(CHECK_BYTES);
    if (crc32(text) !== sealed.readUInt32LE(0)) return undefined;
    const row: T = JSON.parse(text.toString());
    return row;
  }
}

/** Below LMDB's 16 MiB, from which on it hands out live memory instead of copies. Part of the format. */
export const PART_BYTES = 8 * 1024 * 1024;

export const FORMAT = 1;

/**
 * Ids and workflows as keys: of fixed length whatever the text, and distinct for lone surrogates, which UTF-8 would
 * turn into one and the same replacement.
 */
export const keyOf = (text: string): string => createHash('sha256').update(text, 'utf16le').digest('base64url');

/** Under which a version is listed; every lane and workflow has an order of its own, so that nothing is ever filtered. */
export type Scope = string;

export const EVERYTHING: Scope = 'all';
export const laneScope = (lane: string): Scope => `lane:${lane}`;
const flowScope = (flow: string): Scope => `flow:${flow}`;
const laneFlowScope = (lane: string, flow: string): Scope => `both:${lane}:${flow}`;

interface Labels {
  readonly lane?: string;
  readonly workflow?: string;
}

/** The one scope that holds exactly what has these labels. */
export function scopeOf({ lane, workflow }: Labels): Scope {
  if (workflow === undefined) return lane === undefined ? EVERYTHING : laneScope(lane);
  const flow = keyOf(workflow);
  return lane === undefined ? flowScope(flow) : laneFlowScope(lane, flow);
}

/** All scopes that a version with these labels belongs to. */
export function scopesOf({ lane, workflow }: { readonly lane: string; readonly workflow?: string }): readonly Scope[] {
  const always = [EVERYTHING, laneScope(lane)];
  if (workflow === undefined) return always;
  const flow = keyOf(workflow);
  return [...always, flowScope(flow), laneFlowScope(lane, flow)];
}

/** What an index row points to. */
export type Pointer = readonly [idKey: string, version: number];

/** What is known of an id, also after its last version was removed: a version is never used twice. */
export interface Head {
  /** The highest version ever used. */
  readonly counter: number;
  /** The highest version there is; 0 = none. */
  readonly newest: number;
  /** How many versions there are, by lane. */
  readonly lanes: Readonly<Record<string, number>>;
}

export interface UsageRow {
  readonly ids: number;
  readonly versions: number;
  readonly bytes: number;
}

export interface StoreRow {
  readonly format: number;
  readonly sequence: number;
}

export const STORE_KEY = 'store';

export const headRow = new ChecksummedRow<Head>();
export const pointerRow = new ChecksummedRow<Pointer>();
export const recordRow = new ChecksummedRow<CheckpointRecord>();
export const storeRow = new ChecksummedRow<StoreRow>();
export const usageRow = new ChecksummedRow<UsageRow>();

/** The numbers behind the first part of a key. */
export const numbersOf = (key: TableKey): readonly number[] =>
  typeof key === 'object' ? key.slice(1).map(Number) : [];

/** The tables of the store and their keys. */
export class CheckpointTables {
  /** `store` -> StoreRow */
  readonly store: FaultReportingTable;
  /** idKey -> Head */
  readonly heads: FaultReportingTable;
  /** [idKey, version] -> CheckpointRecord */
  readonly versions: FaultReportingTable;
  /** [idKey, version, part] -> bytes */
  readonly states: FaultReportingTable;
  /** [scope, sequence] -> Pointer */
  readonly order: FaultReportingTable;
  /** [scope, savedAt, sequence] -> Pointer */
  readonly ages: FaultReportingTable;
  /** [scope, expiresAt, sequence] -> Pointer */
  readonly expiries: FaultReportingTable;
  /** [idKey, version] -> Pointer, of those known to be damaged */
  readonly damaged: FaultReportingTable;
  /** scope -> UsageRow */
  readonly usage: FaultReportingTable;

  /** `faults` gets what the environment reports. */
  constructor(environment: Environment, faults: ReadFaults) {
    const table = (name: string): FaultReportingTable => new FaultReportingTable(environment.table(name), faults);
    this.store = table('store');
    this.heads = table('heads');
    this.versions = table('versions');
    this.states = table('states');
    this.order = table('order');
    this.ages = table('ages');
    this.expiries = table('expiries');
    this.damaged = table('damaged');
    this.usage = table('usage');
  }
}

const LOWEST = Number.MIN_SAFE_INTEGER;
const HIGHEST = Number.MAX_SAFE_INTEGER;

/** Ranges whose ends lie between rows, so that it does not matter which end belongs to them. */
export const ranges = {
  versionsDown: (idKey: string, below: number = HIGHEST): RangeOptions => ({
    start: [idKey, below - 0.5],
    end: [idKey, 0],
    reverse: true,
  }),

  versionsUp: (idKey: string, above: number): RangeOptions => ({ start: [idKey, above + 0.5], end: [idKey, HIGHEST] }),

  parts: (idKey: string, version: number): RangeOptions => ({
    start: [idKey, version, -1],
    end: [idKey, version, HIGHEST],
  }),

  orderDown: (scope: Scope, before: number | undefined): RangeOptions => ({
    start: [scope, before === undefined ? HIGHEST : before - 0.5],
    end: [scope, 0],
    reverse: true,
  }),

  timesDown: (scope: Scope, from: number | undefined, to: readonly [time: number, sequence: number]): RangeOptions => ({
    start: [scope, to[0], to[1] - 0.5],
    end: [scope, from ?? LOWEST, 0],
    reverse: true,
  }),

  /** Strictly before `end`. */
  timesUp: (scope: Scope, after: readonly [time: number, sequence: number] | undefined, end: number): RangeOptions => ({
    start: after === undefined ? [scope, LOWEST, 0] : [scope, after[0], after[1] + 0.5],
    end: [scope, end, 0],
  }),
};

/** Later than every time there is. */
export const END_OF_TIME: readonly [time: number, sequence: number] = [HIGHEST, HIGHEST];

/** A table whose reads throw `StorageFault` where they would else miss because of a fault. */
export class FaultReportingTable implements Table {
  readonly name: string;

  constructor(
    /** The table as the environment knows it. */
    readonly origin: Table,
    private readonly faults: ReadFaults,
  ) {
    this.name = origin.name;
  }

  get(key: TableKey): Uint8Array | undefined {
    const before = this.faults.count;
    const value = this.origin.get(key);
    this.faults.throwSince(before);
    return value;
  }

  range(options?: RangeOptions): Iterable<{ readonly key: TableKey; readonly value: Uint8Array }> {
    return this.watched(() => this.origin.range(options));
  }

  keys(options?: RangeOptions): Iterable<TableKey> {
    return this.watched(() => this.origin.keys(options));
  }

  private *watched<T>(rows: () => Iterable<T>): Generator<T, void, undefined> {
    const before = this.faults.count;
    yield* rows();
    this.faults.throwSince(before);
  }
}

/**
 * The storage's reports of reads that missed because of a fault. A cache may take those for misses; here a version
 * that cannot be read must never pass for one that was never saved.
 */
export class ReadFaults {
  /** How many there have been. */
  count = 0;
  /** The first that speaks of a damaged file, which does not mend itself. */
  damage: StorageFault | undefined;
  private last: StorageFault | undefined;
  private listener: ((fault: StorageFault) => void) | undefined;

  /** For the reporter of the environment. */
  note(kind: StorageFaultKind, detail: string, error: unknown): void {
    const fault = new StorageFault(kind, detail, error);
    this.count += 1;
    this.last = fault;
    if (kind === 'damaged') this.damage ??= fault;
    this.listener?.(fault);
  }

  /** Tells of what was noted so far, and of all that follows. */
  listen(listener: (fault: StorageFault) => void): void {
    this.listener = listener;
    const first = this.damage ?? this.last;
    if (first !== undefined) listener(first);
  }

  /** Throws the last fault if there was one since the count was `before`. */
  throwSince(before: number): void {
    if (this.count !== before && this.last !== undefined) throw this.last;
  }
}

/** Where rows are read from: the committed tables, or those with the changes of a batch on top. */
export interface RowSource {
  get(table: FaultReportingTable, key: TableKey): Uint8Array | undefined;
}

/** The tables as they are committed. */
export const committedRows: RowSource = { get: (table, key) => table.get(key) };

interface Change {
  readonly table: FaultReportingTable;
  readonly key: TableKey;
  /** Undefined removes. */
  readonly value: Uint8Array | undefined;
}

/** The changes of one transaction to be, readable before it is committed, so that many writes can share one commit. */
export class WriteBatch implements RowSource {
  private readonly changes = new Map<string, Map<string, Change>>();

  get(table: FaultReportingTable, key: TableKey): Uint8Array | undefined {
    const change = this.changes.get(table.name)?.get(JSON.stringify(key));
    return change === undefined ? table.get(key) : change.value;
  }

  put(table: FaultReportingTable, key: TableKey, value: Uint8Array): void {
    this.change({ table, key, value });
  }

  remove(table: FaultReportingTable, key: TableKey): void {
    this.change({ table, key, value: undefined });
  }

  /** Whether this batch puts or removes the row. */
  touches(table: FaultReportingTable, key: TableKey): boolean {
    return this.changes.get(table.name)?.has(JSON.stringify(key)) ?? false;
  }

  /** Keys of the rows this batch puts into `table`. */
  *putKeys(table: FaultReportingTable): Iterable<TableKey> {
    for (const change of this.changes.get(table.name)?.values() ?? []) {
      if (change.value !== undefined) yield change.key;
    }
  }

  get isEmpty(): boolean {
    return this.changes.size === 0;
  }

  writeTo(transaction: Transaction): void {
    for (const rows of this.changes.values()) {
      for (const { table, key, value } of rows.values()) {
        if (value === undefined) transaction.remove(table.origin, key);
        else transaction.put(table.origin, key, value);
      }
    }
  }

  private change(change: Change): void {
    let rows = this.changes.get(change.table.name);
    if (rows === undefined) this.changes.set(change.table.name, (rows = new Map()));
    rows.set(JSON.stringify(change.key), change);
  }
}
