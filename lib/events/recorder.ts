import type { TierName } from '../entries/tier-name.js';
import type { BypassReason, InvalidationKind, MissReason, RefusalReason } from './reasons.js';

/**
 * Where the read and write paths count, one per lane. Every method is a few additions: it is called on the hot path. Hits,
 * misses and requests past the cache are also emitted here.
 *
 * A request ends in exactly one of `hit`, `miss` and `bypass`. `lookupMiss` counts a tier below memory that was asked
 * and had nothing. A caller that joins a flight which a tier answers counts as a look-up there too.
 */
export interface LaneRecorder {
  /** A request was answered by `tier`; `computeMs` is what computing the value had taken. Every hit of every tier comes here. */
  hit(key: string, tier: TierName, computeMs: number): void;
  /** A request was answered by no tier. */
  miss(): void;
  /** No tier has the key. Emits it; the request is counted by `miss`. */
  notFound(key: string, reason: MissReason): void;
  /** A request goes past the cache. */
  bypass(key: string, reason: BypassReason): void;
  /** A request that missed shared the computation of another. */
  joined(): void;
  lookupMiss(tier: TierName): void;
  /** Time spent in tiers below memory. */
  lookedUp(ms: number): void;
  computed(ms: number): void;
  failed(ms: number): void;
  /** A computation was given up at its hardTimeout (1), or one that had been given up ended (-1). */
  abandoned(change: 1 | -1): void;
  refuse(reason: RefusalReason): void;
  staleServed(): void;
  invalidation(kind: InvalidationKind): void;
  eviction(tier: TierName, count: number): void;
  expiration(tier: TierName, count: number): void;
  tierError(tier: TierName): void;
}
