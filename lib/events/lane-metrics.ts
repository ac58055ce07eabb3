import type { CachePolicy } from '../lanes/policy.js';
import type { IsoTime } from './event-map.js';
import type { BypassReason, InvalidationKind, RefusalReason, TierOffReason } from './reasons.js';

/** One tier of a lane in numbers, since the process started. */
export interface TierMetrics {
  readonly state: 'on' | 'off';
  /** Why the tier is off. */
  readonly reason?: TierOffReason;
  /** When the tier went on or off. */
  readonly since?: IsoTime;
  /** What the tier holds of the lane. Always 0 for `l4`. */
  readonly entries: number;
  readonly sizeBytes: number;
  readonly hits: number;
  readonly misses: number;
  /** Percent of this tier's own look-ups, one decimal; 0 when it was never asked. */
  readonly hitRate: number;
  /** Entries that were removed to make room. */
  readonly evictions: number;
  /** Entries that a sweep removed after their ttl. */
  readonly expirations: number;
  readonly errors: number;
}

/** What decides which entries go when the lane is full. */
export interface EvictionMetrics {
  readonly policy: CachePolicy['eviction'];
  /** The policy that saves the most time of late. Only in adaptive lanes, and with `compareEviction`. */
  readonly leader?: string;
  /** What each policy would have saved of late, in percent of the time that computing every request takes. As `leader`. */
  readonly shadows?: Readonly<Record<string, number>>;
}

/**
 * A lane in numbers, since the process started.
 *
 * `requests = l1.hits + l2.hits + l3.hits + l4.hits + misses + sum(bypassed)`, where each key of a call is one request.
 * A caller that joins a flight which a tier answers counts like the caller that opened it; one that joins a
 * computation counts as a miss and in `joined`. So `l1.hits + l1.misses = requests - sum(bypassed)`, the look-ups of
 * the first tier below are `l1.misses - joined`, and those of each further one the misses of the tier above it. A tier
 * that is off is not asked, and neither is L3 until the app has caught up with the shared log.
 */
export interface LaneMetrics {
  readonly lane: string;
  /** When these numbers were taken. */
  readonly timestamp: IsoTime;
  /** When counting began. */
  readonly since: IsoTime;
  readonly l1: TierMetrics;
  readonly l2: TierMetrics;
  readonly l3: TierMetrics;
  readonly l4: TierMetrics;
  /** Keys that were asked for. */
  readonly requests: number;
  /** Requests that no tier answered. */
  readonly misses: number;
  /** Misses that shared a computation. */
  readonly joined: number;
  /** Percent of requests answered by any tier, one decimal; compare with `policy.targets.hitRate`. */
  readonly hitRate: number;
  /** Requests that went past the cache, by reason. */
  readonly bypassed: Readonly<Record<BypassReason, number>>;
  /** Results that were returned and not stored, by reason. */
  readonly refused: Readonly<Record<RefusalReason, number>>;
  /** Computations that succeeded. */
  readonly computed: number;
  /** Computations that threw or rejected. */
  readonly failed: number;
  /** Computations given up at their hardTimeout that have not ended: how many there are now. */
  readonly abandoned: number;
  /** Answers past their ttl, within `grace`. */
  readonly staleServed: number;
  readonly invalidations: Readonly<Record<InvalidationKind, number>>;
  /** The mean of the computations that succeeded. */
  readonly avgComputeMs: number;
  /** What the hits would have cost, from each entry's own compute time. */
  readonly timeSavedMs: number;
  /** Share of the time that computing every request would have taken, in percent, one decimal. */
  readonly timeSavedRate: number;
  readonly eviction: EvictionMetrics;
  /** (time spent + time saved) / time spent; 1 when nothing was saved. */
  readonly speedUp: number;
  readonly policy: CachePolicy;
}

/** Where a lane's numbers are read. */
export interface MetricsReader {
  lane(name: string): LaneMetrics;
}
