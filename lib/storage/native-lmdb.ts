import { open } from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import type { Durability, TableKey } from './environment.js';

type NativeKey = string | number | (string | number)[];

/** LMDB's main map, which holds the tables. */
export type NativeRoot = RootDatabase<Uint8Array, NativeKey>;

/** The map behind a table. lmdb-js reads the keys it is given, but does not declare that they may be read-only. */
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
  // LMDB starts writing only when a transaction is complete, so that no synchronous one can cut it in two
  batchStartThreshold: Number.MAX_SAFE_INTEGER,
  ...SYNC[durability],
});

/**
 * Opens what preflight found sound, in a directory that no other process has open: anything else can crash the process
 * or lose what others commit.
 */
export const openNative = (directory: string, durability: Durability): NativeRoot =>
  open<Uint8Array, NativeKey>(nativeOptions(directory, durability));

export const openNativeTable = (root: NativeRoot, name: string): NativeTable =>
  root.openDB<Uint8Array, NativeKey>({ name, encoding: 'binary' });

/** The names of the tables that are there already. */
export const tableNames = (root: NativeRoot): readonly string[] => [...root.getKeys()].map(String);
