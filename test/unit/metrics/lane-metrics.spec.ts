import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { LifeClock } from '../../../lib/clock/clock.js';
import { ValueCodec } from '../../../lib/entries/codec/value-codec.js';
import type { TierName } from '../../../lib/entries/tier-name.js';
import { EventBus } from '../../../lib/events/event-bus.js';
import type { LaneMetrics } from '../../../lib/events/lane-metrics.js';
import { BYPASS_REASONS, INVALIDATION_KINDS, REFUSAL_REASONS } from '../../../lib/events/reasons.js';
import { resolveLanes } from '../../../lib/lanes/resolve-lanes.js';
import { LaneCacheMetrics } from '../../../lib/metrics/lane-cache-metrics.js';
import { LaneCounters } from '../../../lib/metrics/lane-counters.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { DiskTier } from '../../../lib/tiers/stored-tier.js';
import { MemoryTier } from '../../../lib/tiers/memory-tier.js';
import type { Tier } from '../../../lib/tiers/tier.js';
import { MemorySource } from '../../support/memory-environment.js';
import { recordOf, tierSetting } from '../../support/stored-tiers.js';

const setUp = (tiers: readonly Tier[] = []) => {
  const clock = new FakeClock();
  const lanes = resolveLanes();
  const events = new EventBus(clock, () => {});
  const docs = new LaneCounters();
  const others = ['standard', 'heavy'].map((lane) => [lane, new LaneCounters()] as const);
  const counters = new Map([['docs', docs], ...others]);
  const metrics = new LaneCacheMetrics({ lanes, counters, tiers, clock, events });
  return { clock, lanes, events, docs, metrics };
};

const bypassedIn = (lane: LaneMetrics): number => Object.values(lane.bypassed).reduce((sum, count) => sum + count, 0);

describe('an unused lane', () => {
  it('is all zeros, without a division by nothing', () => {
    const { metrics, lanes } = setUp();
    expect(metrics.lane('docs')).toMatchObject({
      lane: 'docs',
      timestamp: '2026-01-01T00:00:00.000Z',
      since: '2026-01-01T00:00:00.000Z',
      requests: 0,
      misses: 0,
      hitRate: 0,
      avgComputeMs: 0,
      timeSavedMs: 0,
      timeSavedRate: 0,
      eviction: { policy: 'lru' },
      speedUp: 1,
      l1: { entries: 0, sizeBytes: 0, hits: 0, misses: 0, hitRate: 0 },
      policy: lanes.get('docs')?.policy,
    });
  });

  it('names every reason', () => {
    const lane = setUp().metrics.lane('docs');
    expect(Object.keys(lane.bypassed).toSorted()).toEqual(BYPASS_REASONS.toSorted());
    expect(Object.keys(lane.refused).toSorted()).toEqual(REFUSAL_REASONS.toSorted());
    expect(Object.keys(lane.invalidations).toSorted()).toEqual(INVALIDATION_KINDS.toSorted());
  });
});

describe('a tier that was closed', () => {
  it('does not claim to have been off from the start', async () => {
    const life = new LifeClock(new FakeClock());
    const memory = new MemoryTier({ lanes: resolveLanes(), codec: new ValueCodec(), life, evicted: () => {} });
    const { metrics, events, clock } = setUp([memory]);
    await memory.close();
    expect(metrics.lane('docs').l1).not.toHaveProperty('since');
    expect(metrics.lane('docs').l2).toMatchObject({ state: 'off', since: '2026-01-01T00:00:00.000Z' });
    await clock.advance('1m');
    events.emit('tier', { tier: 'l1', state: 'off', reason: 'closed', detail: '' });
    expect(metrics.lane('docs').l1).toMatchObject({ since: '2026-01-01T00:01:00.000Z' });
  });
});

