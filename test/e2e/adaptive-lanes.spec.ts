import { afterEach, describe, expect, it } from '@jest/globals';
import { type Clock, systemClock } from '../../lib/clock/clock.js';
import { LaneAwareCacheStrategy } from '../../lib/lanes/strategy.js';
import type { CacheManager, LanePolicyInput } from '../../lib/index.js';
import { seededRandom } from '../../lib/testing/seeded-random.js';
import { Caches } from '../support/caches.js';

const ENTRIES = 20;
const DEAR_MS = 500;
const CHEAP_MS = 1;

/** Time that computations spend, and nothing else. Timers are the machine's, so that no deadline of a disk passes by it. */
class SpentTime implements Clock {
  private spent = 0;
  private readonly start = Date.UTC(2026, 0, 1);

  now(): number {
    return this.start + this.spent;
  }

  monotonic(): number {
    return this.spent;
  }

  schedule(afterMs: number, run: () => void, kind?: 'background' | 'awaited'): () => void {
    return systemClock.schedule(afterMs, run, kind);
  }

  /** Returns how much was spent in all. */
  spend(ms: number): number {
    return (this.spent += ms);
  }
}

/** Asks for a few dear keys, and in between for many cheap ones. Returns how long computing took. */
async function load(cache: CacheManager, clock: SpentTime, requests: number, seed = 5): Promise<number> {
  const random = seededRandom(seed);
  let computedMs = 0;
  for (let request = 0; request < requests; request++) {
    const isDear = random() < 0.3;
    const number = Math.floor(random() * (isDear ? 12 : 400));
    const ms = isDear ? DEAR_MS : CHEAP_MS;
    const before = computedMs;
    await cache.getOrSet(`${isDear ? 'dear' : 'cheap'}:${number}`, () => {
      computedMs += ms;
      clock.spend(ms);
      return number;
    });
    // The disk evicts when it commits: the next request finds what is left, however slow the disk is.
    if (computedMs > before) await cache.flush();
  }
  return computedMs;
}

describe('an adaptive lane in memory', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const open = (lane: LanePolicyInput, clock: SpentTime): Promise<CacheManager> => {
    const lanes = { standard: { ttl: '1d' as const, l1: { maxEntries: ENTRIES }, ...lane } };
    return caches.open({ clock, lanes });
  };

  it('keeps what takes long to compute, where LRU keeps what was asked for last', async () => {
    const [clock, otherClock] = [new SpentTime(), new SpentTime()];
    const lru = await load(await open({}, clock), clock, 1_500);
    const adaptive = await load(await open({ eviction: 'adaptive' }, otherClock), otherClock, 1_500);
    expect(adaptive).toBeLessThan(lru / 3);
  });

  it('holds no more entries and bytes than the lane allows', async () => {
    const clock = new SpentTime();
    const cache = await open({ eviction: 'adaptive', l1: { maxEntries: ENTRIES, maxBytes: '8KB' } }, clock);
    for (let round = 0; round < 200; round++) {
      await cache.getOrSet(`key:${round % 37}`, () => 'x'.repeat((round * 131) % 3_000));
      const { entries, sizeBytes } = cache.getMetrics().l1;
      expect(entries).toBeLessThanOrEqual(ENTRIES);
      expect(sizeBytes).toBeLessThanOrEqual(8 * 1_024);
    }
  });

  it('keeps what is only set and read as a lane with LRU does', async () => {
    const clock = new SpentTime();
    const cache = await open({ eviction: 'adaptive' }, clock);
    for (let number = 0; number < 100; number++) {
      await cache.set(`key:${number}`, number);
      expect(await cache.get(`key:${number}`)).toBe(number);
    }
    expect(cache.getMetrics().l1).toMatchObject({ entries: ENTRIES, evictions: 100 - ENTRIES });
  });

  it('shows what each policy would have saved, and which one leads', async () => {
    const clock = new SpentTime();
    const cache = await open({ eviction: 'adaptive' }, clock);
    await load(cache, clock, 1_000);
    const { timeSavedRate, eviction } = cache.getMetrics();
    expect(eviction).toEqual({
      policy: 'adaptive',
      leader: expect.stringMatching(/^(value|gdsf)$/),
      shadows: { value: expect.any(Number), gdsf: expect.any(Number), lru: expect.any(Number) },
    });
    const { value = 0, gdsf = 0, lru = 0 } = eviction.shadows ?? {};
    expect(Math.max(value, gdsf)).toBeGreaterThan(lru + 30);
    expect(Math.abs(timeSavedRate - Math.max(value, gdsf))).toBeLessThan(15);
  });

  it('lets a lane with LRU compare policies, and evict as before', async () => {
    const [clock, otherClock] = [new SpentTime(), new SpentTime()];
    const comparing = await open({ compareEviction: true }, clock);
    const plain = await open({}, otherClock);
    expect(await load(comparing, clock, 1_000)).toBe(await load(plain, otherClock, 1_000));
    const { policy, shadows: { value = 0, lru = 0 } = {} } = comparing.getMetrics().eviction;
    expect(policy).toBe('lru');
    expect(value).toBeGreaterThan(lru + 30);
    expect(Math.abs(lru - comparing.getMetrics().timeSavedRate)).toBeLessThan(10);
    expect(plain.getMetrics().eviction).toEqual({ policy: 'lru' });
  });

  it.each([
    ['is invalidated by its key', (cache: CacheManager) => cache.invalidate('dear')],
    ['is invalidated by a tag', (cache: CacheManager) => cache.invalidateByTag('news')],
    ['is invalidated by a pattern', (cache: CacheManager) => cache.invalidateByPattern('dea*')],
    ['is cleared', (cache: CacheManager) => cache.clearAll()],
  ])('loses an entry that %s in the shadows too', async (_how, lose) => {
    const clock = new SpentTime();
    const cache = await open({ eviction: 'adaptive' }, clock);
    for (let round = 0; round < 60; round++) {
      await cache.getOrSet('dear', () => clock.spend(DEAR_MS) + round, { tags: ['news'] });
      await lose(cache);
    }
    expect(cache.getMetrics().eviction.shadows).toEqual({ value: 0, gdsf: 0, lru: 0 });
  });

  it('loses an entry that has expired in the shadows too', async () => {
    const clock = new SpentTime();
    const cache = await open({ eviction: 'adaptive', ttl: '1s' }, clock);
    for (let round = 0; round < 60; round++) {
      await cache.getOrSet('dear', () => clock.spend(DEAR_MS) + round);
      clock.spend(1_500);
    }
    expect(cache.getMetrics().eviction.shadows).toEqual({ value: 0, gdsf: 0, lru: 0 });
  });

  it('counts for each of many concurrent computations its own time', async () => {
    const clock = new SpentTime();
    const cache = await open({ eviction: 'adaptive' }, clock);
    const numbers = Array.from({ length: 10 }, (_, number) => number + 1);
    await Promise.all(numbers.map((number) => cache.getOrSet(`key:${number}`, () => clock.spend(number * 100))));
    await cache.getOrSet('outer', async () => {
      clock.spend(5);
      return cache.getOrSet('inner', () => clock.spend(1_000));
    });
    const costs = new Map<string, number>();
    for await (const { key, computeMs } of cache.entries()) costs.set(key, computeMs);
    for (const number of numbers) expect(costs.get(`key:${number}`)).toBe(number * 100);
    expect(costs.get('inner')).toBe(1_000);
    expect(costs.get('outer')).toBe(5);
  });

  it('is refused together with a strategy, with the reason', async () => {
    const strategy = new LaneAwareCacheStrategy();
    const opening = open({ eviction: 'adaptive', strategy }, new SpentTime());
    await expect(opening).rejects.toMatchObject({
      code: 'LANE_INVALID',
      message: expect.stringMatching(/'lanes\.standard\.eviction' is 'adaptive', and the lane has a strategy as well/),
    });
  });
});

