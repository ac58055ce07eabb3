import type { LaneEviction } from '../eviction/lane-eviction.js';
import type { LaneNames } from './lane-names.js';
import type { Duration, Size } from './units.js';
import type { LaneStrategy } from './strategy.js';

/** The built-in lanes. */
export const LaneType = Object.freeze({ Docs: 'docs', Standard: 'standard', Heavy: 'heavy' } as const);
/** The name of a built-in lane. */
export type LaneType = (typeof LaneType)[keyof typeof LaneType];

/**
 * A built-in lane, or one that the app defines: a letter, then up to 63 letters, digits, `_` and `-`. Any text while
 * `LaneNames` has no members.
 */
export type LaneName = LaneType | ([keyof LaneNames] extends [never] ? string & {} : Extract<keyof LaneNames, string>);

/**
 * How callers are prevented from changing each other's values. frozen: all share one deeply frozen copy. clone: each
 * gets its own copy. shared: all share the live reference; only in lanes without disk and Redis.
 */
export type Isolation = 'frozen' | 'clone' | 'shared';

/** The limits of a lane in memory (L1). It never exceeds them. */
export interface MemoryTierPolicy {
  /** The most entries of the lane in memory. At most 10,000,000. */
  readonly maxEntries?: number;
  /** The most bytes of the lane in memory, as encoded values and an allowance for each entry. */
  readonly maxBytes?: Size;
}

/** Whether a lane uses a disk tier (L2 or L3), and its limits there. Each sweep restores the limits. */
export interface DiskTierPolicy {
  /** Whether the lane uses the tier. */
  readonly enabled?: boolean;
  /** The most entries of the lane in the tier. */
  readonly maxEntries?: number;
  /** The most bytes of the lane in the tier, as stored records. */
  readonly maxBytes?: Size;
}

/** How a lane uses the distributed tier (L4). */
export interface DistributedTierPolicy {
  /** Default true, which has an effect if the app has a server. Default false in lanes with isolation 'shared'. */
  readonly enabled?: boolean;
  /**
   * Which callers share a computation. 'process' (default): those of one process. 'host': those of the processes of one
   * directory, also without a server. 'cluster': those of all instances of the server; without a server as 'host'.
   */
  readonly coalesce?: 'process' | 'host' | 'cluster';
}

/** How old a served value may be, and which callers wait for a new one. */
export interface FreshnessOptions {
  /**
   * How long after its ttl an entry may be served when compute fails or `softTimeout` passes. The write fixes it in the
   * entry; a read may shorten it, but not extend it. Default 0: off.
   */
  readonly grace?: Duration;
  /** How long compute is not called after it failed and a stale value was served. Default '10s'. */
  readonly graceBackoff?: Duration;
  /** Share of the ttl, between 0 and 1, after which a hit starts one refresh in the background. Default: off. */
  readonly refreshAhead?: number;
  /**
   * Compute time after which a stale value within `grace` is served; the result is still stored. 0 = at once. Default:
   * none.
   */
  readonly softTimeout?: Duration;
  /**
   * Compute time after which callers get ComputeTimeoutError, the signal aborts, and the result is dropped. Default:
   * none.
   */
  readonly hardTimeout?: Duration;
  /** The ttl is shortened by a random part of this. Default 0. */
  readonly jitter?: Duration;
}

/** How a lane compresses values on disk and in Redis. Checkpoints are always compressed by brotli. */
export interface CompressionOptions {
  /** Shorter values are stored as they are. Default '1KB'. */
  readonly minBytes?: Size;
  /** Default 'brotli', which every Node reads. */
  readonly codec?: 'brotli' | 'zstd';
}

