import { describe, it } from '@jest/globals';
import { LifeClock } from '../../lib/clock/clock.js';
import { ValueCodec } from '../../lib/entries/codec/value-codec.js';
import { resolveLanes } from '../../lib/lanes/resolve-lanes.js';
import { chaosTier } from '../../lib/testing/chaos-tier.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { tierContract } from '../../lib/testing/tier-contract.js';
import { DiskTier } from '../../lib/tiers/stored-tier.js';
import { MemoryTier } from '../../lib/tiers/memory-tier.js';
import { PersistentTier } from '../../lib/tiers/persistent-tier.js';
import { MemorySource } from '../support/memory-environment.js';
import { tierSetting } from '../support/stored-tiers.js';

const api = { describe, it };

function memoryTier(): MemoryTier {
  const life = new LifeClock(new FakeClock());
  return new MemoryTier({ lanes: resolveLanes(), codec: new ValueCodec(), life, evicted: () => {} });
}

tierContract('l1', async () => memoryTier(), api);
tierContract('l2', () => DiskTier.open(new MemorySource(), tierSetting().options), api);
tierContract('l3', () => PersistentTier.open(new MemorySource(), tierSetting().options), api);

describe('a chaos tier without a plan', () => {
  tierContract('l1', async () => chaosTier(memoryTier(), {}), api);
});
