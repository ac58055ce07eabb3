import { expect } from '@jest/globals';
import type { CacheManager, LaneMetrics } from '../../lib/index.js';

const BUILT_IN = ['docs', 'standard', 'heavy'];

/** Holds every lane of a cache to what must be true of it at any moment when nothing is under way. */
export async function auditManager(cache: CacheManager, ownLanes: readonly string[] = []): Promise<void> {
  for (const name of new Set([...BUILT_IN, cache.lane, ...ownLanes])) {
    const lane = cache.forLane(name);
    auditNumbers(lane.getMetrics());
    await auditEntries(lane);
  }
}

/**
 * Every request has one outcome, and each tier was asked by those whom the tiers above could not answer; fewer where it
 * was off at times.
 */
export function auditNumbers(metrics: LaneMetrics): void {
  const { requests, misses, joined, l1, l2, l3, l4, policy } = metrics;
  const bypassed = Object.values(metrics.bypassed).reduce((sum, count) => sum + count, 0);
  const hits = l1.hits + l2.hits + l3.hits + l4.hits;
  expect({ lane: metrics.lane, requests }).toEqual({ lane: metrics.lane, requests: hits + misses + bypassed });
  expect(l1.hits + l1.misses).toBe(requests - bypassed);
  expect(joined).toBeLessThanOrEqual(misses);
  let reaching = l1.misses - joined;
  for (const tier of [l2, l3, l4]) {
    const lookUps = tier.hits + tier.misses;
    expect(lookUps).toBeLessThanOrEqual(reaching);
    // until the app has caught up with the shared log, what is on disk is not asked, or is just being emptied
    const waitedForLog = l4.reason !== 'policy';
    if (tier.state === 'on' && tier.since === undefined && !waitedForLog) expect(lookUps).toBe(reaching);
    reaching -= tier.hits;
  }
  for (const tier of [l1, l2, l3, l4]) expectShare(tier.hitRate, tier.hits, tier.hits + tier.misses);
  expectShare(metrics.hitRate, hits, requests);
  expect(l1.entries).toBeLessThanOrEqual(policy.l1.maxEntries);
  expect(l1.sizeBytes).toBeLessThanOrEqual(policy.l1.maxBytes);
  expect(metrics.speedUp).toBeGreaterThanOrEqual(1);
}

function expectShare(percent: number, part: number, whole: number): void {
  expect(percent).toBe(whole === 0 ? 0 : Math.round((part / whole) * 1_000) / 10);
}

/** Each key is listed once, is really there, and the numbers agree with the listing. */
async function auditEntries(lane: CacheManager): Promise<void> {
  const before = lane.getMetrics();
  const keys = new Set<string>();
  let inMemory = 0;
  for await (const entry of lane.entries()) {
    expect(keys.has(entry.key)).toBe(false);
    keys.add(entry.key);
    expect(entry.remainingMs).toBeGreaterThan(0);
    expect(entry.tiers.length).toBeGreaterThan(0);
    if (entry.tiers.includes('l1')) inMemory++;
  }
  expect(inMemory).toBeLessThanOrEqual(before.l1.entries);
  // looking on is no use
  expect(lane.getMetrics().requests).toBe(before.requests);
}
