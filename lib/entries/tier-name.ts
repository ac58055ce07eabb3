/** The tiers, in the order in which a read asks them: memory, disk for this session, disk across restarts, Redis. */
export const TIER_NAMES = ['l1', 'l2', 'l3', 'l4'] as const;

/** A tier: memory, disk of this session, disk across restarts, and Redis or Valkey. */
export type TierName = (typeof TIER_NAMES)[number];

/** A tier that is asked when memory has nothing. */
export type LowerTierName = Exclude<TierName, 'l1'>;

export const LOWER_TIER_NAMES: readonly LowerTierName[] = ['l2', 'l3', 'l4'];

/** Where a tier keeps its entries. Tiers on a server hear of removals by the log, and keep deadlines of their own. */
export const TIER_PLACES: Readonly<Record<TierName, 'memory' | 'disk' | 'server'>> = {
  l1: 'memory',
  l2: 'disk',
  l3: 'disk',
  l4: 'server',
};
