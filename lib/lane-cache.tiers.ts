import type { Disk } from './lane-cache.disk.js';
import type { Shared } from './lane-cache.distributed.js';
import type { Foundations } from './lane-cache.foundations.js';
import { DiskTier } from './tiers/disk-tier.js';
import { MemoryTier } from './tiers/memory-tier.js';
import { OffTier } from './tiers/off-tier.js';
import type { Tier } from './tiers/tier.js';

/** The tiers of an app, nearest first; those it does without are off. */
export interface AppTiers {
  readonly l1: MemoryTier;
  readonly l2: Tier;
  readonly l3: Tier;
  readonly l4: Tier;
}

export function tiersOf(foundations: Foundations, disk: Disk, shared: Shared | undefined): AppTiers {
  const { lanes, codec, life, events, recorder, recent } = foundations;
  const { l2, l3 } = disk;
  const l1 = new MemoryTier({
    lanes,
    codec,
    life,
    evicted: (lane, { key }, reason) => {
      if (reason === 'expired') recorder(lane).expiration('l1', 1);
      else recorder(lane).eviction('l1', 1);
      recent(lane).evicted(key, 'l1', reason);
      if (l2 instanceof DiskTier) l2.touch(lane, key);
      if (events.wants('evict'))
        events.emit('evict', {
          lane,
          key,
          tier: 'l1',
          reason,
        });
    },
  });
  return { l1, l2, l3, l4: shared?.tier ?? new OffTier('l4', 'policy') };
}
