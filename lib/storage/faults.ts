import { StorageFault, type StorageFaultKind } from './environment.js';

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

/** Whether `error` is the operating system's `code`, such as `ENOENT`. */
export const isErrno = (error: unknown, code: string): boolean => codeOf(error) === code;
