import { types } from 'node:util';
import { ignoreRejection } from '../clock/promises.js';
import { kindInWords } from '../entries/arguments.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { type Duration, looksLikeMilliseconds, millisecondsText } from '../lanes/units.js';
import { oneOf, defineOptions, type OptionsShape } from '../options/options-shape.js';
import { type CallOptions, type EntryOptions, resolveOptions } from './call-options.js';
import type { LaneContext } from './lane-context.js';
import { SchemaCheck } from './schema-check.js';

/** Reads a call's options and lays them over the lane's. Throws LaneCacheError for options that are none of `shape`. */
export function optionsOf<T extends EntryOptions>(
  context: LaneContext,
  options: T | undefined,
  shape: OptionsShape<T>,
): CallOptions {
  const { lane, defaults } = context;
  if (options === undefined) return defaults;
  const read = shape.read(options, { lane });
  warnOfMilliseconds(context, read.ttl);
  const check = read.schema === undefined ? undefined : new SchemaCheck(context, read.schema);
  return resolveOptions(lane, defaults, read, check);
}

/** A ttl that was probably meant in milliseconds warns once for each lane. */
export function warnOfMilliseconds({ lane, policy, shared }: LaneContext, ttl: Duration | undefined): void {
  if (ttl !== undefined && looksLikeMilliseconds(ttl, policy.ttlMs)) {
    shared.warnOnce(`ttl:${lane}`, millisecondsText(`A ttl of ${ttl} was given in lane '${lane}'.`, ttl));
  }
}

/**
 * Whether memory can answer without a look at the other options: the slow path, which reads them all, refuses what is
 * wrong with them. A getter may throw.
 */
export function hasDefaultReadOptions(options: EntryOptions | null): boolean {
  try {
    return (
      typeof options === 'object' &&
      options !== null &&
      options.forceFresh !== true &&
      isAbsent(options.isolation) &&
      isAbsent(options.schema) &&
      isAbsent(options.version) &&
      isAbsent(options.signal) &&
      isAboveZero(options.ttl)
    );
  } catch {
    return false;
  }
}

/** What a getter gives is not read again: it may be a promise that rejects. */
function isAbsent(value: unknown): boolean {
  if (value === undefined) return true;
  ignoreRejection(value);
  return false;
}

/** A quick check, also of a ttl that is not given: a text that begins with a zero may be above zero, and takes the long way. */
function isAboveZero(ttl: Duration | undefined): boolean {
  if (ttl === undefined) return true;
  if (typeof ttl === 'string') return !ttl.startsWith('0');
  if (typeof ttl === 'number') return ttl > 0;
  ignoreRejection(ttl);
  return false;
}

export const CLEAR_OPTIONS = defineOptions<{ readonly lanes?: 'all' }>(
  'clearAll',
  { lanes: oneOf('all') },
  { elsewhere: { lane: "Clear another lane by forLane('name').clearAll()." } },
);

/** The longest key, in UTF-8. */
const MAX_KEY_BYTES = 64 * 1024;
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

/** The keys of a call for several, each once. Throws KEY_INVALID or KEY_TOO_LONG. */
export function checkKeys(keys: readonly string[], lane: string): readonly string[] {
  if (!Array.isArray(keys)) {
    throw new LaneCacheError(
      'KEY_INVALID',
      `The keys given in lane '${lane}' are ${kindInWords(keys)}. Pass an array of strings.`,
      { lane },
    );
  }
  // Not by its own `map`, which leaves holes as they are.
  return [...new Set(Array.from<string, string>(keys, (key) => checkKey(key, lane)))];
}

/** The entries of a call for several. Throws KEY_INVALID for what is no list or iterable of pairs. */
export function checkEntries(entries: Iterable<EntryPair>, lane: string): EntryPairs {
  const invalid = (found: string): LaneCacheError =>
    new LaneCacheError(
      'KEY_INVALID',
      `The entries given in lane '${lane}' ${found}. Pass a list of [key, value] pairs, or a Map.`,
      { lane },
    );
  if (typeof entries !== 'object' || entries === null || typeof entries[Symbol.iterator] !== 'function') {
    throw invalid(`are ${kindInWords(entries)}`);
  }
  if (isPlainMap(entries)) return pairsOf(entries);
  const list = [...entries];
  const at = list.findIndex((entry) => !Array.isArray(entry));
  if (at >= 0) throw invalid(`contain ${kindInWords(list[at])}`);
  return list;
}

type EntryPair = readonly [key: string, value: unknown];

/** Pairs as they were when they were handed in. */
type EntryPairs = Pick<readonly EntryPair[], 'length' | 'at'>;

/** Nothing of the app runs when it is read. */
const isPlainMap = (entries: Iterable<EntryPair>): entries is Map<string, unknown> =>
  Object.getPrototypeOf(entries) === Map.prototype;

/** A pair is made when it is read: to make 100,000 in one step holds the event loop for several milliseconds. */
function pairsOf(map: ReadonlyMap<string, unknown>): EntryPairs {
  const keys = [...map.keys()];
  const values = [...map.values()];
  return { length: keys.length, at: (index) => [keys[index] as string, values[index]] };
}

/** Throws COMPUTE_INVALID. */
export function checkCompute(compute: unknown, lane: string): void {
  if (typeof compute === 'function') return;
  throw new LaneCacheError(
    'COMPUTE_INVALID',
    `The computation given in lane '${lane}' is ${kindInWords(compute)}, not a function. Pass a function that returns the value or a promise of it.`,
    { lane },
  );
}

/** What a computation of several keys returned. Throws COMPUTE_INVALID. */
export function checkComputed(values: ReadonlyMap<string, unknown>, lane: string): ReadonlyMap<string, unknown> {
  if (types.isMap(values)) return values;
  throw new LaneCacheError(
    'COMPUTE_INVALID',
    `The computation of several keys in lane '${lane}' returned something else than a Map. Return a Map from each key to its value.`,
    { lane },
  );
}
