import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { AdaptivePolicy } from '../../../lib/eviction/adaptive-policy.js';
import { hashKey, NONE } from '../../../lib/eviction/slots.js';
import { roundsOf } from '../../support/fault-table.js';

const ROUNDS = roundsOf(200, 5_000);

interface Limits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** A lane that holds keys alone and follows its policy. */
class Lane {
  readonly policy: AdaptivePolicy;
  readonly slots = new Map<string, number>();
  private readonly keys = new Map<number, string>();
  private readonly sizes = new Map<string, number>();
  now = 0;
  computed = 0;

  constructor(readonly limits: Limits) {
    this.policy = new AdaptivePolicy({ ...limits, now: () => this.now });
  }

  get bytes(): number {
    return [...this.slots.keys()].reduce((sum, key) => sum + (this.sizes.get(key) ?? 0), 0);
  }

  ask(key: string, sizeBytes: number, computeMs: number, expiresAt = Infinity): boolean {
    const slot = this.slots.get(key);
    if (slot !== undefined) {
      this.policy.used(slot);
      return true;
    }
    this.computed += computeMs;
    this.store(key, sizeBytes, computeMs, expiresAt);
    return false;
  }

  store(key: string, sizeBytes: number, computeMs: number, expiresAt: number): void {
    const slot = this.policy.stored({ hash: hashKey(key), sizeBytes, computeMs, expiresAt });
    const owner = this.keys.get(slot);
    if (owner !== undefined && owner !== key) throw new Error(`${key} got the slot of ${owner}`);
    this.slots.set(key, slot);
    this.keys.set(slot, key);
    this.sizes.set(key, sizeBytes);
    while (this.slots.size > this.limits.maxEntries || this.bytes > this.limits.maxBytes) {
      const victim = this.policy.victim();
      this.policy.evicted(victim);
      this.drop(victim);
    }
  }

  remove(key: string): void {
    const slot = this.slots.get(key);
    if (slot === undefined) this.policy.forget(hashKey(key));
    else {
      this.policy.removed(slot);
      this.drop(slot);
    }
  }

  private drop(slot: number): void {
    const key = this.keys.get(slot);
    if (key === undefined) throw new Error(`victim ${slot} is not in the lane`);
    this.keys.delete(slot);
    this.slots.delete(key);
  }
}

const key = fc.nat(60).map((number) => `key:${number}`);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      key,
      size: fc.integer({ min: 1, max: 400 }),
      cost: fc.nat(500),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('store' as const),
      key,
      size: fc.integer({ min: 1, max: 400 }),
      cost: fc.nat(500),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('remove' as const), key, size: fc.constant(0), cost: fc.constant(0) }),
  },
);
const limits = fc.record({
  maxEntries: fc.integer({ min: 1, max: 30 }),
  maxBytes: fc.integer({ min: 400, max: 4_000 }),
});

/** Numbers below 1, the same for each seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('the adaptive policy', () => {
  it('names only entries of the lane as victims, and knows at most four times what the lane can hold', () => {
    fc.assert(
      fc.property(limits, fc.array(step, { minLength: 1, maxLength: 300 }), (bounds, steps) => {
        const lane = new Lane(bounds);
        for (const { kind, key: name, size, cost } of steps) {
          lane.now++;
          if (kind === 'ask') lane.ask(name, size, cost, lane.now + 50);
          else if (kind === 'store') lane.store(name, size, cost, lane.now + 50);
          else lane.remove(name);
          expect(lane.policy.known).toBeLessThanOrEqual(4 * bounds.maxEntries + 1);
        }
        for (const name of [...lane.slots.keys()]) lane.remove(name);
        expect(lane.policy.victim()).toBe(NONE);
      }),
      { numRuns: ROUNDS },
    );
  });

  it('forgets an entry that every shadow and the lane have lost', () => {
    const lane = new Lane({ maxEntries: 10, maxBytes: 10_000 });
    for (let number = 0; number < 10; number++) lane.ask(`key:${number}`, 10, 5);
    for (let number = 0; number < 10; number++) lane.remove(`key:${number}`);
    expect(lane.policy.known).toBe(0);
  });

  it('keeps dear entries when cheap ones pass through', () => {
    const lane = new Lane({ maxEntries: 100, maxBytes: 1_000_000 });
    const random = randomOf(7);
    for (let round = 0; round < 20_000; round++) {
      const dear = random() < 0.3;
      const name = dear ? `dear:${Math.floor(random() * 80)}` : `cheap:${Math.floor(random() * 5_000)}`;
      lane.ask(name, 100, dear ? 1_000 : 1);
    }
    const dearHeld = [...lane.slots.keys()].filter((name) => name.startsWith('dear:')).length;
    expect(dearHeld).toBeGreaterThan(75);
  });

  it('lets a loop that is one larger than the lane hit nearly always', () => {
    const lane = new Lane({ maxEntries: 100, maxBytes: 1_000_000 });
    let hits = 0;
    for (let round = 0; round < 300; round++) {
      for (let number = 0; number <= 100; number++) if (lane.ask(`key:${number}`, 100, 10) && round >= 100) hits++;
    }
    expect(hits / (200 * 101)).toBeGreaterThan(0.9);
  });

  it('follows a load whose popular keys are others from one phase to the next', () => {
    const lane = new Lane({ maxEntries: 100, maxBytes: 1_000_000 });
    const random = randomOf(11);
    const rates: number[] = [];
    for (let phase = 0; phase < 4; phase++) {
      let hits = 0;
      for (let round = 0; round < 30_000; round++) {
        const number = Math.floor(random() ** 3 * 400);
        if (lane.ask(`phase${phase}:${number}`, 100, 10) && round >= 15_000) hits++;
      }
      rates.push(hits / 15_000);
    }
    for (const rate of rates.slice(1)) expect(rate).toBeGreaterThan((rates[0] ?? 1) - 0.03);
  });

  it('loses no more than one place to a key whose one computation stalled', () => {
    const run = (stallMs: number): number => {
      const lane = new Lane({ maxEntries: 50, maxBytes: 1_000_000 });
      const random = randomOf(3);
      for (let round = 0; round < 20_000; round++) {
        const number = Math.floor(random() ** 2 * 200);
        lane.ask(`key:${number}`, 100, round === 5_000 ? stallMs : 10);
      }
      return lane.computed - (stallMs === 10 ? 0 : stallMs - 10);
    };
    expect(run(60_000) / run(10)).toBeLessThan(1.03);
  });

  it('counts an entry that has expired as lost for the shadows too', () => {
    const lane = new Lane({ maxEntries: 10, maxBytes: 10_000 });
    for (let round = 0; round < 200; round++) {
      lane.now += 100;
      lane.remove('key');
      lane.ask('key', 10, 10, lane.now + 50);
    }
    expect(lane.policy.savedShares).toEqual({ value: 0, gdsf: 0, lru: 0, lane: 0 });
  });
});
