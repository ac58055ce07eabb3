import { describe, expect, it } from '@jest/globals';
import { LaneEviction, type ServingTier } from '../../../lib/eviction/lane-eviction.js';

const setUp = () => {
  const eviction = new LaneEviction({ now: () => 0, mode: 'rule', compresses: false });
  const serves = (tier: string, rank: number, more: Partial<ServingTier> = {}): void =>
    eviction.serves(tier, { maxEntries: 10, maxBytes: 1e6, rank, mostInBooks: 1_000, ...more });
  const ask = (key: string, computeMs: number): void => {
    eviction.requested({ key, computeMs, expiresAt: Infinity, memoryBytes: 100, recordBytes: 100 }, 'computed');
  };
  return { eviction, serves, ask };
};

describe('the eviction of a lane', () => {
  it('is ruled by the lowest tier that serves, and by the one above while that is off', () => {
    const { eviction, serves } = setUp();
    const orders = (): string[] => ['l1', 'l2', 'l3'].map((tier) => eviction.keeperOf(tier).order);
    serves('l1', 1);
    expect(orders()).toEqual(['named', 'lru', 'lru']);
    serves('l3', 3);
    serves('l2', 2);
    expect(orders()).toEqual(['lru', 'lru', 'named']);
    eviction.ended('l3');
    expect(orders()).toEqual(['lru', 'named', 'lru']);
    eviction.ended('l2');
    eviction.ended('l1');
    expect(orders()).toEqual(['lru', 'lru', 'lru']);
    serves('l1', 1);
    expect(orders()).toEqual(['named', 'lru', 'lru']);
  });

  it('goes on with the leader and the scores that it had', () => {
    const first = setUp();
    first.serves('l3', 3);
    const keeper = first.eviction.keeperOf('l3');
    for (let round = 0; round < 400; round++) {
      const key = `key:${round % 7}`;
      first.ask(key, 10 + (round % 7) * 100);
      keeper.stored({ key, sizeBytes: 100, computeMs: 10, expiresAt: Infinity });
      if (round % 3 === 0) keeper.evicted(key);
    }
    const state = first.eviction.stateOf('l3');
    const second = setUp();
    second.serves('l3', 3, { state });
    expect(second.eviction.report).toEqual(first.eviction.report);
    expect(Buffer.byteLength(state ?? '')).toBeLessThan(4_096);
  });

  it.each([
    'no json',
    'null',
    '{"leader":"gdsf"}',
    '{"leader":7,"scores":[1],"costs":[1]}',
    '{"leader":"none","scores":[1e999],"costs":[]}',
    '{"leader":"gdsf","scores":["1"],"costs":[-1]}',
  ])('begins anew where what was kept is damaged: %s', (state) => {
    const { eviction, serves } = setUp();
    serves('l3', 3, { state });
    expect(eviction.report).toEqual({ leader: 'value', shadows: { value: 0, gdsf: 0, lru: 0 } });
  });

  it('learns what a tier holds, and stops when the tier cannot be read', async () => {
    const { eviction, serves } = setUp();
    const learnt = new Promise<void>((resolve) => eviction.whenLearnt(resolve));
    serves('l3', 3, {
      entries: async function* () {
        const entry = { sizeBytes: 100, accessCount: 1, expiresAt: Infinity };
        for (let number = 0; number < 5; number++) yield { ...entry, key: `key:${number}`, computeMs: 100 * number };
      },
    });
    await learnt;
    expect(eviction.best(2)).toEqual(['key:4', 'key:3']);
    serves('l3', 3, {
      // oxlint-disable-next-line require-yield -- it fails before it could
      entries: async function* () {
        throw new Error('gone');
      },
    });
    expect(eviction.best(2)).toEqual([]);
  });
});
