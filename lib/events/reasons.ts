/** The reasons that events, metrics and explanations name. */

/** Why a tier does not serve. */
export type TierOffReason =
  | 'policy'
  | 'no-directory'
  | 'in-use'
  | 'breaker'
  | 'disk-full'
  | 'read-only'
  | 'quarantined'
  | 'disconnected'
  | 'closed';

/** Why a request went past the cache. */
export const BYPASS_REASONS = [
  'forced',
  'excluded',
  'ttl-zero',
  'condition',
  'unkeyable-arguments',
  'closed',
  'stale-distributed',
  'personal',
  'no-name',
  'host',
  'request',
  'no-store',
] as const;
export type BypassReason = (typeof BYPASS_REASONS)[number];

/** Why a value was returned but not stored. */
export const REFUSAL_REASONS = [
  'strategy',
  'too-large',
  'unstorable',
  'undefined',
  'skip-cache',
  'fenced',
  'unless',
  'disk-full',
  'backlog',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** Why there was nothing to serve. */
export type MissReason =
  | 'never-seen'
  | 'expired'
  | 'invalidated'
  | 'evicted'
  | 'refused'
  | 'tier-off'
  | 'version'
  | 'schema'
  | 'damaged'
  | 'unknown';

/** What an invalidation names. */
export const INVALIDATION_KINDS = ['key', 'tag', 'pattern', 'all', 'expire'] as const;
export type InvalidationKind = (typeof INVALIDATION_KINDS)[number];
