import {
  type RangeOptions,
  type Table,
  type TableKey,
  type TableRow,
  toFault,
  type StorageReporter,
  type Durability,
} from '../environment.js';
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import type { Database, RootDatabase } from 'lmdb';
import { LaneCacheError } from '../../errors/lane-cache.error.js';

/** Whether reading is still allowed: on a closed environment LMDB throws or crashes. */
export interface ReadGate {
  readonly isOpen: boolean;
}

type NativeRange = Parameters<NativeTable['getRange']>[0];
type NativeBound = string | number | (string | number)[];

const bound = (key: TableKey): NativeBound => (typeof key === 'object' ? [...key] : key);

/** A new object without absent fields: lmdb-js writes into its options, and asks `'start' in options`. */
const toNative = ({ start, end, reverse, limit }: RangeOptions): NativeRange => ({
  ...(start !== undefined && { start: bound(start) }),
  ...(end !== undefined && { end: bound(end) }),
  ...(reverse !== undefined && { reverse }),
  ...(limit !== undefined && { limit }),
});

/**
 * Copies a value out of the buffer of lmdb-js, which is one large buffer whose `length` is set to that of the value. Small
 * copies come from Node's pool, which costs a fraction of own memory.
 */
const copyOf = (bytes: Buffer): Buffer => {
  const { length } = bytes;
  const copy = Buffer.allocUnsafe(length);
  copy.set(bytes.subarray(0, length));
  return copy;
};

/** Reads one table. Damage is reported, and reads as a miss. */
export class LmdbTable implements Table {
  constructor(
    readonly name: string,
    /** Another one once the environment was compacted. */
    public native: NativeTable,
    private readonly gate: ReadGate,
    private readonly report: StorageReporter,
  ) {}

  get(key: TableKey): Uint8Array | undefined {
    const bytes = this.borrow(key);
    return bytes === undefined ? undefined : copyOf(bytes);
  }

  borrow(key: TableKey): Buffer | undefined {
    if (!this.gate.isOpen) return undefined;
    try {
      return this.native.getBinaryFast(key);
    } catch (error) {
      requireKey(key);
      this.missed(error);
      return undefined;
    }
  }

  range(options: RangeOptions = {}): Iterable<TableRow> {
    return this.guarded(() => this.native.getRange(toNative(options)));
  }

  keys(options: RangeOptions = {}): Iterable<TableKey> {
    return this.guarded(() => this.native.getKeys(toNative(options)));
  }

  private *guarded<T>(rows: () => Iterable<T>): Generator<T, void, undefined> {
    if (!this.gate.isOpen) return;
    try {
      for (const row of rows()) {
        yield row;
        if (!this.gate.isOpen) return;
      }
    } catch (error) {
      this.missed(error);
    }
  }

  /** After a page error every later read of the turn fails as well, unless the snapshot is dropped. */
  private missed(error: unknown): void {
    const fault = toFault(error, `reading ${this.name}`);
    this.report.fault(fault.kind, fault.message, error);
    try {
      this.native.resetReadTxn();
    } catch (again) {
      this.report.fault('damaged', `giving up the snapshot of ${this.name}`, again);
    }
  }
}

/** LMDB accepts 1,978 bytes with pages of 4 KB. The rest is room for separators and escapes. */
const MAX_KEY_BYTES = 1_900;
/** A UTF-16 unit takes at most this many bytes in UTF-8. */
const MAX_UNIT_BYTES = 3;
const NUMBER_BYTES = 10;
const SEPARATOR_BYTES = 2;

const partBytes = (part: string | number): number => {
  if (typeof part === 'string') return Buffer.byteLength(part) + SEPARATOR_BYTES;
  if (!Number.isFinite(part)) throw new TypeError(`A table key holds ${part}, which has no place in an order.`);
  return NUMBER_BYTES;
};

/**
 * Throws unless LMDB accepts `key`. It is checked before anything is handed over, because a put that throws on its key
 * leaves half a transaction behind.
 */