/** The options of a lane. Absent fields come from the lane that it extends. */
export interface LanePolicyInput extends FreshnessOptions {
  /** Default: itself for a built-in lane, 'standard' for a new one. */
  readonly extends?: LaneName;
  /** What the lane is for; shown by the command line and the page. */
  readonly description?: string;
  /** Examples of use; shown by the command line and the metrics page. */
  readonly useCases?: readonly string[];
  /** Memory. */
  readonly l1?: MemoryTierPolicy;
  /** Disk, for as long as the process runs. */
  readonly l2?: DiskTierPolicy;
  /** Disk, across restarts. */
  readonly l3?: DiskTierPolicy;
  /** Redis or Valkey, if the app has a server. */
  readonly l4?: DistributedTierPolicy;
  /** Larger values are not stored: their encoded size, before compression. At most 1 GB. */
  readonly maxEntryBytes?: Size;
  /** How long entries live after the end of their computation. 0 = nothing is stored. */
  readonly ttl?: Duration;
  /**
   * true = `{ minBytes: '1KB', codec: 'brotli' }`. `codec: 'zstd'` is smaller and faster, and needs Node 22.15 or later in every
   * process that reads the lane's entries; the boot fails with LANE_INVALID where Node does not have it.
   */
  readonly compression?: boolean | CompressionOptions;
  /** What a caller gets: the frozen copy of all, its own copy, or the live object. Default 'frozen'. */
  readonly isolation?: Isolation;
  /**
   * What the lane keeps when it is full. lru: what was used last, exactly. adaptive: what saves the most compute time, in memory
   * and on disk; not together with a strategy. Default 'lru'.
   */
  readonly eviction?: 'lru' | 'adaptive';
  /**
   * Whether a sample of the keys shows in the metrics what each policy would have saved, in a lane that follows none of them.
   * Default false; adaptive lanes always show it.
   */
  readonly compareEviction?: boolean;
  /** Absent = `eviction` decides, and everything storable is cached. */
  readonly strategy?: LaneStrategy;
  /** Key patterns (`*`, `?`). If given, only keys that match one are cached. */
  readonly include?: readonly string[];
  /** Key patterns; keys that match one are not cached. Wins over `include`. */
  readonly exclude?: readonly string[];
  /** The expected range of hit rates, in percent of requests, and of speed-ups, as a factor. */
  readonly targets?: {
    readonly hitRate?: readonly [number, number];
    readonly speedUp?: readonly [number, number];
  };
}

/** Lanes by name. */
export type LaneInputs = [keyof LaneNames] extends [never]
  ? Readonly<Record<string, LanePolicyInput>>
  : Readonly<Partial<Record<LaneName, LanePolicyInput>>>;

/** The policy of a lane, resolved, validated and deeply frozen. Durations are in milliseconds, sizes in bytes. */
export interface CachePolicy {
  readonly lane: string;
  readonly description: string;
  readonly useCases: readonly string[];
  readonly l1: { readonly maxEntries: number; readonly maxBytes: number };
  readonly l2: { readonly enabled: boolean; readonly maxEntries: number; readonly maxBytes: number };
  readonly l3: { readonly enabled: boolean; readonly maxEntries: number; readonly maxBytes: number };
  readonly l4: { readonly enabled: boolean; readonly coalesce: 'process' | 'host' | 'cluster' };
  readonly maxEntryBytes: number;
  readonly ttlMs: number;
  readonly compression: {
    readonly enabled: boolean;
    readonly minBytes: number;
    readonly codec: 'brotli' | 'zstd';
  };
  readonly isolation: Isolation;
  readonly eviction: 'lru' | 'adaptive' | 'strategy';
  readonly compareEviction: boolean;
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

/** The policy of a lane, and its strategy, if it has one. */
export interface ResolvedLane {
  readonly policy: CachePolicy;
  readonly strategy: LaneStrategy | undefined;
  /** What the tiers ask in an adaptive lane, and what compares policies in one that asks for that. */
  readonly eviction: LaneEviction | undefined;
}

/**
 * Injection token of the app's default manager; `CacheManager` is an alias of it.
 *
 * Like every token of the library it is a registered symbol, so that the ESM and the CommonJS copy of the package
 * agree.
 */
export const LANE_CACHE: unique symbol = Symbol.for('nestjs-lane-cache.default-lane');

/**
 * Injection token of one lane's manager.
 *
 * @example
 * ```ts
 * const docs = app.get<CacheManager>(getLaneToken('docs'));
 * ```
 */
export function getLaneToken(lane: LaneName): symbol {
  return Symbol.for(`nestjs-lane-cache.lane.${lane}`);
}
