import type { TableKey } from './environment.js';

/** LMDB takes 1,978 bytes with pages of 4 KB; the rest is room for separators and escapes. */
export const MAX_KEY_BYTES = 1_900;
const NUMBER_BYTES = 10;
const SEPARATOR_BYTES = 2;

const partBytes = (part: string | number): number => {
  if (typeof part === 'string') return Buffer.byteLength(part) + SEPARATOR_BYTES;
  if (!Number.isFinite(part)) throw new TypeError(`A table key holds ${part}, which has no place in an order.`);
  return NUMBER_BYTES;
};

/**
 * Throws unless LMDB takes `key` for sure. Asked before anything is handed over, because a put that throws on its key
 * leaves half a transaction armed.
 */
export const requireKey = (key: TableKey): void => {
  let bytes = 0;
  if (typeof key === 'object') {
    if (key.length === 0) throw new TypeError('A table key is an empty array.');
    for (const part of key) bytes += partBytes(part);
  } else bytes = partBytes(key);
  if (bytes > MAX_KEY_BYTES) throw new RangeError(`A table key takes ${bytes} bytes; ${MAX_KEY_BYTES} is the most.`);
};