describe('the sums', () => {
  it('hold after any course of events', () => {
    const tiers = fc.constantFrom<TierName>('l1', 'l2', 'l3', 'l4');
    const steps = fc.oneof(
      tiers.map((tier) => (counters: LaneCounters) => counters.hit('key', tier, 5)),
      fc.constant((counters: LaneCounters) => counters.miss()),
      fc.constant((counters: LaneCounters) => {
        counters.miss();
        counters.joined();
      }),
      fc.constantFrom(...BYPASS_REASONS).map((reason) => (counters: LaneCounters) => counters.bypass('key', reason)),
    );
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 200 }), (course) => {
        const { metrics, docs } = setUp();
        for (const step of course) step(docs);
        const lane = metrics.lane('docs');
        const hits = lane.l1.hits + lane.l2.hits + lane.l3.hits + lane.l4.hits;
        expect(lane.requests).toBe(course.length);
        expect(lane.requests).toBe(hits + lane.misses + bypassedIn(lane));
        expect(lane.l1.hits + lane.l1.misses).toBe(lane.requests - bypassedIn(lane));
        expect(lane.hitRate).toBe(lane.requests === 0 ? 0 : Math.round((hits / lane.requests) * 1_000) / 10);
      }),
    );
  });

  it('follow each look-up from tier to tier', () => {
    const { metrics, docs } = setUp();
    docs.hit('key', 'l1', 0);
    docs.lookupMiss('l2');
    docs.hit('key', 'l3', 0);
    docs.lookupMiss('l2');
    docs.lookupMiss('l3');
    docs.miss();
    docs.miss();
    docs.joined();
    const { l1, l2, l3, joined } = metrics.lane('docs');
    expect(l2.hits + l2.misses).toBe(l1.misses - joined);
    expect(l3.hits + l3.misses).toBe(l2.misses);
    expect([l1.hitRate, l2.hitRate, l3.hitRate]).toEqual([25, 0, 50]);
  });
});

describe('time', () => {
  it('saved is what the hits would have cost, against what was spent', () => {
    const { metrics, docs } = setUp();
    docs.computed(100);
    docs.computed(300);
    docs.lookedUp(10);
    docs.hit('key', 'l1', 300);
    docs.hit('key', 'l2', 510);
    expect(metrics.lane('docs')).toMatchObject({ computed: 2, avgComputeMs: 200, timeSavedMs: 810 });
    expect(metrics.lane('docs').speedUp).toBeCloseTo((410 + 810) / 410, 10);
  });

  it('saved without any spent stays a finite speed-up', () => {
    const { metrics, docs } = setUp();
    docs.hit('key', 'l1', 99);
    expect(metrics.lane('docs').speedUp).toBe(100);
  });
});

describe('tiers', () => {
  it('are off by policy, or for want of a directory', () => {
    const { metrics } = setUp();
    expect(metrics.lane('docs').l3).toMatchObject({ state: 'off', reason: 'policy' });
    expect(metrics.lane('standard').l3).toMatchObject({ state: 'off', reason: 'no-directory' });
    expect(metrics.lane('standard').l4).toMatchObject({ state: 'off', reason: 'policy', since: expect.any(String) });
  });

  it('show what they hold, and since when they are off', async () => {
    const setting = tierSetting();
    const tier = await DiskTier.open(new MemorySource(), setting.options);
    const { metrics, clock, events } = setUp([tier]);
    const record = recordOf('k');
    await tier.write('docs', record);
    expect(metrics.lane('docs').l2).toMatchObject({ state: 'on', entries: 1, sizeBytes: record.bytes.length });
    expect(metrics.lane('docs').l2).not.toHaveProperty('since');
    expect(metrics.lane('heavy').l2).toMatchObject({ state: 'on', entries: 0 });
    await clock.advance('5s');
    await tier.close();
    events.emit('tier', { tier: 'l2', state: 'off', reason: 'closed', detail: '' });
    expect(metrics.lane('docs').l2).toMatchObject({
      state: 'off',
      reason: 'closed',
      since: '2026-01-01T00:00:05.000Z',
    });
  });

  it('count what left them, and what failed', () => {
    const { metrics, docs } = setUp();
    docs.eviction('l1', 3);
    docs.expiration('l2', 2);
    docs.tierError('l3');
    const { l1, l2, l3 } = metrics.lane('docs');
    expect([l1.evictions, l2.expirations, l3.errors]).toEqual([3, 2, 1]);
  });
});

describe('all lanes', () => {
  it('are reported together, each its own', () => {
    const { metrics, docs } = setUp();
    docs.miss();
    const { lanes } = metrics.report();
    expect(Object.keys(lanes)).toEqual(['docs', 'standard', 'heavy']);
    expect([lanes['docs']?.misses, lanes['heavy']?.misses]).toEqual([1, 0]);
  });

  it('are the only ones there are', () => {
    expect(() => setUp().metrics.lane('nope')).toThrow(expect.objectContaining({ code: 'LANE_UNKNOWN' }));
  });

  it('show a moment, not what comes after it', () => {
    const { metrics, docs } = setUp();
    const before = metrics.lane('docs');
    docs.bypass('key', 'forced');
    docs.refuse('undefined');
    docs.invalidation('tag');
    expect([before.bypassed.forced, before.refused.undefined, before.invalidations.tag]).toEqual([0, 0, 0]);
    expect(metrics.lane('docs')).toMatchObject({
      bypassed: { forced: 1 },
      refused: { undefined: 1 },
      invalidations: { tag: 1 },
    });
  });
});
