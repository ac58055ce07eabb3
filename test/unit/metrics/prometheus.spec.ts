import { describe, expect, it } from '@jest/globals';
import { EventBus } from '../../../lib/events/event-bus.js';
import { resolveLanes } from '../../../lib/lanes/resolve-lanes.js';
import { LaneCacheMetrics } from '../../../lib/metrics/lane-cache-metrics.js';
import { LaneCounters } from '../../../lib/metrics/lane-counters.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

interface Metric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  get(): Promise<{ readonly name: string; readonly values: readonly Sample[] }>;
}

/** What prom-client's Registry does with a metric, as far as it matters here. */
class Registry {
  readonly registered: Metric[] = [];

  registerMetric(metric: Metric): void {
    this.registered.push(metric);
  }

  async metrics(): Promise<string> {
    return (await this.lines()).join('\n');
  }

  async lines(): Promise<string[]> {
    const scraped = await Promise.all(this.registered.map((metric) => metric.get()));
    return scraped.flatMap(({ name, values }) =>
      values.map(({ metricName = name, labels, value }) => {
        const shown = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
        return `${metricName}{${shown.join(',')}} ${value}`;
      }),
    );
  }
}

const checkpoints = async () => new Map([['standard', { checkpoints: 2, bytes: 700 }]]);

const setUp = (promClient: () => Promise<unknown> = async () => ({ Registry })) => {
  const clock = new FakeClock();
  const lanes = resolveLanes();
  const docs = new LaneCounters();
  const counters = new Map(Array.from(lanes.keys(), (lane) => [lane, lane === 'docs' ? docs : new LaneCounters()]));
  const events = new EventBus(clock, () => {});
  const metrics = new LaneCacheMetrics({ lanes, counters, tiers: [], clock, events, checkpoints, promClient });
  return { docs, metrics };
};

describe('the registry of an app', () => {
  it('gets every metric once, with a type and a help', async () => {
    const registry = new Registry();
    await setUp().metrics.registerWith(registry);
    const types = new Map(registry.registered.map(({ name, type }) => [name, type]));
    expect(Object.fromEntries(types)).toEqual({
      lane_cache_requests_total: 'counter',
      lane_cache_abandoned: 'gauge',
      lane_cache_hits_total: 'counter',
      lane_cache_misses_total: 'counter',
      lane_cache_bypassed_total: 'counter',
      lane_cache_refused_total: 'counter',
      lane_cache_computations_total: 'counter',
      lane_cache_joined_total: 'counter',
      lane_cache_stale_served_total: 'counter',
      lane_cache_evictions_total: 'counter',
      lane_cache_expirations_total: 'counter',
      lane_cache_invalidations_total: 'counter',
      lane_cache_entries: 'gauge',
      lane_cache_size_bytes: 'gauge',
      lane_cache_tier_up: 'gauge',
      lane_cache_compute_seconds: 'histogram',
      lane_cache_time_saved_seconds_total: 'counter',
      lane_cache_eviction_saved_ratio: 'gauge',
      lane_cache_checkpoints: 'gauge',
      lane_cache_checkpoint_bytes: 'gauge',
      lane_cache_faults_total: 'counter',
      lane_cache_shared_log_lag_seconds: 'gauge',
      lane_cache_shared_log_behind: 'gauge',
    });
    expect(registry.registered).toHaveLength(types.size);
    expect(registry.registered.every(({ help }) => help.endsWith('.'))).toBe(true);
  });

  it('reads the counters when it is scraped', async () => {
    const registry = new Registry();
    const { metrics, docs } = setUp();
    await metrics.registerWith(registry);
    docs.hit('key', 'l2', 1_500);
    docs.miss();
    docs.bypass('key', 'forced');
    docs.refuse('unless');
    docs.failed(1);
    docs.invalidation('pattern');
    expect(await registry.lines()).toEqual(
      expect.arrayContaining([
        'lane_cache_requests_total{lane="docs"} 3',
        'lane_cache_requests_total{lane="heavy"} 0',
        'lane_cache_hits_total{lane="docs",tier="l2"} 1',
        'lane_cache_misses_total{lane="docs"} 1',
        'lane_cache_bypassed_total{lane="docs",reason="forced"} 1',
        'lane_cache_refused_total{lane="docs",reason="unless"} 1',
        'lane_cache_computations_total{lane="docs",outcome="failed"} 1',
        'lane_cache_invalidations_total{lane="docs",kind="pattern"} 1',
        'lane_cache_tier_up{lane="docs",tier="l3"} 0',
        'lane_cache_time_saved_seconds_total{lane="docs"} 1.5',
        'lane_cache_checkpoints{lane="standard"} 2',
        'lane_cache_checkpoint_bytes{lane="standard"} 700',
      ]),
    );
  });

  it('gets compute times as a cumulative histogram', async () => {
    const registry = new Registry();
    const { metrics, docs } = setUp();
    await metrics.registerWith(registry);
    for (const ms of [1, 2, 70, 61_000]) docs.computed(ms);
    const lines = (await registry.lines()).filter((line) => line.includes('compute_seconds') && line.includes('docs'));
    expect(lines).toContain('lane_cache_compute_seconds_bucket{lane="docs",le="0.001"} 1');
    expect(lines).toContain('lane_cache_compute_seconds_bucket{lane="docs",le="0.05"} 2');
    expect(lines).toContain('lane_cache_compute_seconds_bucket{lane="docs",le="60"} 3');
    expect(lines).toContain('lane_cache_compute_seconds_bucket{lane="docs",le="+Inf"} 4');
    expect(lines).toContain('lane_cache_compute_seconds_sum{lane="docs"} 61.073');
    expect(lines).toContain('lane_cache_compute_seconds_count{lane="docs"} 4');
  });

  it('is recognised among other values', async () => {
    await expect(setUp().metrics.registerWith({})).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });
});

describe('the page', () => {
  it('is the same from an own registry, made once', async () => {
    let made = 0;
    const { metrics, docs } = setUp(async () => {
      made++;
      return { default: { Registry } };
    });
    docs.miss();
    expect(await metrics.prometheus()).toContain('lane_cache_misses_total{lane="docs"} 1');
    docs.miss();
    expect(await metrics.prometheus()).toContain('lane_cache_misses_total{lane="docs"} 2');
    expect(made).toBe(1);
  });

  it('names the package to install when prom-client is missing, and tries again at the next call', async () => {
    let installed: unknown;
    const cause = new Error('Cannot find package');
    const { metrics } = setUp(async () => {
      if (installed === undefined) throw cause;
      return installed;
    });
    await expect(metrics.prometheus()).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining('npm install prom-client'),
      cause,
    });
    installed = { Registry };
    await expect(metrics.prometheus()).resolves.toContain('lane_cache_requests_total');
  });
});
