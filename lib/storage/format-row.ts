import { openNativeTable, tableNames, type NativeRoot } from './native-lmdb.js';

/** The version of what this room writes: tables, keys and rows. Raised when an older build could misread it. */
export const FORMAT_VERSION = 1;

/** The row by which a directory says what it is. */
export const FORMAT_TABLE = 'about';
export const FORMAT_KEY = 'format';
const CURRENT = `nestjs-lane-cache ${FORMAT_VERSION}`;

/** `none`: nothing was ever written. `foreign`: written by something else, or by a newer version. */
export type Format = { readonly state: 'none' | 'current' } | { readonly state: 'foreign'; readonly found: string };

/** Throws what LMDB throws if not even this can be read. */
export const readFormat = (root: NativeRoot): Format => {
  const tables = tableNames(root);
  if (tables.length === 0) return { state: 'none' };
  if (!tables.includes(FORMAT_TABLE)) return { state: 'foreign', found: `a table ${JSON.stringify(tables[0])}` };
  const row = openNativeTable(root, FORMAT_TABLE).getBinary(FORMAT_KEY);
  // the table is made just before its row is written, and the process may die in between
  if (row === undefined) return tables.length === 1 ? { state: 'none' } : { state: 'foreign', found: 'no version' };
  const text = row.toString('latin1');
  return text === CURRENT ? { state: 'current' } : { state: 'foreign', found: JSON.stringify(text.slice(0, 80)) };
};

export const formatRow = (): Uint8Array => Buffer.from(CURRENT, 'latin1');
