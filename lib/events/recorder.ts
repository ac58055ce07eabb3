import type { TierName } from '../entries/tier-name.js';
import type { BypassReason, InvalidationKind, RefusalReason } from './reasons.js';

/**
 * Where the read and write paths count, one per lane. Every method is a few additions: it is called on the hot path.
 *
 * A request ends in exactly one of `hit`, `miss` and `bypass`. `lookupMiss` counts a tier below memory that was asked
 * and had nothing. A caller that joins a flight which a tier answers counts as a look-up there too.
 */
export interface LaneRecorder {
  /** A request was answered by `tier`; `computeMs` is what computing the value had taken. */
  hit(tier: TierName, computeMs: number): void;
  /** A request was answered by no tier. */
  miss(): void;
  bypass(reason: BypassReason): void;
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
