import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { endianness } from 'node:os';
import { isErrno, toFault } from './environment.js';

/**
 * What the meta pages say before LMDB is let near them. `absent`: nothing there yet. `fresh`: no more than meta pages, as
 * a process leaves it that dies while it makes it. `suspect`: too short, which kills
 * whoever reads the missing pages, or does no harm if they hold nothing; only reading tells. `unsound`: LMDB would crash.
 */
export type Preflight =
  | { readonly state: 'absent' }
  | { readonly state: 'fresh' }
  | { readonly state: 'sound' }
  | { readonly state: 'suspect' | 'unsound'; readonly cause: string };

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const META_BYTES = 192;
const META_PAGES = 2n;
const MIN_PAGE = 512;
const MAX_PAGE = 65_536;
/** Offsets within a meta page, behind its 24 bytes of page header. */
const AT = { flags: 18, magic: 24, version: 28, pageSize: 48, lastPage: 144, transaction: 152 } as const;

interface Meta {
  readonly pageSize: number;
  readonly lastPage: bigint;
  readonly transaction: bigint;
}

const META_FLAG = 0x08;
const littleEndian = endianness() === 'LE';

const parseMeta = (bytes: DataView): Meta | undefined => {
  if (bytes.getUint32(AT.magic, littleEndian) !== MAGIC) return undefined;
  if ((bytes.getUint16(AT.flags, littleEndian) & META_FLAG) === 0) return undefined;
  // the upper half of the word is a flag of lmdb-js's own
  if ((bytes.getUint32(AT.version, littleEndian) & 0xffff) !== DATA_VERSION) return undefined;
  const pageSize = bytes.getUint32(AT.pageSize, littleEndian);
  if (pageSize < MIN_PAGE || pageSize > MAX_PAGE || (pageSize & (pageSize - 1)) !== 0) return undefined;
  return {
    pageSize,
    lastPage: bytes.getBigUint64(AT.lastPage, littleEndian),
    transaction: bytes.getBigUint64(AT.transaction, littleEndian),
  };
};

const readMeta = async (file: FileHandle, position: number): Promise<Meta | undefined> => {
  const bytes = new Uint8Array(META_BYTES);
  const { bytesRead } = await file.read(bytes, 0, META_BYTES, position);
  return bytesRead < META_BYTES ? undefined : parseMeta(new DataView(bytes.buffer));
};

const unsound = (cause: string): Preflight => ({ state: 'unsound', cause });

const inspect = async (file: FileHandle): Promise<Preflight> => {
  const status = await file.stat();
  if (!status.isFile()) return unsound('data.mdb is not a file');
  if (status.size === 0) return { state: 'absent' };
  const first = await readMeta(file, 0);
  if (first === undefined) return unsound('the first meta page is no meta page');
  const second = await readMeta(file, first.pageSize);
  if (second === undefined) return unsound('the second meta page is no meta page');
  if (second.pageSize !== first.pageSize) return unsound('the meta pages disagree about the size of a page');
  const newest = first.transaction > second.transaction ? first : second;
  const wanted = (newest.lastPage + 1n) * BigInt(newest.pageSize);
  if (BigInt(status.size) >= wanted) return { state: newest.lastPage < META_PAGES ? 'fresh' : 'sound' };
  return { state: 'suspect', cause: `data.mdb has ${status.size} bytes, its newest meta page speaks of ${wanted}` };
};

/**
 * Reads both meta pages of `directory`'s data file with the file system alone. Never touches `lock.mdb`: closing any
 * descriptor on that would drop the locks that this process holds on it.
 */
export const preflight = async (directory: string): Promise<Preflight> => {
  let file: FileHandle;
  try {
    file = await open(join(directory, 'data.mdb'), 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return { state: 'absent' };
    throw toFault(error, `looking at ${directory} before opening it`);
  }
  try {
    return await inspect(file);
  } finally {
    await file.close();
  }
};
