import { Buffer } from 'node:buffer';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { CheckpointFilter, CleanupOptions } from './checkpoint.js';
import type { CleanupRule, ListPosition, ListQuery } from './checkpoint-store.js';

/** In UTF-8. */
export const MAX_ID_BYTES = 1_024;
const DAY_MS = 86_400_000;
const DEFAULT_PAGE = 100;
const MAX_PAGE = 1_000;

/** Shows what was wrong without repeating a kilobyte of it. */
export const invalid = (field: string, problem: string): LaneCacheError =>
  new LaneCacheError('CHECKPOINT_INVALID', `The ${field} of a checkpoint ${problem}.`, { field });

/** Ids and workflows: any text, as it is a key and never a path. */
export function requireName(name: unknown, field: 'id' | 'workflow'): void {
  if (typeof name !== 'string' || name === '') throw invalid(field, `must be a non-empty string, not ${shown(name)}`);
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_ID_BYTES)
    throw invalid(field, `takes ${bytes} bytes; ${MAX_ID_BYTES} is the most. Hash what is longer`);
}

export function requireStep(step: unknown): void {
  if (step === undefined || (typeof step === 'number' && Number.isFinite(step))) return;
  if (typeof step === 'string' && Buffer.byteLength(step) <= MAX_ID_BYTES) return;
  throw invalid('step', `must be a finite number or a string of at most ${MAX_ID_BYTES} bytes, not ${shown(step)}`);
}

/** A whole number of at least `least`. */
export function requireCount(value: unknown, field: string, least: number): void {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return;
  throw invalid(field, `must be a whole number of at least ${least}, not ${shown(value)}`);
}

export function toQuery(filter: CheckpointFilter): ListQuery {
  const { lane, workflow, since, until, after, limit = DEFAULT_PAGE } = filter;
  requireCount(limit, 'limit', 1);
  if (limit > MAX_PAGE) throw invalid('limit', `is at most ${MAX_PAGE}, not ${limit}. Use iterate() for all`);
  const byTime = since !== undefined || until !== undefined;
  return {
    ...(lane !== undefined && { lane }),
    ...(workflow !== undefined && { workflow }),
    ...(since !== undefined && { since: toTime(since, 'since') }),
    ...(until !== undefined && { until: toTime(until, 'until') }),
    ...(after !== undefined && { after: toPosition(after, byTime ? 2 : 1) }),
    limit,
  };
}

/** The opaque text of a place in a listing. */
export const fromPosition = ({ time, sequence }: ListPosition): string =>
  Buffer.from(JSON.stringify(time === undefined ? [sequence] : [sequence, time])).toString('base64url');

function toPosition(after: string, length: number): ListPosition {
  try {
    const numbers: unknown = JSON.parse(Buffer.from(after, 'base64url').toString());
    if (Array.isArray(numbers) && numbers.length === length && numbers.every(Number.isFinite)) {
      const [sequence, time] = numbers.map(Number);
      if (sequence !== undefined) return time === undefined ? { sequence } : { sequence, time };
    }
  } catch {}
  throw invalid('after', "must be the 'next' of a page of the same filter");
}

function toTime(time: unknown, field: string): number {
  const ms = time instanceof Date ? time.getTime() : typeof time === 'string' ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(ms)) throw invalid(field, `must be a valid Date or an ISO 8601 string, not ${shown(time)}`);
  return ms;
}

/** What a cleanup was asked for; anything else would be taken for the defaults, and remove. */
export function toCleanup(options: number | CleanupOptions): CleanupOptions {
  if (typeof options === 'number') return { maxAgeDays: options };
  if (typeof options === 'object' && options !== null) return options;
  throw invalid('options', `must be a number of days or an object, not ${shown(options)}`);
}

/** `maxAgeDays: Infinity` leaves only what has expired. */
export function toRule(options: CleanupOptions, now: number): CleanupRule {
  const { maxAgeDays = 7, keepLast = 0, lane, workflow, dryRun = false } = options;
  if (typeof maxAgeDays !== 'number' || !(maxAgeDays >= 0)) {
    throw invalid('maxAgeDays', `must be a number of days of at least 0, not ${shown(maxAgeDays)}`);
  }
  requireCount(keepLast, 'keepLast', 0);
  return {
    now,
    savedBefore: now - maxAgeDays * DAY_MS,
    keepLast,
    mode: dryRun ? 'dry-run' : 'remove',
    ...(lane !== undefined && { lane }),
    ...(workflow !== undefined && { workflow }),
  };
}

const shown = (value: unknown): string =>
  typeof value === 'string' ? `'${value.slice(0, 64)}'` : typeof value === 'number' ? String(value) : typeof value;
