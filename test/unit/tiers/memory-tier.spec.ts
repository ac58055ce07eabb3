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

/** A lane of three entries and 10 KB, full, and what has left it: in the order, with the reason and what memory then held. */
function fullLane(): {
  readonly tier: MemoryTier;
  readonly gone: readonly string[];
  readonly put: (key: string, bytes?: number) => void;
} {
  const gone: string[] = [];
  const tier: MemoryTier = new MemoryTier({
    lanes: resolveLanes({ standard: { l1: { maxEntries: 3, maxBytes: 10_000 } } }),
    codec: new ValueCodec(),
    life: new LifeClock(new FakeClock()),
    evicted: (lane, { key }, reason) => gone.push(`${key} by ${reason}, ${tier.usage(lane).entries} left`),
  });
  const put = (key: string, bytes = 1_000): void => tier.write('standard', recordOf(key, { value: 'x'.repeat(bytes) }));
  for (const key of ['a', 'b', 'c']) put(key);
  return { tier, gone, put };
}

describe('a full lane in memory', () => {
  it('evicts the least recently used entry for a new one, once that is stored', async () => {
    const { tier, gone, put } = fullLane();
    tier.read('standard', 'a');
    put('d');
    expect(gone).toEqual(['b by entries, 3 left']);
    expect(await keysOf(tier)).toEqual(['d', 'a', 'c']);
  });

  it('evicts nothing for an entry that replaces one, which is the most recently used one then', async () => {
    const { tier, gone, put } = fullLane();
    put('a', 2_000);
    expect(gone).toEqual([]);
    expect(await keysOf(tier)).toEqual(['a', 'c', 'b']);
  });

  it('evicts as many as a large entry needs', async () => {
    const { tier, gone, put } = fullLane();
    put('large', 8_000);
    expect(gone).toEqual(['a by bytes, 2 left', 'b by bytes, 2 left']);
    expect(await keysOf(tier)).toEqual(['large', 'c']);
  });

  it('evicts others, and never the replaced one, where the new value needs more bytes', async () => {
    const { tier, gone, put } = fullLane();
    put('a', 8_000);
    expect(gone).toEqual(['b by bytes, 2 left']);
    expect(await keysOf(tier)).toEqual(['a', 'c']);
  });

  it('keeps nothing of a key whose new entry is larger than the lane', async () => {
    const { tier, gone, put } = fullLane();
    put('a', 20_000);
    expect(gone).toEqual([]);
    expect(await keysOf(tier)).toEqual(['c', 'b']);
  });
});
