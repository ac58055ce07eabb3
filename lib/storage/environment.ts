/** The port of `storage/`: one folder of LMDB, opened safely and written in whole transactions. */

/** What a resolved commit survives: `session` the process, `durable` a power failure as far as fsync goes. */
export type Durability = 'session' | 'durable';

/** Sorted as lmdb sorts: numbers before strings, arrays element by element. At most 1,900 bytes. */
export type TableKey = string | number | readonly (string | number)[];

export interface RangeOptions {
  readonly start?: TableKey;
  readonly end?: TableKey;
  readonly reverse?: boolean;
  readonly limit?: number;
}

export interface TableRow {
  readonly key: TableKey;
  readonly value: Uint8Array;
}

/** One named, ordered map of bytes inside an environment. Reads are synchronous and never throw on damage: they report it and miss. */
export interface Table {
  readonly name: string;
  /** A copy of the bytes, or undefined. */
  get(key: TableKey): Uint8Array | undefined;
  /**
   * The bytes without a copy. Any later read of any table overwrites them, so the caller is done with them before it calls
   * anything else. The buffer may be longer than its `length`, which is that of the value.
   */
  borrow(key: TableKey): Buffer | undefined;
  /** A snapshot as of the call; consume it in the same turn, in slices bounded by `limit`. */
  range(options?: RangeOptions): Iterable<TableRow>;
  keys(options?: RangeOptions): Iterable<TableKey>;
}

/** Collects the changes of one transaction. */
export interface Transaction {
  put(table: Table, key: TableKey, value: Uint8Array): void;
  remove(table: Table, key: TableKey): void;
}

export interface Environment {
  readonly directory: string;
  readonly durability: Durability;
  table(name: string): Table;
  /**
   * Runs `fill` at once and writes what it collected as one transaction: all or nothing, in the order of the calls.
   * Resolves when committed with the `durability`. Rejects with `StorageFault` on any failure, when the deadline
   * passes, or when the disk is below its limit of free space. It never leaves an unhandled rejection.
   */
  commit(fill: (transaction: Transaction) => void): Promise<void>;
  /** Bytes of the data file on disk. */
  fileBytes(): number;
  /** Bytes inside the data file that hold nothing. */
  freeBytes(): number;
  /**
   * Shrinks the data file to what it uses. Nothing may be committed during it, and reads miss for a moment. It changes
   * nothing if there is no room for a copy. Rejects with `StorageFault` if the environment is lost.
   */
  compact(): Promise<void>;
  /** Clears reader slots of dead processes. */
  checkReaders(): void;
  /** Idempotent. Waits for accepted writes, at most until the deadline. */
  close(): Promise<void>;
}

/** Why storage failed; each opens the breaker of the tier above. */
export type StorageFaultKind =
  'disk-full' | 'io' | 'deadline' | 'damaged' | 'read-only' | 'not-permitted' | 'gone' | 'closed';

/** What every failing call of this room rejects with. Internal: it becomes an event, never the caller's error. */
export class StorageFault extends Error {
  override readonly name = 'StorageFault';

  constructor(
    readonly kind: StorageFaultKind,
    message: string,
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
  }
}

/** Reports of the storage, which the caller turns into events. Callbacks must not throw. */
export interface StorageReporter {
  /** A read missed because of a fault. Failing commits are not reported here: they reject. */
  fault(kind: StorageFaultKind, detail: string, error: unknown): void;
  /** A directory that could not be trusted was renamed away and replaced by a fresh one. */
  quarantined(directory: string, movedTo: string, cause: string): void;
}

const KIND_BY_CODE: Readonly<Record<string, StorageFaultKind>> = {
  ENOSPC: 'disk-full',
  EDQUOT: 'disk-full',
  EROFS: 'read-only',
  EACCES: 'not-permitted',
  EPERM: 'not-permitted',
  ENOENT: 'gone',
  ENOTDIR: 'gone',
  ESTALE: 'gone',
};

/** lmdb throws the operating system's number, or LMDB's own negative one, instead of a name. */
const KIND_BY_NUMBER: ReadonlyMap<number, StorageFaultKind> = new Map([
  [1, 'not-permitted'],
  [2, 'gone'],
  [5, 'io'],
  [13, 'not-permitted'],
  [20, 'gone'],
  [28, 'disk-full'],
  [30, 'read-only'],
  [116, 'gone'],
  [122, 'disk-full'],
]);

/** LMDB's codes run from MDB_KEYEXIST (-30799) upwards; these two are about load, not about the file. */
const MDB_MAP_FULL = -30792;
const MDB_READERS_FULL = -30790;
const isLmdbCode = (code: number): boolean => code <= -30700 && code >= -30800;
const DAMAGE = /MDB_(CORRUPTED|PAGE_NOTFOUND|INVALID|VERSION_MISMATCH|BAD_TXN|PANIC|PROBLEM|CURSOR_FULL|PAGE_FULL)/;

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;

const kindOf = (error: unknown): StorageFaultKind => {
  const code = codeOf(error);
  if (typeof code === 'string') return KIND_BY_CODE[code] ?? 'io';
  if (typeof code === 'number') {
    if (code === MDB_MAP_FULL) return 'disk-full';
    if (code === MDB_READERS_FULL) return 'io';
    return isLmdbCode(code) ? 'damaged' : (KIND_BY_NUMBER.get(code) ?? 'io');
  }
  return DAMAGE.test(String(error)) ? 'damaged' : 'io';
};

/** What `error`, thrown by the file system or by LMDB, means for the tier. A `StorageFault` stays itself. */
export const toFault = (error: unknown, doing: string): StorageFault => {
  if (error instanceof StorageFault) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new StorageFault(kindOf(error), `${doing}: ${reason}`, error);
};

/** What `work` resolves to. Rejects with the fault that its failure means. */
export const orFault = async <T>(doing: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw toFault(error, doing);
  }
};

/** Whether `error` is the operating system's `code`, such as `ENOENT`. */
export const isErrno = (error: unknown, code: string): boolean => codeOf(error) === code;
