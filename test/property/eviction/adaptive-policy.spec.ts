import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { AdaptivePolicy, type KnownEntry, type Origin } from '../../../lib/eviction/adaptive-policy.js';
import { roundsOf } from '../../support/fault-table.js';

const ROUNDS = roundsOf(200, 5_000);

interface Limits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** A lane that holds keys alone and follows its policy. */
class Lane {
  readonly policy: AdaptivePolicy;
  readonly sizes = new Map<string, number>();
  bytes = 0;
  now = 0;
  computed = 0;

  constructor(
    readonly limits: Limits,
    mostInBooks = Infinity,
  ) {
    this.policy = new AdaptivePolicy(limits, () => this.now, mostInBooks);
  }

  ask(key: string, sizeBytes: number, computeMs: number, expiresAt = Infinity): boolean {
    const held = this.sizes.get(key);
    if (held !== undefined) {
      this.policy.requested({ key, sizeBytes: held, computeMs, expiresAt }, 'found');
      return true;
    }
    this.computed += computeMs;
    this.store(key, { sizeBytes, computeMs, expiresAt, origin: 'computed' });
    return false;
  }

  store(key: string, given: Pick<KnownEntry, 'sizeBytes' | 'computeMs' | 'expiresAt'> & { origin: Origin }): void {
    const { sizeBytes, origin } = given;
    const entry = { key, ...given };
    this.policy.requested(entry, origin);
    this.policy.stored(entry);
    this.bytes += sizeBytes - (this.sizes.get(key) ?? 0);
    this.sizes.set(key, sizeBytes);
    while (this.sizes.size > this.limits.maxEntries || this.bytes > this.limits.maxBytes) {
      const victim = this.policy.isSampled ? this.scanned() : (this.policy.victim() ?? this.oldest);
      this.policy.evicted(victim);
      this.drop(victim);
    }
  }

  remove(key: string): void {
    this.policy.removed(key);
    if (this.sizes.has(key)) this.drop(key);
  }

  private get oldest(): string {
    const [oldest = ''] = this.sizes.keys();
    return oldest;
  }

  /** As a tier of many entries does: what is kept goes behind all others. */
  private scanned(): string {
    let looked = 0;
    for (const [key, sizeBytes] of this.sizes) {
      if (looked++ === 64 || !this.policy.keeps({ key, sizeBytes, computeMs: this.costOf(key), accessCount: 0 }))
        return key;
      this.sizes.delete(key);
      this.sizes.set(key, sizeBytes);
    }
    return this.oldest;
  }

  private costOf(key: string): number {
    return key.startsWith('dear') ? 1_000 : 1;
  }

