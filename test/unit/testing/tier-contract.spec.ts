import { describe, expect, it } from '@jest/globals';
import { LifeClock } from '../../../lib/clock/clock.js';
import { ValueCodec } from '../../../lib/entries/codec/value-codec.js';
import { resolveLanes } from '../../../lib/lanes/resolve-lanes.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { tierContract } from '../../../lib/testing/tier-contract.js';
import { MemoryTier } from '../../../lib/tiers/memory-tier.js';
import type { Tier, TierLookup } from '../../../lib/tiers/tier.js';

const options = () => ({
  lanes: resolveLanes(),
  codec: new ValueCodec(),
  life: new LifeClock(new FakeClock()),
  evicted: () => {},
});

/** Runs the contract with a runner of its own; the laws that were broken. */
async function broken(create: () => Tier): Promise<string[]> {
  const tests = new Map<string, () => Promise<void>>();
  tierContract('l1', async () => create(), {
    describe: (_name, body) => body(),
    it: (name, body) => void tests.set(name, body),
  });
  const failed: string[] = [];
  for (const [name, body] of tests) {
    await body().catch(() => failed.push(name));
  }
  return failed;
}

class Forgetful extends MemoryTier {
  override read(): TierLookup {
    return { outcome: 'miss' };
  }
}

class Boastful extends MemoryTier {
  override remove(lane: string, key: string): boolean {
    super.remove(lane, key);
    return true;
  }
}

class Blurred extends MemoryTier {
  override async clear(): Promise<void> {
    await super.clear('standard');
    await super.clear('heavy');
  }
}

class Undead extends MemoryTier {
  override async close(): Promise<void> {}
}

describe('the tier contract', () => {
  it('is kept by a tier that does its work', async () => {
    expect(await broken(() => new MemoryTier(options()))).toEqual([]);
  });

  it.each([
    [Forgetful, 'reads what it wrote, once the write has settled'],
    [Boastful, 'says whether there was something to remove'],
    [Blurred, 'clears one lane alone'],
    [Undead, 'once closed is off, misses, and changes nothing more'],
  ])('is broken by a %p', async (TierClass, law) => {
    expect(await broken(() => new TierClass(options()))).toContain(law);
  });
});
