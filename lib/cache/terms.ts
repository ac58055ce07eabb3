import { checkTags } from '../entries/tags.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { toMilliseconds, type Duration } from '../lanes/duration.js';
import type { CachePolicy, Isolation } from '../lanes/policy.js';
import type { EntryOptions, StandardSchema } from './options.js';

/** One call's options over its lane's policy, in milliseconds. */
export interface Terms {
  readonly ttlMs: number;
  readonly graceMs: number;
  /** How much of an entry's grace this reader accepts. */
  readonly acceptedGraceMs: number;
  readonly graceBackoffMs: number;
  readonly refreshAhead: number | null;
  readonly softTimeoutMs: number | null;
  readonly hardTimeoutMs: number | null;
  readonly jitterMs: number;
  readonly tags: readonly string[];
  readonly isolation: Isolation;
  readonly schema: StandardSchema | undefined;
  readonly version: number;
  readonly forceFresh: boolean;
  readonly signal: AbortSignal | undefined;
}

const NO_TAGS: readonly string[] = Object.freeze([]);

/** The terms of a call without options. */
export function laneTerms(policy: CachePolicy): Terms {
  return Object.freeze({
    ttlMs: policy.ttlMs,
    graceMs: policy.graceMs,
    acceptedGraceMs: Infinity,
    graceBackoffMs: policy.graceBackoffMs,
    refreshAhead: policy.refreshAhead,
    softTimeoutMs: policy.softTimeoutMs,
    hardTimeoutMs: policy.hardTimeoutMs,
    jitterMs: policy.jitterMs,
    tags: NO_TAGS,
    isolation: policy.isolation,
    schema: undefined,
    version: 0,
    forceFresh: false,
    signal: undefined,
  });
}

/** Lays a call's options over the lane's terms. Throws LaneCacheError naming the lane and the option of a bad value. */
export function resolveTerms(lane: string, defaults: Terms, options: EntryOptions): Terms {
  const ms = (field: string, value: Duration | undefined): number | undefined =>
    value === undefined ? undefined : toMilliseconds(value, { lane, field });
  const grace = ms('grace', options.grace);
  return {
    ttlMs: ms('ttl', options.ttl) ?? defaults.ttlMs,
    graceMs: grace ?? defaults.graceMs,
    acceptedGraceMs: grace ?? Infinity,
    graceBackoffMs: ms('graceBackoff', options.graceBackoff) ?? defaults.graceBackoffMs,
    refreshAhead: share(lane, options.refreshAhead) ?? defaults.refreshAhead,
    softTimeoutMs: ms('softTimeout', options.softTimeout) ?? defaults.softTimeoutMs,
    hardTimeoutMs: ms('hardTimeout', options.hardTimeout) ?? defaults.hardTimeoutMs,
    jitterMs: ms('jitter', options.jitter) ?? defaults.jitterMs,
    tags: options.tags === undefined ? defaults.tags : checkTags(options.tags, lane),
    isolation: isolationOf(lane, defaults.isolation, options.isolation),
    schema: options.schema,
    version: options.version ?? defaults.version,
    forceFresh: options.forceFresh === true,
    signal: options.signal,
  };
}

function share(lane: string, refreshAhead: number | undefined): number | undefined {
  if (refreshAhead === undefined || (refreshAhead > 0 && refreshAhead < 1)) return refreshAhead;
  throw new LaneCacheError(
    'OPTIONS_INVALID',
    `refreshAhead must be a share of the ttl between 0 and 1 (both excluded), not ${String(refreshAhead)}.`,
    { lane, field: 'refreshAhead' },
  );
}

function isolationOf(lane: string, own: Isolation, asked: Isolation | undefined): Isolation {
  if (asked === undefined || asked === own) return own;
  if (asked === 'frozen' || asked === 'clone') return asked;
  throw new LaneCacheError(
    'OPTIONS_INVALID',
    `isolation of a call must be 'frozen' or 'clone', not '${asked}'; 'shared' is for lanes that are declared so.`,
    { lane, field: 'isolation' },
  );
}
