import type { Duration, Size } from './units.js';
import type { LaneStrategy } from './strategy.js';

/** The lanes that are built in. */
export const LaneType = Object.freeze({ Docs: 'docs', Standard: 'standard', Heavy: 'heavy' } as const);
export type LaneType = (typeof LaneType)[keyof typeof LaneType];

/** Built in, or any name an app defines: a letter, then up to 63 letters, digits, `_` and `-`. */
export type LaneName = LaneType | (string & {});

/**
 * How callers are kept from changing each other's values. frozen: all share one deeply frozen copy. clone: each gets its
 * own copy. shared: all share the live reference, in lanes that use memory alone.
 */
export type Isolation = 'frozen' | 'clone' | 'shared';

export interface MemoryTierPolicy {
  readonly maxEntries?: number;
  readonly maxBytes?: Size;
}

export interface DiskTierPolicy {
  readonly enabled?: boolean;
  readonly maxEntries?: number;
  readonly maxBytes?: Size;
}

export interface DistributedTierPolicy {
  /** Default true: used once the app is given a server. False by default in lanes with isolation 'shared'. */
  readonly enabled?: boolean;
  /** Who shares one computation. Default 'process'. */
  readonly coalesce?: 'process' | 'cluster';
}

/** How old a served value may be, and which callers wait for a new one. */
export interface FreshnessOptions {
  /**
   * How long past its ttl an entry may be served when compute fails or `softTimeout` passes. Fixed on the entry by its
   * writer; a reader may ask for less, never for more. Default 0: off.
   */
  readonly grace?: Duration;
  /** After a failed compute that stale served, how long compute is left alone. Default '10s'. */
  readonly graceBackoff?: Duration;
  /** Share of the ttl, between 0 and 1, after which a hit starts one background renewal. Default off. */
  readonly refreshAhead?: number;
  /** Serve stale, if inside grace, when compute takes longer; compute goes on and is stored. 0 = at once. Default none. */
  readonly softTimeout?: Duration;
  /** Waiters get ComputeTimeoutError, the signal aborts, a late result is dropped. Default none. */
  readonly hardTimeout?: Duration;
  /** Up to this is subtracted from the ttl at random. Default 0. */
  readonly jitter?: Duration;
}

/** A lane as an app writes it down. What is absent comes from the lane it extends, field by field. */
export interface LanePolicyInput extends FreshnessOptions {
  /** Default: itself for a built-in lane, 'standard' for a new one. */
  readonly extends?: LaneName;
  readonly description?: string;
  /** What the lane is for; shown by the command line and the metrics page. */
  readonly useCases?: readonly string[];
  readonly l1?: MemoryTierPolicy;
  readonly l2?: DiskTierPolicy;
  readonly l3?: DiskTierPolicy;
  readonly l4?: DistributedTierPolicy;
  /** Encoded bytes, before compression, above which a value is not stored. */
  readonly maxEntryBytes?: Size;
  /** How long entries live, from the end of their computation. 0 = nothing is stored. */
  readonly ttl?: Duration;
  /** true = `{ minBytes: '1KB' }`. */
  readonly compression?: boolean | { readonly minBytes?: Size };
  readonly isolation?: Isolation;
  /** Absent = exact LRU, and everything storable is cached. */
  readonly strategy?: LaneStrategy;
  /** Key patterns (`*`, `?`). If given, only keys that match one are cached. */
  readonly include?: readonly string[];
  /** Key patterns that are not cached; wins over `include`. */
  readonly exclude?: readonly string[];
  /** What good looks like: percent of requests, and times faster. */
  readonly targets?: {
    readonly hitRate?: readonly [number, number];
    readonly speedUp?: readonly [number, number];
  };
}

/** A lane as it holds: resolved, validated, deeply frozen. Durations in milliseconds, sizes in bytes. */
export interface CachePolicy {
  readonly lane: string;
  readonly description: string;
  readonly useCases: readonly string[];
  readonly l1: { readonly maxEntries: number; readonly maxBytes: number };
  readonly l2: { readonly enabled: boolean; readonly maxEntries: number; readonly maxBytes: number };
  readonly l3: { readonly enabled: boolean; readonly maxEntries: number; readonly maxBytes: number };
  readonly l4: { readonly enabled: boolean; readonly coalesce: 'process' | 'cluster' };
  readonly maxEntryBytes: number;
  readonly ttlMs: number;
  readonly compression: { readonly enabled: boolean; readonly minBytes: number };
  readonly isolation: Isolation;
  readonly eviction: 'lru' | 'strategy';
  readonly graceMs: number;
  readonly graceBackoffMs: number;
  readonly refreshAhead: number | null;
  readonly softTimeoutMs: number | null;
  readonly hardTimeoutMs: number | null;
  readonly jitterMs: number;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly targets: {
    readonly hitRate: readonly [number, number] | null;
    readonly speedUp: readonly [number, number] | null;
  };
}

/** A lane's rules, and the strategy that decides where the rules leave it to one. */
export interface ResolvedLane {
  readonly policy: CachePolicy;
  readonly strategy: LaneStrategy | undefined;
}

/**
 * Injection token of the app's default manager; `CacheManager` is an alias of it.
 *
 * Like every token of the library it is a registered symbol, so that the ESM and the CommonJS copy of the package agree.
 */
export const LANE_CACHE: unique symbol = Symbol.for('nestjs-lane-cache.default-lane');

/** Injection token of one lane's manager. */
export function getLaneToken(lane: string): symbol {
  return Symbol.for(`nestjs-lane-cache.lane.${lane}`);
}
