import { afterEach, describe, expect, it } from '@jest/globals';
import { type CacheManager, LaneAwareCacheStrategy, type LanePolicyInput } from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/index.js';
import { seededRandom } from '../../lib/testing/seeded-random.js';
import { Caches } from '../support/caches.js';

const ENTRIES = 20;
const DEAR_MS = 500;
const CHEAP_MS = 1;

/** Asks for a few dear keys, and in between for many cheap ones. Returns how long computing took. */
async function load(cache: CacheManager, clock: FakeClock, requests: number, seed = 5): Promise<number> {
  const random = seededRandom(seed);
  let computedMs = 0;
  for (let request = 0; request < requests; request++) {
    const isDear = random() < 0.3;
    const number = Math.floor(random() * (isDear ? 12 : 400));
    const ms = isDear ? DEAR_MS : CHEAP_MS;
    await cache.getOrSet(`${isDear ? 'dear' : 'cheap'}:${number}`, async () => {
      computedMs += ms;
      await clock.advance(ms / 1_000);
      return number;
    });
  }
  return computedMs;
}

describe('an adaptive lane in memory', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const open = (lane: LanePolicyInput, clock: FakeClock): Promise<CacheManager> => {
    const lanes = { standard: { ttl: '1d' as const, l1: { maxEntries: ENTRIES }, ...lane } };
    return caches.open({ clock, lanes });
  };

  it('keeps what takes long to compute, where LRU keeps what was asked for last', async () => {
    const [clock, otherClock] = [new FakeClock(), new FakeClock()];
    const lru = await load(await open({}, clock), clock, 1_500);
    const adaptive = await load(await open({ eviction: 'adaptive' }, otherClock), otherClock, 1_500);
    expect(adaptive).toBeLessThan(lru / 3);
  });

  it('holds no more entries and bytes than the lane allows', async () => {
    const clock = new FakeClock();
    const cache = await open({ eviction: 'adaptive', l1: { maxEntries: ENTRIES, maxBytes: '8KB' } }, clock);
    for (let round = 0; round < 200; round++) {
      await cache.getOrSet(`key:${round % 37}`, () => 'x'.repeat((round * 131) % 3_000));
      const { entries, sizeBytes } = cache.getMetrics().l1;
      expect(entries).toBeLessThanOrEqual(ENTRIES);
      expect(sizeBytes).toBeLessThanOrEqual(8 * 1_024);
    }
  });

  it('keeps what is only set and read as a lane with LRU does', async () => {
    const clock = new FakeClock();
    const cache = await open({ eviction: 'adaptive' }, clock);
    for (let number = 0; number < 100; number++) {
      await cache.set(`key:${number}`, number);
      expect(await cache.get(`key:${number}`)).toBe(number);
    }
    expect(cache.getMetrics().l1).toMatchObject({ entries: ENTRIES, evictions: 100 - ENTRIES });
  });

  it('is refused together with a strategy, with the reason', async () => {
    const strategy = new LaneAwareCacheStrategy();
    const opening = open({ eviction: 'adaptive', strategy }, new FakeClock());
    await expect(opening).rejects.toMatchObject({
      code: 'LANE_INVALID',
      message: expect.stringMatching(/'lanes\.standard\.eviction' is 'adaptive', and the lane has a strategy as well/),
    });
  });
});
