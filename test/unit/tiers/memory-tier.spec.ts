import { describe, expect, it } from '@jest/globals';
import { LifeClock, nextTurn } from '../../../lib/clock/clock.js';
import { ValueCodec } from '../../../lib/entries/codec/value-codec.js';
import { resolveLanes } from '../../../lib/lanes/resolve-lanes.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { MemoryTier } from '../../../lib/tiers/memory-tier.js';
import { recordOf } from '../../support/stored-tiers.js';

const COUNT = 3_000;

function fullOfExpired(): { readonly tier: MemoryTier; readonly expired: string[] } {
  const clock = new FakeClock();
  const expired: string[] = [];
  const tier = new MemoryTier({
    lanes: resolveLanes({ standard: { l1: { maxEntries: 2 * COUNT } } }),
    codec: new ValueCodec(),
    life: new LifeClock(clock),
    evicted: (_lane, { key }) => expired.push(key),
  });
  for (let index = 0; index < COUNT; index++) {
    tier.write('standard', recordOf(`${index}`, { expiresAt: clock.now() - (index % 2 === 0 ? 1 : -60_000) }));
  }
  return { tier, expired };
}

const liveKeys = Array.from({ length: COUNT / 2 }, (_, index) => `${2 * index + 1}`);

async function keysOf(tier: MemoryTier): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of tier.keys('standard')) keys.push(key);
  return keys;
}

describe('a sweep of memory', () => {
  it('removes what has ended in several turns, and keeps the order of the rest', async () => {
    const { tier, expired } = fullOfExpired();
    let turns = 0;
    let isSwept = false;
    const sweeping = tier.sweep('standard').finally(() => (isSwept = true));
    for (; !isSwept; turns++) await nextTurn();
    expect(await sweeping).toEqual({ expired: COUNT / 2, evicted: 0 });
    expect(turns).toBeGreaterThan(2);
    expect(expired).toHaveLength(COUNT / 2);
    expect((await keysOf(tier)).toReversed()).toEqual(liveKeys);
  });

  it('finds the rest when every entry is used, removed or replaced while it rests', async () => {
    const { tier, expired } = fullOfExpired();
    const sweeping = tier.sweep('standard');
    const before = await keysOf(tier);
    expect(before.length).toBeGreaterThan(COUNT / 2);
    tier.remove('standard', '1');
    for (const key of before) {
      const entry = tier.space('standard').get(key);
      if (entry !== undefined) entry.accessCount++;
    }
    tier.write('standard', recordOf('late'));
    const { expired: count } = await sweeping;
    expect(count).toBe(expired.length);
    expect(new Set(await keysOf(tier))).toEqual(new Set([...liveKeys.slice(1), 'late']));
  });
});
