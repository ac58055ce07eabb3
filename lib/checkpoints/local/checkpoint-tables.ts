import { createHash } from 'node:crypto';
import {
  type Environment,
  type RangeOptions,
  type TableKey,
  type TableRow,
  type Table,
  StorageFault,
  type StorageFaultKind,
  type Transaction,
} from '../../storage/environment.js';
import type { CheckpointRecord } from '../checkpoint-store.js';
import { crc32 } from 'node:zlib';

const CHECK_BYTES = 4;

/** Encodes plain data with a checksum. JSON keeps lone surrogates, as escapes. */
export class ChecksummedRow<T> {
  seal(row: T): Uint8Array {
    const text = Buffer.from(JSON.stringify(row));
    const sealed = Buffer.allocUnsafe(CHECK_BYTES + text.length);
    sealed.writeUInt32LE(crc32(text), 0);
    text.copy(sealed, CHECK_BYTES);
    return sealed;
  }

  /** Undefined when the bytes are not those that were written. */
  open(bytes: Uint8Array | undefined): T | undefined {
    if (bytes === undefined || bytes.length <= CHECK_BYTES) return undefined;
    const sealed = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const text = sealed.subarray(CHECK_BYTES);
    if (crc32(text) !== sealed.readUInt32LE(0)) return undefined;
    const row: T = JSON.parse(text.toString());
    return row;
  }
}

/** LMDB returns live memory instead of copies from 16 MiB on; this is below. Part of the format. */
export const PART_BYTES = 8 * 1024 * 1024;

export const FORMAT = 1;

/**
 * An id or workflow as a key of fixed length. Lone surrogates keep distinct keys; UTF-8 would replace them all by the
 * same character.
 */
export const keyOf = (text: string): string => createHash('sha256').update(text, 'utf16le').digest('base64url');

/** The listing that an index row belongs to. Every lane and workflow has its own, so that a listing filters nothing. */
export type Scope = string;

export const EVERYTHING: Scope = 'all';
export const laneScope = (lane: string): Scope => `lane:${lane}`;
const flowScope = (flow: string): Scope => `flow:${flow}`;
const laneFlowScope = (lane: string, flow: string): Scope => `both:${lane}:${flow}`;
export const labelScope = (label: string): Scope => `meta:${label}`;

interface Labels {
  readonly lane?: string;
  readonly workflow?: string;
}

/** The scope that holds exactly the versions with these labels. */
export function scopeOf({ lane, workflow }: Labels): Scope {
  if (workflow === undefined) return lane === undefined ? EVERYTHING : laneScope(lane);
  const flow = keyOf(workflow);
  return lane === undefined ? flowScope(flow) : laneFlowScope(lane, flow);
}

/** All scopes that a version with these labels belongs to, but for those of its metadata. */
export function scopesOf({ lane, workflow }: { readonly lane: string; readonly workflow?: string }): readonly Scope[] {
  const always = [EVERYTHING, laneScope(lane)];
  if (workflow === undefined) return always;
  const flow = keyOf(workflow);
  return [...always, flowScope(flow), laneFlowScope(lane, flow)];
}

/** What an index row points to. */
export type Pointer = readonly [idKey: string, version: number];

/** The row of an id. It stays when the last version is removed, so that no version is used twice. */
export interface Head {
  /** The highest version ever used. */
  readonly counter: number;
  /** The highest version that exists; 0 = none. */
  readonly newest: number;
  /** How many versions exist, by lane. */
  readonly lanes: Readonly<Record<string, number>>;
}

/** How many versions of an id exist in a lane. A lane may have the name of something that every object inherits. */
export const versionsIn = ({ lanes }: Head, lane: string): number =>
  (Object.hasOwn(lanes, lane) ? lanes[lane] : 0) ?? 0;

/** Where a save with a token was stored. It may be repeated because its answer was lost, perhaps after its removal. */
export interface TokenRow {
  readonly version: number;
  readonly sequence: number;
}

/** The row of a workflow that was finished or invalidated. It stays, so that the epoch never falls. */
export interface WorkflowRow {
  /** How often the workflow was invalidated. */
  readonly epoch: number;
  readonly isFinished: boolean;
  /** While its versions are being removed: those up to this position in the order of saving are gone. */
  readonly removedUpTo?: number;
}

/** The lease on an id. */
export interface LeaseRow {
  readonly token: string;
  readonly isRemote: boolean;
}

export interface UsageRow {
  readonly ids: number;
  readonly versions: number;
  readonly bytes: number;
}

export interface StoreRow {
  readonly format: number;
  readonly sequence: number;
  /** The metadata of every version up to this position is indexed. Earlier releases leave it out when they save. */
  readonly labelled?: number;
}

export const STORE_KEY = 'store';

export const headRow = new ChecksummedRow<Head>();
export const pointerRow = new ChecksummedRow<Pointer>();
export const recordRow = new ChecksummedRow<CheckpointRecord>();
export const storeRow = new ChecksummedRow<StoreRow>();
export const usageRow = new ChecksummedRow<UsageRow>();
export const workflowRow = new ChecksummedRow<WorkflowRow>();
export const leaseRow = new ChecksummedRow<LeaseRow>();
export const tokenRow = new ChecksummedRow<TokenRow>();
/** The save that has a place in the ring. */
export const placeRow = new ChecksummedRow<readonly [idKey: string, token: string]>();

