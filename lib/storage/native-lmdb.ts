import { open } from 'lmdb';
import type { Database, Key, RootDatabase } from 'lmdb';
import type { Durability } from './environment.js';

/** LMDB's main map, which holds the tables. */
export type NativeRoot = RootDatabase<Uint8Array, Key>;

/** The map behind a table. */
export type NativeTable = Database<Uint8Array, Key>;

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
  ...SYNC[durability],
});

/**
 * Opens what preflight found sound, in a directory that no other process has open: anything else can crash the process
 * or lose what others commit.
 */
export const openNative = (directory: string, durability: Durability): NativeRoot =>
  open<Uint8Array, Key>({
    ...nativeOptions(directory, durability),
    // LMDB starts writing only when a transaction is complete, so that no synchronous one can cut it in two
    ...{ batchStartThreshold: Number.MAX_SAFE_INTEGER },
  });

export const openNativeTable = (root: NativeRoot, name: string): NativeTable =>
  root.openDB<Uint8Array, Key>({ name, encoding: 'binary' });

/** The names of the tables that are there already. */
export const tableNames = (root: NativeRoot): readonly string[] => [...root.getKeys()].map(String);
