import { TIER_NAMES, type TierName } from '../entries/tier-name.js';
import type { LaneMetrics } from '../events/lane-metrics.js';
import type { FaultCounts } from '../events/reasons.js';
import { COMPUTE_BUCKETS, type LaneCounters } from './lane-counters.js';

/** Checkpoints of one lane. */
export interface CheckpointUse {
  readonly checkpoints: number;
  readonly bytes: number;
}

/** A lane at the moment of the scrape. */
export interface ScrapedLane {
  readonly metrics: LaneMetrics;
  readonly counters: LaneCounters;
  readonly checkpoints?: CheckpointUse;
}

/** How an instance follows the others that share the server, at the moment of the scrape. */
export interface ScrapedInstance {
  readonly lagMs: number;
  readonly behind: number;
}

/** One line of the page. */
export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** Where it differs from the metric's own name, as in a histogram. */
  readonly metricName?: string;
}

interface MetricHead {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
}

/** A metric, and how its lines come from what it is about. */
export type MetricDefinition =
  | (MetricHead & { readonly source: 'counters'; readonly samples: (lane: ScrapedLane) => readonly Sample[] })
  | (MetricHead & {
      readonly source: 'checkpoints';
      readonly samples: (lane: string, use: CheckpointUse) => readonly Sample[];
    })
  | (MetricHead & { readonly source: 'shared'; readonly samples: (shared: ScrapedInstance) => readonly Sample[] })
  | (MetricHead & { readonly source: 'faults'; readonly samples: (counts: FaultCounts) => readonly Sample[] });

const COMPUTE_SECONDS = 'lane_cache_compute_seconds';

/** All metrics of the page. Labels name lanes, tiers and reasons; keys and values never appear. */
export const PROMETHEUS_METRICS: readonly MetricDefinition[] = [
  ofLane('counter', 'requests_total', 'Keys asked for.', ({ metrics }) => metrics.requests),
  ofTiers('counter', 'hits_total', 'Requests answered by a tier.', ({ metrics }, tier) => metrics[tier].hits),
  ofLane('counter', 'misses_total', 'Requests answered by no tier.', ({ metrics }) => metrics.misses),
  ofReasons('reason', 'bypassed_total', 'Requests that went past the cache.', ({ metrics }) => metrics.bypassed),
  ofReasons('reason', 'refused_total', 'Values returned but not stored.', ({ metrics }) => metrics.refused),
  ofReasons('outcome', 'computations_total', 'Computations that ended.', ({ metrics }) => ({
    ok: metrics.computed,
    failed: metrics.failed,
  })),
  ofLane('gauge', 'abandoned', 'Computations given up that have not ended.', ({ metrics }) => metrics.abandoned),
  ofLane('counter', 'joined_total', 'Misses that shared a computation.', ({ metrics }) => metrics.joined),
  ofLane('counter', 'stale_served_total', 'Values served past their ttl.', ({ metrics }) => metrics.staleServed),
  ofTiers('counter', 'evictions_total', 'Entries that made room.', ({ metrics }, tier) => metrics[tier].evictions),
  ofTiers('counter', 'expirations_total', 'Entries that expired.', ({ metrics }, tier) => metrics[tier].expirations),
  ofReasons('kind', 'invalidations_total', 'Invalidations.', ({ metrics }) => metrics.invalidations),
  ofTiers('gauge', 'entries', 'Entries held.', ({ metrics }, tier) => metrics[tier].entries),
  ofTiers('gauge', 'size_bytes', 'Bytes held.', ({ metrics }, tier) => metrics[tier].sizeBytes),
  ofTiers('gauge', 'tier_up', '1 while a tier serves the lane, else 0.', ({ metrics }, tier) =>
    metrics[tier].state === 'on' ? 1 : 0,
  ),
  {
    name: COMPUTE_SECONDS,
    help: 'How long computations took.',
    type: 'histogram',
    source: 'counters',
    samples: computeSeconds,
  },
  ofLane(
    'counter',
    'time_saved_seconds_total',
    'What the hits would have taken to compute.',
    ({ metrics }) => metrics.timeSavedMs / 1_000,
  ),
  ofReasons(
    'policy',
    'eviction_saved_ratio',
    'Share of compute time that each policy would have saved of late.',
    ({ metrics }) => shares(metrics.eviction.shadows),
    'gauge',
  ),
  ofCheckpoints('checkpoints', 'Checkpoints that can be restored.', (use) => use.checkpoints),
  ofCheckpoints('checkpoint_bytes', 'Bytes of all versions of checkpoints.', (use) => use.bytes),
  {
    name: 'lane_cache_faults_total',
    help: 'Failures of what the app handed in.',
    type: 'counter',
    source: 'faults',
    samples: (counts) => Object.entries(counts).map(([collaborator, value]) => ({ labels: { collaborator }, value })),
  },
  {
    name: 'lane_cache_shared_log_lag_seconds',
    help: 'For how long it has not been known that every shared invalidation is followed.',
    type: 'gauge',
    source: 'shared',
    samples: ({ lagMs }) => [{ labels: {}, value: lagMs / 1_000 }],
  },
  {
    name: 'lane_cache_shared_log_behind',
    help: 'Shared invalidations that are known of, and not followed yet.',
    type: 'gauge',
    source: 'shared',
    samples: ({ behind }) => [{ labels: {}, value: behind }],
  },
];

