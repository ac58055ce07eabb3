/** Where entries are stored: memory, disk for this session, disk across restarts, Redis. */
export type TierName = 'l1' | 'l2' | 'l3' | 'l4';