/** No idKey: those are hashes. */
export const TOKEN_RING = 'ring';

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
  /** Hash of the workflow -> WorkflowRow */
  readonly workflows: FaultReportingTable;
  /** idKey -> LeaseRow */
  readonly leases: FaultReportingTable;
  /** [idKey, token] -> TokenRow, and ['ring', place] -> [idKey, token]: the last saves that had a token */
  readonly tokens: FaultReportingTable;

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
    this.workflows = table('workflows');
    this.leases = table('leases');
    this.tokens = table('tokens');
  }
}

const LOWEST = Number.MIN_SAFE_INTEGER;
const HIGHEST = Number.MAX_SAFE_INTEGER;

/** Ranges whose ends lie between rows, so that inclusive and exclusive ends give the same rows. */
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

  /** Up to `upTo`, which belongs to it. */
  orderUp: (scope: Scope, after: number, upTo: number = HIGHEST - 1): RangeOptions => ({
    start: [scope, after + 0.5],
    end: [scope, upTo + 0.5],
  }),

  /** Strictly before `end`. */
  timesUp: (scope: Scope, after: readonly [time: number, sequence: number] | undefined, end: number): RangeOptions => ({
    start: after === undefined ? [scope, LOWEST, 0] : [scope, after[0], after[1] + 0.5],
    end: [scope, end, 0],
  }),
};

/** Later than every time that is stored. */
export const END_OF_TIME: readonly [time: number, sequence: number] = [HIGHEST, HIGHEST];

/** A table whose reads throw `StorageFault` when a fault made them miss. */
export class FaultReportingTable {
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

  range(options?: RangeOptions): Iterable<TableRow> {
    return this.orThrow(() => this.origin.range(options));
  }

  keys(options?: RangeOptions): Iterable<TableKey> {
    return this.orThrow(() => this.origin.keys(options));
  }

  private *orThrow<T>(rows: () => Iterable<T>): Generator<T, void, undefined> {
    const before = this.faults.count;
    yield* rows();
    this.faults.throwSince(before);
  }
}

/**
 * Collects what the environment reports of reads that missed because of a fault. A cache may treat them as misses.
 * A checkpoint that cannot be read must not look like one that was never saved.
 */
export class ReadFaults {
  count = 0;
  /** The first report of a damaged file. It is final: the file does not recover by itself. */
  damage: StorageFault | undefined;
  private last: StorageFault | undefined;
  private listener: ((fault: StorageFault) => void) | undefined;

  /** Called by the environment. */
  note(kind: StorageFaultKind, detail: string, error: unknown): void {
    const fault = new StorageFault(kind, detail, error);
    this.count += 1;
    this.last = fault;
    if (kind === 'damaged') this.damage ??= fault;
    this.listener?.(fault);
  }

  /** Calls `listener` with the fault so far, if any, and with every later one. */
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

interface Change {
  readonly table: FaultReportingTable;
  readonly key: TableKey;
  /** Undefined removes. */
  readonly value: Uint8Array | undefined;
}

/** The changes of the next transaction. They can be read before it is committed, so that many writes share one commit. */
export class WriteBatch {
  private readonly rows = new Map<string, Map<string, Change>>();

  get(table: FaultReportingTable, key: TableKey): Uint8Array | undefined {
    const change = this.rows.get(table.name)?.get(JSON.stringify(key));
    return change === undefined ? table.get(key) : change.value;
  }

  put(table: FaultReportingTable, key: TableKey, value: Uint8Array): void {
    this.note({ table, key, value });
  }

  remove(table: FaultReportingTable, key: TableKey): void {
    this.note({ table, key, value: undefined });
  }

  /** Whether this batch puts or removes the row. */
  changes(table: FaultReportingTable, key: TableKey): boolean {
    return this.rows.get(table.name)?.has(JSON.stringify(key)) ?? false;
  }

  /** Keys of the rows this batch puts into `table`. */
  *putKeys(table: FaultReportingTable): Iterable<TableKey> {
    for (const change of this.rows.get(table.name)?.values() ?? []) {
      if (change.value !== undefined) yield change.key;
    }
  }

  /** How many rows of the table it puts or removes. */
  countOf(table: FaultReportingTable): number {
    return this.rows.get(table.name)?.size ?? 0;
  }

  get isEmpty(): boolean {
    return this.rows.size === 0;
  }

  writeTo(transaction: Transaction): void {
    for (const rows of this.rows.values()) {
      for (const { table, key, value } of rows.values()) {
        if (value === undefined) transaction.remove(table.origin, key);
        else transaction.put(table.origin, key, value);
      }
    }
  }

  private note(change: Change): void {
    let rows = this.rows.get(change.table.name);
    if (rows === undefined) this.rows.set(change.table.name, (rows = new Map()));
    rows.set(JSON.stringify(change.key), change);
  }
}
