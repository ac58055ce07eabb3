import { LaneCacheError } from '../errors/lane-cache.error.js';

/** A number of bytes. A bare number is bytes; KB, MB and GB are powers of 1,024, in any case: `'512MB'`, `'1.5 gb'`. */
export type Size = number | `${number}${'B' | 'KB' | 'MB' | 'GB'}` | `${number} ${'B' | 'KB' | 'MB' | 'GB'}`;

const UNIT_BYTES: Readonly<Record<string, number>> = { B: 1, KB: 1_024, MB: 1_024 ** 2, GB: 1_024 ** 3 };
const SIZE_TEXT = /^\s*(\d+(?:\.\d+)?|\.\d+)\s?(B|KB|MB|GB)?\s*$/i;

/** What a size may look like, for the texts of errors. */
export const SIZE_FORM = "a number of bytes (0 or more) or a string such as '64KB', '512MB', '2GB'";

/** Whole bytes, or undefined if `value` is no size. */
export function readSize(value: unknown): number | undefined {
  if (typeof value === 'number') return wholeBytes(value);
  if (typeof value !== 'string') return undefined;
  const written = SIZE_TEXT.exec(value);
  if (written === null) return undefined;
  return wholeBytes(Number(written[1]) * (UNIT_BYTES[(written[2] ?? 'B').toUpperCase()] ?? Number.NaN));
}

function wholeBytes(bytes: number): number | undefined {
  return bytes >= 0 && bytes <= Number.MAX_SAFE_INTEGER ? Math.round(bytes) : undefined;
}

/** Bytes, from a number or a string that may come from the environment. Throws OPTIONS_INVALID. */
export function parseSize(text: string | number): number {
  const bytes = readSize(text);
  if (bytes !== undefined) return bytes;
  const shown = typeof text === 'string' ? `'${text.slice(0, 64)}'` : String(text);
  throw new LaneCacheError('OPTIONS_INVALID', `${shown} is no size. Give ${SIZE_FORM}.`);
}
