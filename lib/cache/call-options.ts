import { checkTags } from '../entries/tags.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { callDuration, freshness } from '../lanes/lane-policy.js';
import type { FreshnessOptions, Isolation, CachePolicy } from '../lanes/policy.js';
import { type Duration, toMilliseconds } from '../lanes/units.js';
import type { SchemaCheck, StandardSchema } from './schema-check.js';
import {
  type Kind,
  anything,
  coded,
  count,
  finite,
  flag,
  inWords,
  kindOf,
  oneOf,
  signal,
  defineOptions,
  type Kinds,
} from '../options/options-shape.js';

/** A copy of an entry past its ttl, or due for a refresh, as the computation may use it. */
export interface StaleValue<T> {
  readonly value: T;
  /** Since it was stored. */
  readonly ageMs: number;
  /** Since its ttl ended; 0 while it has not. */
  readonly expiredMs: number;
}

/** What a computation can ask, and what it decides about its result. */
export interface ComputeContext<T = unknown> {
  readonly key: string;
  readonly lane: string;
  /** Aborted by `hardTimeout`, and when the cache closes. */
  readonly signal: AbortSignal;
  /** The entry past its ttl (inside its grace) or due for a refresh. */
  readonly stale?: StaleValue<T>;
  /** Adds to the tags of the call. */
  readonly setTags: (tags: readonly string[]) => void;
  /** Instead of the ttl of the call. Life counts from the end of the computation. */
  readonly setTtl: (ttl: Duration) => void;
  /** The result is returned and not stored. */
  readonly skipCache: () => void;
}

/**
 * Computes the value of a key that no tier had. The type of the stale value has a parameter of its own, because the
 * compiler infers no `T` from a function whose argument needs it.
 */
export type Compute<T, Stale = T> = (ctx: ComputeContext<Awaited<Stale>>) => T | PromiseLike<T>;

/** What a computation of several keys can ask, and what it decides about each. */
export interface ComputeManyContext {
  readonly signal: AbortSignal;
  setTags(key: string, tags: readonly string[]): void;
  setTtl(key: string, ttl: Duration): void;
}

/** Computes the keys that were not found. A key that its `Map` leaves out has no value. */
export type ComputeMany<T> = (
  missing: readonly string[],
  ctx: ComputeManyContext,
) => ReadonlyMap<string, T> | PromiseLike<ReadonlyMap<string, T>>;

/** How a value is stored. */
export interface WriteOptions extends Pick<FreshnessOptions, 'grace' | 'jitter'> {
  /** Default: the lane's. A bare number is seconds; 0 stores nothing. */
  readonly ttl?: Duration;
  /** At most 64, each at most 256 characters. */
  readonly tags?: readonly string[];
}

/** How a stored value is read. */
export interface ReadOptions {
  /** Default: the lane's. */
  readonly isolation?: Isolation;
  /** A stored value that fails it is a miss. */
  readonly schema?: StandardSchema;
  /** Of the value's shape; a value stored under another one is a miss. Default 0. */
  readonly version?: number;
}

/** How `getOrSet` reads, computes and stores. */
export interface EntryOptions extends WriteOptions, FreshnessOptions, ReadOptions {
  /** Compute even if a good entry is there; waits only for a running computation that was forced too. */
  readonly forceFresh?: boolean;
  /** Ends this caller's waiting only; the computation goes on. */
  readonly signal?: AbortSignal;
}

const fresh = freshness(callDuration);

/** Tags are checked with those that a computation sets. */
const writing: Kinds<WriteOptions> = {
  ttl: callDuration,
  tags: coded('TAG_INVALID', anything),
  grace: fresh.grace,
  jitter: fresh.jitter,
};

const schema = kindOf('a Standard Schema: an object with `~standard.validate`', (value): value is StandardSchema => {
  const { validate }: { readonly validate?: unknown } = (value as Partial<StandardSchema> | null)?.['~standard'] ?? {};
  return typeof validate === 'function';
});

const isolation: Kind<Isolation> = inWords(
  "'frozen' or 'clone'; 'shared' is for lanes that are declared so",
  oneOf('frozen', 'clone', 'shared'),
);

export const reading: Kinds<ReadOptions> = { isolation, schema, version: finite };

/** Those of one entry that decorators take as they are. */
export const entryRules = { ...reading, ...fresh, forceFresh: flag };

export const WRITE_OPTIONS = defineOptions<WriteOptions>('Options of a call', writing);
export const READ_OPTIONS = defineOptions<ReadOptions>('Options of a call', reading);
const entering: Kinds<EntryOptions> = { ...fresh, ...writing, ...reading, forceFresh: flag, signal };
export const ENTRY_OPTIONS = defineOptions<EntryOptions>('Options of a call', entering);

/** How keys are warmed. */
export interface WarmOptions extends EntryOptions {
  /** How many keys are computed at a time. Default 2. */
  readonly concurrency?: number;
}

export const WARM_OPTIONS = defineOptions<WarmOptions>('warm', { ...entering, concurrency: count });

/** One call's options over its lane's policy, in milliseconds. */
export interface CallOptions {
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
  readonly schema: SchemaCheck | undefined;
  readonly version: number;
  readonly forceFresh: boolean;
  readonly signal: AbortSignal | undefined;
}

const NO_TAGS: readonly string[] = Object.freeze([]);

/** The terms of a call without options. */
export function laneOptions(policy: CachePolicy): CallOptions {
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
export function resolveOptions(
  lane: string,
  defaults: CallOptions,
  options: EntryOptions,
  check: SchemaCheck | undefined,
): CallOptions {
  const ms = (field: string, value: Duration | undefined): number | undefined =>
    value === undefined ? undefined : toMilliseconds(value, { lane, field });
  const grace = ms('grace', options.grace);
  return {
    ttlMs: ms('ttl', options.ttl) ?? defaults.ttlMs,
    graceMs: grace ?? defaults.graceMs,
    acceptedGraceMs: grace ?? Infinity,
    graceBackoffMs: ms('graceBackoff', options.graceBackoff) ?? defaults.graceBackoffMs,
    refreshAhead: options.refreshAhead ?? defaults.refreshAhead,
    softTimeoutMs: ms('softTimeout', options.softTimeout) ?? defaults.softTimeoutMs,
    hardTimeoutMs: ms('hardTimeout', options.hardTimeout) ?? defaults.hardTimeoutMs,
    jitterMs: ms('jitter', options.jitter) ?? defaults.jitterMs,
    tags: options.tags === undefined ? defaults.tags : checkTags(options.tags, lane),
    isolation: isolationOf(lane, defaults.isolation, options.isolation),
    schema: check,
    version: options.version ?? defaults.version,
    forceFresh: options.forceFresh === true,
    signal: options.signal,
  };
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