function ofLane(
  type: MetricHead['type'],
  name: string,
  help: string,
  value: (lane: ScrapedLane) => number,
): MetricDefinition {
  const samples = (lane: ScrapedLane): Sample[] => [{ labels: { lane: lane.metrics.lane }, value: value(lane) }];
  return { name: `lane_cache_${name}`, help, type, source: 'counters', samples };
}

function ofTiers(
  type: MetricHead['type'],
  name: string,
  help: string,
  value: (lane: ScrapedLane, tier: TierName) => number,
): MetricDefinition {
  const samples = (lane: ScrapedLane): Sample[] =>
    TIER_NAMES.map((tier) => ({ labels: { lane: lane.metrics.lane, tier }, value: value(lane, tier) }));
  return { name: `lane_cache_${name}`, help, type, source: 'counters', samples };
}

function ofReasons(
  label: string,
  name: string,
  help: string,
  counts: (lane: ScrapedLane) => Readonly<Record<string, number>>,
  type: MetricHead['type'] = 'counter',
): MetricDefinition {
  const samples = (lane: ScrapedLane): Sample[] =>
    Object.entries(counts(lane)).map(([word, value]) => ({
      labels: { lane: lane.metrics.lane, [label]: word },
      value,
    }));
  return { name: `lane_cache_${name}`, help, type, source: 'counters', samples };
}

/** Prometheus counts in parts of one. */
function shares(percents: Readonly<Record<string, number>> = {}): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(percents).map(([policy, percent]) => [policy, percent / 100]));
}

function ofCheckpoints(name: string, help: string, value: (use: CheckpointUse) => number): MetricDefinition {
  const samples = (lane: string, use: CheckpointUse): Sample[] => [{ labels: { lane }, value: value(use) }];
  return { name: `lane_cache_${name}`, help, type: 'gauge', source: 'checkpoints', samples };
}

/** A histogram counts cumulatively: each bucket holds all that took at most as long. */
function computeSeconds({ metrics, counters }: ScrapedLane): readonly Sample[] {
  const { lane } = metrics;
  let atMost = 0;
  const buckets = COMPUTE_BUCKETS.map((seconds, index) => {
    atMost += counters.computeBuckets[index] ?? 0;
    return bucket(lane, seconds, atMost);
  });
  return [
    ...buckets,
    bucket(lane, '+Inf', counters.computations),
    { metricName: `${COMPUTE_SECONDS}_sum`, labels: { lane }, value: counters.computedMs / 1_000 },
    { metricName: `${COMPUTE_SECONDS}_count`, labels: { lane }, value: counters.computations },
  ];
}

function bucket(lane: string, le: number | '+Inf', value: number): Sample {
  return { metricName: `${COMPUTE_SECONDS}_bucket`, labels: { lane, le }, value };
}