describe('an adaptive lane on disk', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const lane = (more: LanePolicyInput): Record<string, LanePolicyInput> => {
    const l1 = { maxEntries: 4 };
    return { standard: { ttl: '1d', l1, l2: { enabled: false }, l3: { enabled: false }, ...more } };
  };
  const dearOf = async (cache: CacheManager): Promise<number> => {
    let dear = 0;
    for await (const { key } of cache.entries('dear:*')) if (key !== '') dear++;
    return dear;
  };

  it.each(['l2', 'l3'] as const)('rules %s, because what is lost there has to be computed again', async (tier) => {
    const asked = async (eviction: 'lru' | 'adaptive'): Promise<number> => {
      const clock = new SpentTime();
      const lanes = lane({ eviction, [tier]: { enabled: true, maxEntries: ENTRIES } });
      const cache = await caches.open({ clock, lanes, directory: await caches.directory() });
      const computedMs = await load(cache, clock, 200);
      await cache.flush();
      expect(cache.getMetrics()[tier].entries).toBeLessThanOrEqual(ENTRIES);
      return computedMs;
    };
    expect(await asked('adaptive')).toBeLessThan((await asked('lru')) * 0.7);
  });

  it('goes on after a restart with what it kept in L3', async () => {
    const directory = await caches.directory();
    const lanes = lane({ eviction: 'adaptive', l3: { enabled: true, maxEntries: ENTRIES } });
    const clock = new SpentTime();
    const first = await caches.open({ clock, lanes, directory });
    await load(first, clock, 400);
    await first.flush();
    const before = await dearOf(first);
    await first.close();

    const second = await caches.open({ clock, lanes, directory });
    await second.sweep();
    for (let number = 0; number < 60; number++) await second.getOrSet(`new:${number}`, () => number);
    await second.flush();
    expect(before).toBeGreaterThan(8);
    expect(await dearOf(second)).toBeGreaterThanOrEqual(before - 2);
  });

  it('leaves the policy to memory where there is no disk', async () => {
    const clock = new SpentTime();
    const lanes = lane({ eviction: 'adaptive', l1: { maxEntries: ENTRIES }, l3: { enabled: true } });
    const cache = await caches.open({ clock, lanes });
    expect(cache.getMetrics().l3.state).toBe('off');
    const otherClock = new SpentTime();
    const lru = await caches.open({ clock: otherClock, lanes: lane({ l1: { maxEntries: ENTRIES } }) });
    expect(await load(cache, clock, 600)).toBeLessThan((await load(lru, otherClock, 600)) * 0.7);
  });
});
