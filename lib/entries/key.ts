import { createHash } from 'node:crypto';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { kindInWords } from './arguments.js';

/** The longest key, in UTF-8. */
const MAX_KEY_BYTES = 64 * 1024;
/** The longest key that LMDB accepts, with room to spare. */
const MAX_PHYSICAL_BYTES = 1_900;
/** A UTF-16 unit takes at most this many bytes in UTF-8. */
const MAX_UNIT_BYTES = 3;
/** How much of a long key is shown in an error. */
const SHOWN_LENGTH = 100;

/** The key itself. Throws LaneCacheError KEY_INVALID (not a string, or empty) or KEY_TOO_LONG (over 64 KB in UTF-8). */
export function checkKey(key: unknown, lane: string): string {
  if (typeof key !== 'string' || key === '') {
    throw new LaneCacheError(
      'KEY_INVALID',
      `A key of lane '${lane}' is ${kindInWords(key)}. Keys are non-empty strings.`,
      { lane },
    );
  }
  if (key.length * MAX_UNIT_BYTES > MAX_KEY_BYTES && Buffer.byteLength(key) > MAX_KEY_BYTES) {
    const shown = `${key.slice(0, SHOWN_LENGTH)}…`;
    throw new LaneCacheError(
      'KEY_TOO_LONG',
      `The key '${shown}' of lane '${lane}' takes ${Buffer.byteLength(key)} bytes, more than ${MAX_KEY_BYTES}. Use a hash of what it is made from.`,
      { lane, key: shown },
    );
  }
  return key;
}

/**
 * The form of a key in a store that takes short, well-formed keys only: `lane:key`, or else `lane#` and a hash.
 * Two keys may, in theory, share a hash, so a reader must compare the full key in the record.
 */
export function physicalKey(lane: string, key: string): string {
  const direct = `${lane}:${key}`;
  const fits = direct.length * MAX_UNIT_BYTES <= MAX_PHYSICAL_BYTES || Buffer.byteLength(direct) <= MAX_PHYSICAL_BYTES;
  if (fits && key.isWellFormed()) return direct;
  return `${lane}#${createHash('sha256').update(key, 'utf16le').digest('hex')}`;
}
