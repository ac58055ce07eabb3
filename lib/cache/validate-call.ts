import { types } from 'node:util';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { nearestName } from '../errors/nearest-name.js';
import { checkKey } from '../entries/key.js';
import { type Duration, looksLikeMilliseconds } from '../lanes/units.js';
import type { LaneContext } from './lane-context.js';
import { type EntryOptions, resolveOptions, type CallOptions } from './call-options.js';

// prettier-ignore
const OPTIONS: readonly string[] = [
  'ttl', 'tags', 'jitter', 'grace', 'graceBackoff', 'refreshAhead', 'softTimeout', 'hardTimeout',
  'isolation', 'schema', 'version', 'forceFresh', 'signal',
];

/** Checks a call's options and lays them over the lane's. A ttl that was probably meant in milliseconds warns once. */
export function optionsOf(context: LaneContext, options: EntryOptions | undefined): CallOptions {
  const { lane, shared, policy } = context;
  if (options === undefined) return context.call;
  checkOptions(options, lane);
  const call = resolveOptions(lane, context.call, options);
  if (looksLikeMilliseconds(options.ttl, policy.ttlMs)) {
    const ttl = String(options.ttl);
    shared.warnOnce(
      `ttl:${lane}`,
      `A ttl of ${ttl} was given in lane '${lane}'. A bare number is SECONDS. Write '${ttl}ms' if milliseconds were meant, '${ttl}s' if not.`,
    );
  }
  return call;
}

/** Whether what memory holds can be handed out without a look at the other options. */
export function hasDefaultReadOptions(options: EntryOptions | null): boolean {
  return (
    options !== null &&
    options.forceFresh !== true &&
    options.isolation === undefined &&
    options.schema === undefined &&
    options.version === undefined &&
    options.signal === undefined &&
    (options.ttl === undefined || isAboveZero(options.ttl))
  );
}

/** A quick check: a text that begins with a zero may be above zero, and takes the long way. */
function isAboveZero(ttl: Duration): boolean {
  return typeof ttl === 'string' ? !ttl.startsWith('0') : ttl > 0;
}

/** A misspelt option would be one that silently does nothing: no tags, no ttl. Throws OPTIONS_INVALID. */
function checkOptions(options: EntryOptions, lane: string): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalid(lane, undefined, `Options of a call must be an object, such as { ttl: '10m', tags: ['a'] }.`);
  }
  for (const name in options) {
    if (OPTIONS.includes(name)) continue;
    const meant = nearestName(name, OPTIONS);
    const hint = meant === undefined ? `Known options: ${OPTIONS.join(', ')}.` : `Did you mean '${meant}'?`;
    throw invalid(lane, name, `A call has no option '${name}'. ${hint}`);
  }
  const { version, schema, signal, forceFresh } = options;
  if (version !== undefined && !Number.isFinite(version)) {
    throw invalid(lane, 'version', `version must be a number, not ${String(version)}.`);
  }
  if (schema !== undefined && typeof schema['~standard']?.validate !== 'function') {
    throw invalid(lane, 'schema', 'schema must be a Standard Schema: an object with `~standard.validate`.');
  }
  if (signal !== undefined && typeof signal.addEventListener !== 'function') {
    throw invalid(lane, 'signal', 'signal must be an AbortSignal.');
  }
  if (forceFresh !== undefined && typeof forceFresh !== 'boolean') {
    throw invalid(lane, 'forceFresh', `forceFresh must be true or false, not ${String(forceFresh)}.`);
  }
}

function invalid(lane: string, field: string | undefined, message: string): LaneCacheError {
  return new LaneCacheError('OPTIONS_INVALID', `${message} (lane '${lane}')`, { lane, field });
}

/** Throws OPTIONS_INVALID. */
export function reachesAllLanes(options: { readonly lanes?: 'all' } | undefined, lane: string): boolean {
  if (options?.lanes === undefined || options.lanes === 'all') return options?.lanes === 'all';
  throw invalid(lane, 'lanes', `lanes must be 'all', or left out for this lane, not ${String(options.lanes)}.`);
}

/** The keys of a call for several, each once. Throws KEY_INVALID or KEY_TOO_LONG. */
export function checkKeys(keys: readonly string[], lane: string): readonly string[] {
  if (!Array.isArray(keys)) {
    throw new LaneCacheError('KEY_INVALID', `The keys given in lane '${lane}' are no list. Pass an array of strings.`, {
      lane,
    });
  }
  return [...new Set(keys.map((key) => checkKey(key, lane)))];
}

/** Throws COMPUTE_INVALID. */
export function checkCompute(compute: unknown, lane: string): void {
  if (typeof compute === 'function') return;
  throw new LaneCacheError(
    'COMPUTE_INVALID',
    `The computation given in lane '${lane}' is ${compute === null ? 'null' : `of type ${typeof compute}`}, not a function. Pass a function that returns the value or a promise of it.`,
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