  private drop(key: string): void {
    const size = this.sizes.get(key);
    if (size === undefined) throw new Error(`victim ${key} is not in the lane`);
    this.sizes.delete(key);
    this.bytes -= size;
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
        let mostKnown = 0;
        for (const { kind, key: name, size, cost } of steps) {
          lane.now++;
          if (kind === 'ask') lane.ask(name, size, cost, lane.now + 50);
          else if (kind === 'store') {
            lane.store(name, { sizeBytes: size, computeMs: cost, expiresAt: lane.now + 50, origin: 'given' });
          } else lane.remove(name);
          if (lane.now % 37 === 0) lane.policy.sweep();
          mostKnown = Math.max(mostKnown, lane.policy.known);
        }
        expect(mostKnown).toBeLessThanOrEqual(4 * bounds.maxEntries + 1);
        for (const name of [...lane.sizes.keys()]) lane.remove(name);
        expect(lane.policy.victim()).toBeUndefined();
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
    for (let round = 0; round < 10_000; round++) {
      const dear = random() < 0.3;
      const name = dear ? `dear:${Math.floor(random() * 80)}` : `cheap:${Math.floor(random() * 5_000)}`;
      lane.ask(name, 100, dear ? 1_000 : 1);
    }
    const dearHeld = [...lane.sizes.keys()].filter((name) => name.startsWith('dear:')).length;
    expect(dearHeld).toBeGreaterThan(75);
  });

  it('keeps dear entries in a lane of many more entries than the books hold', () => {
    const lane = new Lane({ maxEntries: 250, maxBytes: 1e9 }, 62);
    const random = randomOf(13);
    for (let round = 0; round < 20_000; round++) {
      const dear = random() < 0.3;
      lane.ask(
        dear ? `dear:${Math.floor(random() * 200)}` : `cheap:${Math.floor(random() * 5_000)}`,
        100,
        dear ? 1_000 : 1,
      );
    }
    expect(lane.policy.isSampled).toBe(true);
    expect(lane.policy.known).toBeLessThan(250);
    expect([...lane.sizes.keys()].filter((name) => name.startsWith('dear:')).length).toBeGreaterThan(162);
  });

  it('lets a loop that is one larger than the lane hit nearly always', () => {
    const lane = new Lane({ maxEntries: 100, maxBytes: 1_000_000 });
    let hits = 0;
    for (let round = 0; round < 200; round++) {
      for (let number = 0; number <= 100; number++) if (lane.ask(`key:${number}`, 100, 10) && round >= 100) hits++;
    }
    expect(hits / (100 * 101)).toBeGreaterThan(0.9);
  });

  it('follows a load whose popular keys are others from one phase to the next', () => {
    const lane = new Lane({ maxEntries: 100, maxBytes: 1_000_000 });
    const random = randomOf(11);
    const rates: number[] = [];
    for (let phase = 0; phase < 3; phase++) {
      let hits = 0;
      for (let round = 0; round < 16_000; round++) {
        const number = Math.floor(random() ** 3 * 400);
        if (lane.ask(`phase${phase}:${number}`, 100, 10) && round >= 8_000) hits++;
      }
      rates.push(hits / 8_000);
    }
    for (const rate of rates.slice(1)) expect(rate).toBeGreaterThan((rates[0] ?? 1) - 0.03);
  });

  it('changes its leader only for a policy that would have saved over 1 % of all cost more', () => {
    const lane = new Lane({ maxEntries: 30, maxBytes: 1_000_000 });
    const random = randomOf(7);
    const ahead: number[] = [];
    for (let round = 0; round < 10_000; round++) {
      const before = lane.policy.leader;
      lane.ask(`key:${Math.floor(random() ** 1.5 * 200)}`, 100, 10);
      const { leader, savedShares } = lane.policy;
      if (leader !== before) ahead.push(savedShares[leader] - savedShares[before]);
    }
    expect(ahead.length).toBeGreaterThan(1);
    expect(Math.min(...ahead)).toBeGreaterThan(1);
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

  it.each([Infinity, NaN, -Infinity, -5, Number.MAX_VALUE])('goes on after a compute time of %d', (wrong) => {
    const lane = new Lane({ maxEntries: 10, maxBytes: 1_000 });
    for (let n = 0; n < 40; n++) lane.ask(`k${n % 20}`, 10, n % 7 === 0 ? wrong : 1);
    for (let round = 0; round < 50; round++) {
      for (let n = 0; n < 5; n++) lane.ask(`dear${n}`, 10, 100);
      for (let n = 0; n < 10; n++) lane.ask(`once${round}-${n}`, 10, 1);
    }
    expect(Object.values(lane.policy.savedShares).every((share) => share >= 0 && share <= 100)).toBe(true);
    expect([0, 1, 2, 3, 4].filter((n) => lane.sizes.has(`dear${n}`))).toHaveLength(5);
  });

  it('counts an entry that the lane holds and that was computed all the same as lost for the shadows too', () => {
    const policy = new AdaptivePolicy({ maxEntries: 10, maxBytes: 10_000 }, () => 0);
    const entry = { key: 'key', sizeBytes: 10, computeMs: 10, expiresAt: Infinity };
    for (let round = 0; round < 100; round++) {
      policy.requested(entry, 'computed');
      policy.stored(entry);
    }
    expect(policy.savedShares).toEqual({ value: 0, gdsf: 0, lru: 0 });
  });

  it('counts an entry that has expired as lost for the shadows too', () => {
    const lane = new Lane({ maxEntries: 10, maxBytes: 10_000 });
    for (let round = 0; round < 200; round++) {
      lane.now += 100;
      lane.remove('key');
      lane.ask('key', 10, 10, lane.now + 50);
    }
    expect(lane.policy.savedShares).toEqual({ value: 0, gdsf: 0, lru: 0 });
  });
});
