import type { TierName } from '../entries/tier-name.js';
import type { InvalidationKind, MissReason } from '../events/reasons.js';
import type { EntryInfo } from './entry-listing.js';

/** What one tier has to say about a key. */
export interface TierExplanation {
  readonly tier: TierName;
  /** present: good, could be served from here; unusable: bytes are there but expired, invalidated, of another version, damaged. */
  readonly status: 'present' | 'absent' | 'unusable' | 'off';
  readonly reason?: MissReason;
  readonly detail: string;
  readonly entry?: EntryInfo;
  readonly invalidatedBy?: { readonly kind: InvalidationKind; readonly position: number; readonly subject?: string };
}

/** Why a key is, or is not, served, and what the next `getOrSet` without options would do. */
export interface Explanation {
  readonly key: string;
  readonly lane: string;
  /** Nearest first, all four. */
  readonly tiers: readonly TierExplanation[];
  readonly next: 'hit' | 'join' | 'stale' | 'compute' | 'bypass';
  readonly answeredBy?: TierName;
  readonly summary: string;
}
