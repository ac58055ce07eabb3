/** Which versions stay. The settings, a call and the command line all end up as one of these. */
export interface RetentionRule {
  readonly now: number;
  /** Versions saved before this are too old. */
  readonly savedBefore: number;
  /** So many of the newest versions of each id stay, whatever their age. */
  readonly keepLast: number;
  /** The newest version of each id in a workflow that is not finished stays, whatever its age. */
  readonly keepUnfinished: boolean;
}

/** Why a version is removed: its ttl ended, it is older than the limit, or the id has newer versions enough. */
export type RemovalReason = 'expired' | 'too-old' | 'surplus';

/** Why a version stays. */
export type KeepReason = 'recent' | 'pinned' | 'keep-last' | 'unfinished';

export type Verdict = { readonly remove: RemovalReason } | { readonly keep: KeepReason };

/** What the decision needs to know of the other versions of the id. It asks only where the answer matters. */
export interface Neighbours {
  /** How many newer versions can be restored, counted up to `limit`. Surplus versions are counted without pinned ones. */
  newer(limit: number, count: 'all' | 'unpinned'): number;
  /** Whether the workflow of the version is not finished, and no newer version of the id in it can be restored. */
  isLastOfUnfinished(): boolean;
}

/** Whether the version has outlived its ttl. One of exactly its ttl has not. */
export const hasExpired = ({ expiresAt }: { readonly expiresAt?: number }, now: number): boolean =>
  expiresAt !== undefined && now > expiresAt;

interface JudgedVersion {
  readonly savedAt: number;
  readonly expiresAt?: number;
  readonly pinned: boolean;
}

/**
 * The one decision about a version, for every cleanup and for the save that trims. `keepVersions`: older versions of the
 * id are surplus.
 */
export function verdictOf(
  version: JudgedVersion,
  rule: RetentionRule & { readonly keepVersions?: number },
  neighbours: Neighbours,
): Verdict {
  const { now, savedBefore, keepLast, keepUnfinished, keepVersions = Infinity } = rule;
  const isTooOld = version.savedAt < savedBefore;
  const isSurplus = keepVersions < Infinity && neighbours.newer(keepVersions, 'unpinned') >= keepVersions;
  if (hasExpired(version, now)) return version.pinned ? { keep: 'pinned' } : { remove: 'expired' };
  if (!isTooOld && !isSurplus) return { keep: 'recent' };
  if (keepLast > 0 && neighbours.newer(keepLast, 'all') < keepLast) return { keep: 'keep-last' };
  if (keepUnfinished && neighbours.isLastOfUnfinished()) return { keep: 'unfinished' };
  if (version.pinned) return { keep: 'pinned' };
  return { remove: isTooOld ? 'too-old' : 'surplus' };
}

/** Days after which versions are removed: for all lanes, or by lane. A lane that a record leaves out has 7. false = never. */
export type MaxAgeDays = number | false | Readonly<Record<string, number | false>>;

/** How long versions are kept, as the options say. */
export interface RetentionOptions {
  /** Versions older than this are removed, per lane if a record is given. false = they stay. Default 7. */
  readonly maxAgeDays?: MaxAgeDays;
  /** How many of the newest versions of each id stay, however old. Default 0. */
  readonly keepLast?: number;
  /** Whether the newest version of each id stays until its workflow is finished. Default false. */
  readonly keepUnfinished?: boolean;
  /**
   * How many versions of an id stay when another one is saved: older ones are removed in the same transaction. Pinned ones
   * are neither removed nor counted. At least `keepLast`. Default 0: all stay.
   */
  readonly keepVersions?: number;
}

const DEFAULT_DAYS = 7;

/** The days of one lane. Infinity = versions are never too old. */
export function daysOf(maxAgeDays: MaxAgeDays | undefined, lane: string): number {
  if (typeof maxAgeDays !== 'object') return daysOrDefault(maxAgeDays);
  // A lane may have the name of something that every object inherits.
  return daysOrDefault(Object.hasOwn(maxAgeDays, lane) ? maxAgeDays[lane] : undefined);
}

const daysOrDefault = (days: number | false | undefined): number =>
  days === false ? Infinity : (days ?? DEFAULT_DAYS);
