import type { Duration } from '../lanes/duration.js';
import type { FreshnessOptions, Isolation } from '../lanes/policy.js';

/** A copy of an entry past its ttl, or due for renewal, as the computation may use it. */
export interface StaleValue<T> {
  readonly value: T;
  /** Since it landed. */
  readonly ageMs: number;
  /** Since its ttl ended; 0 while it has not. */
  readonly expiredMs: number;
}

/** What a computation is told, and what it may say about its result. */
export interface ComputeContext<T = unknown> {
  readonly key: string;
  readonly lane: string;
  /** Aborted by `hardTimeout`, and when the cache closes. */
  readonly signal: AbortSignal;
  /** The entry past its ttl (inside its grace) or due for renewal. */
  readonly stale?: StaleValue<T>;
  /** Adds to the tags of the call. */
  setTags(tags: readonly string[]): void;
  /** Instead of the ttl of the call. Life counts from the end of the computation. */
  setTtl(ttl: Duration): void;
  /** The result is returned and not stored. */
  skipCache(): void;
}

/** Computes the value of a key that no tier had. */
export type Compute<T> = (ctx: ComputeContext<Awaited<T>>) => T | PromiseLike<T>;

/** What a computation of several keys is told, and what it may say about each. */
export interface ComputeManyContext {
  readonly signal: AbortSignal;
  setTags(key: string, tags: readonly string[]): void;
  setTtl(key: string, ttl: Duration): void;
}

export type ComputeMany<T> = (
  missing: readonly string[],
  ctx: ComputeManyContext,
) => ReadonlyMap<string, T> | PromiseLike<ReadonlyMap<string, T>>;

export interface WriteOptions extends Pick<FreshnessOptions, 'grace' | 'jitter'> {
  /** Default: the lane's. A bare number is seconds; 0 stores nothing. */
  readonly ttl?: Duration;
  /** At most 64, each at most 256 characters. */
  readonly tags?: readonly string[];
}

/** A validator of the Standard Schema kind (https://standardschema.dev). */
export interface StandardSchema {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => unknown;
  };
}

export interface ReadOptions {
  /** Default: the lane's. */
  readonly isolation?: Isolation;
  /** A stored value that fails it is a miss. */
  readonly schema?: StandardSchema;
  /** Of the value's shape; a value stored under another one is a miss. Default 0. */
  readonly version?: number;
}

export interface EntryOptions extends WriteOptions, FreshnessOptions, ReadOptions {
  /** Compute even if a good entry is there; waits only for a running computation that was forced too. */
  readonly forceFresh?: boolean;
  /** Ends this caller's waiting only; the computation goes on. */
  readonly signal?: AbortSignal;
}
