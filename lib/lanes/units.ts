import { LaneCacheError, type LaneCacheErrorDetails } from '../errors/lane-cache.error.js';
import { shown } from '../options/options-shape.js';

/** Milliseconds, seconds, minutes, hours, days and weeks. */
export type DurationUnit = 'ms' | 's' | 'm' | 'h' | 'd' | 'w';

/** A span of time. A bare number is SECONDS; strings carry their unit: `'500ms'`, `'10m'`, `'1.5 h'`. */
export type Duration = number | `${number}${DurationUnit}` | `${number} ${DurationUnit}`;

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const DURATION_TEXT = /^\s*(\d+(?:\.\d+)?|\.\d+)\s?(ms|s|m|h|d|w)?\s*$/;

/** 1,000 years. Longer durations count as this long, so that every expiry is a valid date. */
const LONGEST_MS = 1_000 * 365 * 86_400_000;

/** Describes the form of a duration in error texts. */
export const DURATION_FORM = "a number of seconds (0 or more) or a string such as '500ms', '30s', '10m', '2h', '7d'";

/** Whole milliseconds, or undefined if `value` is not a duration. Only 0 becomes 0. */
export function readDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return wholeMs(value * 1_000);
  if (typeof value !== 'string') return undefined;
  const written = DURATION_TEXT.exec(value);
  return written === null ? undefined : wholeMs(Number(written[1]) * (UNIT_MS[written[2] ?? 's'] ?? Number.NaN));
}

function wholeMs(ms: number): number | undefined {
  if (!(ms >= 0) || ms === Infinity) return undefined;
  if (ms > LONGEST_MS) return LONGEST_MS;
  return ms > 0 && ms < 1 ? 1 : Math.round(ms);
}

/**
 * Seconds, from a number or a string, such as one from the environment. A string without a unit is in seconds too.
 * Throws OPTIONS_INVALID.
 *
 * @example
 * ```ts
 * parseDuration('10m'); // 600
 * ```
 */
export function parseDuration(text: string | number): number {
  const ms = readDuration(text);
  if (ms !== undefined) return ms / 1_000;
  throw new LaneCacheError('OPTIONS_INVALID', `${shown(text)} is not a duration. Give ${DURATION_FORM}.`);
}

/**
 * Whole milliseconds of a ttl or another duration that a call was given. Throws TTL_INVALID for a negative, infinite or
 * invalid duration. `about` names its option (`field` is 'ttl' if absent).
 */
export function toMilliseconds(value: Duration, about: LaneCacheErrorDetails = {}): number {
  const ms = readDuration(value);
  if (ms !== undefined) return ms;
  const field = about.field ?? 'ttl';
  const where = about.lane === undefined ? '' : ` for lane '${about.lane}'`;
  throw new LaneCacheError('TTL_INVALID', `The ${field} given${where} is ${shown(value)}. Give ${DURATION_FORM}.`, {
    ...about,
    field,
  });
}

/** A number of bytes. A bare number is bytes; KB, MB and GB are powers of 1,024, in any case: `'512MB'`, `'1.5 gb'`. */
export type Size = number | `${number}${'B' | 'KB' | 'MB' | 'GB'}` | `${number} ${'B' | 'KB' | 'MB' | 'GB'}`;

const UNIT_BYTES: Readonly<Record<string, number>> = { B: 1, KB: 1_024, MB: 1_024 ** 2, GB: 1_024 ** 3 };
const SIZE_TEXT = /^\s*(\d+(?:\.\d+)?|\.\d+)\s?(B|KB|MB|GB)?\s*$/i;

/** Describes the form of a size in error texts. */
export const SIZE_FORM = "a number of bytes (0 or more) or a string such as '64KB', '512MB', '2GB'";

/** What limits of a value or a state may allow. It passes between processes in one message. */
export const LARGEST_VALUE_BYTES = 1024 ** 3;

/** Whole bytes, or undefined if `value` is not a size. */
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

/**
 * Bytes, from a number or a string, such as one from the environment. Throws OPTIONS_INVALID.
 *
 * @example
 * ```ts
 * parseSize('64KB'); // 65536
 * ```
 */
export function parseSize(text: string | number): number {
  const bytes = readSize(text);
  if (bytes !== undefined) return bytes;
  throw new LaneCacheError('OPTIONS_INVALID', `${shown(text)} is not a size. Give ${SIZE_FORM}.`);
}

const DAY_SECONDS = 86_400;

/**
 * Whether a ttl given as a number is probably in milliseconds: over a day, or at least ten times the lane's ttl and
 * divisible by 1,000. Strings carry their unit and are never suspected.
 */
export function looksLikeMilliseconds(ttl: unknown, laneTtlMs: number): boolean {
  if (typeof ttl !== 'number') return false;
  if (ttl > DAY_SECONDS) return true;
  return laneTtlMs > 0 && ttl * 1_000 >= laneTtlMs * 10 && ttl % 1_000 === 0;
}

/** What the warning of such a ttl says. */
export const millisecondsText = (where: string, ttl: Duration): string =>
  `${where} A bare number is SECONDS. Write '${ttl}ms' if milliseconds were meant, '${ttl}s' if not.`;
