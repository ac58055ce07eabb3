import { endianness } from 'node:os';

/*
 * The two meta pages with which a data file of LMDB begins, in the byte order of the machine. LMDB writes them in turns, so
 * that one of them is always whole.
 */

export const META_BYTES = 192;
export const META_PAGES = 2n;

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const MIN_PAGE = 512;
const MAX_PAGE = 65_536;
const META_FLAG = 0x08;
/** Offsets within a meta page. The first 24 bytes are the header that each page has. */
const AT = {
  page: 0,
  flags: 18,
  magic: 24,
  version: 28,
  mapBytes: 40,
  pageSize: 48,
  freeListFlags: 52,
  freeListRoot: 88,
  mainTableRoot: 136,
  lastPage: 144,
  transaction: 152,
} as const;

/** What a meta page states. */
export interface Meta {
  readonly pageSize: number;
  readonly lastPage: bigint;
  readonly transaction: bigint;
}

const littleEndian = endianness() === 'LE';

/** Undefined for bytes that are no meta page. */
export const parseMeta = (bytes: DataView): Meta | undefined => {
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

const PAGE_SIZE = 4096;
/** The map of an empty file. LMDB enlarges it as the file grows. */
const MAP_BYTES = 131_072n;
const BY_NUMBER = 0x08;
const NO_PAGE = -1n;

/** A data file without tables, as LMDB itself makes it on a machine whose pages have 4 KB. */
export const emptyDataFile = (): Uint8Array => {
  const file = new Uint8Array(Number(META_PAGES) * PAGE_SIZE);
  for (let page = 0n; page < META_PAGES; page++) {
    const bytes = new DataView(file.buffer, Number(page) * PAGE_SIZE, PAGE_SIZE);
    bytes.setBigUint64(AT.page, page, littleEndian);
    bytes.setUint16(AT.flags, META_FLAG, littleEndian);
    bytes.setUint32(AT.magic, MAGIC, littleEndian);
    bytes.setUint32(AT.version, DATA_VERSION, littleEndian);
    bytes.setBigUint64(AT.mapBytes, MAP_BYTES, littleEndian);
    bytes.setUint32(AT.pageSize, PAGE_SIZE, littleEndian);
    bytes.setUint16(AT.freeListFlags, BY_NUMBER, littleEndian);
    bytes.setBigInt64(AT.freeListRoot, NO_PAGE, littleEndian);
    bytes.setBigInt64(AT.mainTableRoot, NO_PAGE, littleEndian);
    bytes.setBigUint64(AT.lastPage, META_PAGES - 1n, littleEndian);
  }
  return file;
};
