import type { CheckpointFilter, CleanupOptions } from '../checkpoints/checkpoint.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { LaneName } from '../lanes/policy.js';

interface InLane {
  /** Default: the app's. */
  readonly lane?: LaneName;
}

/** What one POST invalidates. */
export type Invalidation =
  (InLane & { readonly key: string }) | (InLane & { readonly pattern: string }) | { readonly tags: readonly string[] };

type Fields = ReadonlyMap<string, unknown>;

// Each throws OPTIONS_INVALID naming the field at fault.

export function readClear(body: unknown): InLane {
  return laneIn(fieldsOf(body, ['lane']));
}

export function readInvalidation(body: unknown): Invalidation {
  const fields = fieldsOf(body, ['key', 'tags', 'pattern', 'lane']);
  const kinds = ['key', 'tags', 'pattern'].filter((name) => fields.has(name));
  if (kinds.length !== 1) throw invalid('key', 'Give exactly one of key, tags and pattern.');
  const lane = laneIn(fields);
  const tags = fields.get('tags');
  if (tags === undefined) {
    const key = textIn(fields, 'key');
    return key === undefined ? { ...lane, pattern: textIn(fields, 'pattern') ?? '' } : { ...lane, key };
  }
  if (lane.lane !== undefined) throw invalid('lane', 'tags reach all lanes: leave lane out.');
  if (!isTexts(tags) || tags.length === 0) throw invalid('tags', 'tags must be a list of texts.');
  return { tags };
}

export function readCleanup(body: unknown): CleanupOptions {
  const fields = fieldsOf(body, ['maxAgeDays', 'dryRun']);
  const [maxAgeDays, dryRun] = [fields.get('maxAgeDays'), fields.get('dryRun')];
  if (maxAgeDays !== undefined && typeof maxAgeDays !== 'number') {
    throw invalid('maxAgeDays', 'maxAgeDays must be a number of days.');
  }
  if (dryRun !== undefined && typeof dryRun !== 'boolean') throw invalid('dryRun', 'dryRun must be true or false.');
  return { ...(maxAgeDays === undefined ? {} : { maxAgeDays }), ...(dryRun === undefined ? {} : { dryRun }) };
}

/** From the query of a URL. */
export function readPage(query: unknown): CheckpointFilter {
  const fields = fieldsOf(query, ['workflow', 'lane', 'since', 'until', 'after', 'limit']);
  const limit = textIn(fields, 'limit');
  const texts = ['workflow', 'lane', 'since', 'until', 'after'].map((name) => [name, textIn(fields, name)] as const);
  const given: CheckpointFilter = Object.fromEntries(texts.filter(([, text]) => text !== undefined));
  return limit === undefined ? given : { ...given, limit: Number(limit) };
}

function fieldsOf(given: unknown, known: readonly string[]): Fields {
  if (given === undefined || given === null) return new Map();
  if (typeof given !== 'object' || Array.isArray(given)) throw invalid('body', 'Send an object.');
  const fields = new Map<string, unknown>(Object.entries(given));
  for (const name of fields.keys()) {
    if (!known.includes(name)) throw invalid(name, `There is no field '${name}'. Known fields: ${known.join(', ')}.`);
  }
  return fields;
}

function laneIn(fields: Fields): InLane {
  const lane = textIn(fields, 'lane');
  return lane === undefined ? {} : { lane };
}

function textIn(fields: Fields, name: string): string | undefined {
  const text = fields.get(name);
  if (text === undefined || (typeof text === 'string' && text !== '')) return text;
  throw invalid(name, `${name} must be a text that isn't empty.`);
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((text) => typeof text === 'string');

function invalid(field: string, message: string): LaneCacheError {
  return new LaneCacheError('OPTIONS_INVALID', message, { field });
}
