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
/** Why a call went past the cache. */
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
/** Why a value was returned but not stored. */
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
  /** Memory did not have it, and `getIfPresent` asks no other tier. */
  | 'memory-only'
  | 'unknown';

/** What an invalidation names. */
export const INVALIDATION_KINDS = ['key', 'tag', 'pattern', 'all', 'expire'] as const;
/** What an invalidation names. */
export type InvalidationKind = (typeof INVALIDATION_KINDS)[number];

/** What the app hands in and the library calls. */
export type Collaborator = 'logger' | 'listener' | 'strategy' | 'schema' | 'migrate' | 'decorator';

/** A collaborator threw, rejected, did not answer, or answered what has no meaning. */
export interface Fault {
  readonly collaborator: Collaborator;
  /** The lane that it concerns. */
  readonly lane?: string;
  /** What it did, and what the library did instead. A sentence. */
  readonly detail: string;
  /** What was thrown. */
  readonly error?: unknown;
}

/** How often each collaborator failed since the process started. */
export type FaultCounts = Readonly<Record<Collaborator, number>>;

/** Where faults are reported. Never throws. */
export type ReportFault = (fault: Fault) => void;