export const requireKey = (key: TableKey): void => {
  // As a rule. Measuring a text takes longer than all else here.
  if (typeof key === 'string' && key.length * MAX_UNIT_BYTES + SEPARATOR_BYTES <= MAX_KEY_BYTES) return;
  let bytes = 0;
  if (typeof key === 'object') {
    if (key.length === 0) throw new TypeError('A table key is an empty array.');
    for (const part of key) bytes += partBytes(part);
  } else bytes = partBytes(key);
  if (bytes > MAX_KEY_BYTES) throw new RangeError(`A table key takes ${bytes} bytes; ${MAX_KEY_BYTES} is the most.`);
};

type NativeKey = string | number | (string | number)[];

/** LMDB's main map, which holds the tables. */
export type NativeRoot = RootDatabase<Uint8Array, NativeKey>;

/** The map behind a table. lmdb-js only reads the keys, but does not declare them read-only. */
export interface NativeTable extends Omit<Database<Uint8Array, NativeKey>, 'getBinaryFast' | 'put' | 'remove'> {
  /** The bytes are overwritten by the next read. */
  getBinaryFast(key: TableKey): Buffer | undefined;
  put(key: TableKey, value: Uint8Array): Promise<boolean>;
  remove(key: TableKey): Promise<boolean>;
}

/** Two modes must never meet in one directory, so a directory is always opened with the same durability. */
const SYNC = {
  durable: { overlappingSync: false },
  session: { noSync: true },
} as const satisfies Record<Durability, object>;

/** What the probe's child process needs as well, so it holds nothing that JSON cannot. */
export const nativeOptions = (directory: string, durability: Durability) => ({
  path: directory,
  // without it a dot in the path means a file
  noSubdir: false,
  encoding: 'binary' as const,
  permissionsMode: 0o600,
  remapChunks: false,
  maxReaders: 512,
  maxDbs: 16,
  // LMDB starts writing only when a transaction is complete, so no synchronous one can split it.
  batchStartThreshold: Number.MAX_SAFE_INTEGER,
  ...SYNC[durability],
});

/**
 * Opens a file that passed the preflight, in a directory that no other process has open. Anything else can crash the
 * process, or lose what others commit.
 */
export const openNative = async (directory: string, durability: Durability): Promise<NativeRoot> => {
  const { open } = await loadLmdb(directory);
  requireDescriptors();
  return open<Uint8Array, NativeKey>(nativeOptions(directory, durability));
};

/** LMDB needs three. Other threads may take some meanwhile. */
const DESCRIPTORS = 8;

/** LMDB ends the process when it finds a descriptor for its lock file, and none for its data file. Throws the system's error. */
function requireDescriptors(): void {
  const held: number[] = [];
  try {
    while (held.length < DESCRIPTORS) held.push(openSync(devNull, 'r'));
  } finally {
    for (const descriptor of held) closeSync(descriptor);
  }
}

/**
 * Loads lmdb, which an app without a directory needs not have. Throws `LMDB_UNAVAILABLE` where its binary for this platform
 * is not installed.
 */
export const loadLmdb = async (directory: string): Promise<typeof import('lmdb')> => {
  try {
    return await import('lmdb');
  } catch (cause) {
    const [reason = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
    throw new LaneCacheError(
      'LMDB_UNAVAILABLE',
      `The cache directory ${directory} needs the package lmdb with its binary for ${process.platform}-${process.arch}, and it cannot be loaded: ${reason}. Optional dependencies were left out, or node_modules comes from another platform. Install them here: npm ci --include=optional (pnpm install, yarn install). An app with directory: false needs no binary.`,
      { field: 'directory', cause },
    );
  }
};

export const openNativeTable = (root: NativeRoot, name: string): NativeTable =>
  root.openDB<Uint8Array, NativeKey>({ name, encoding: 'binary' });

/** The names of the tables that are there already. */
export const tableNames = (root: NativeRoot): readonly string[] => [...root.getKeys()].map(String);
