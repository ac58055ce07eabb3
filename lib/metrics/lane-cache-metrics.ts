import type { Clock } from '../clock/clock.js';
import type { TierName } from '../entries/tier-name.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import type { IsoTime, LaneCacheEvents } from '../events/event-map.js';
import type { LaneMetrics, MetricsReader } from '../events/lane-metrics.js';
import type { LaneName, ResolvedLane } from '../lanes/policy.js';
import type { Tier } from '../tiers/tier.js';
import type { LaneCounters } from './lane-counters.js';
import { measureLane } from './lane-metrics.js';
import { PrometheusPage, type PromClientLoader } from './prometheus.js';
import type { CheckpointUse } from './prometheus-metrics.js';

/** All lanes in numbers. */
export interface MetricsReport {
  readonly timestamp: IsoTime;
  readonly lanes: Readonly<Record<string, LaneMetrics>>;
}

/** What the numbers are gathered from. */
export interface MetricsSources {
  readonly lanes: ReadonlyMap<string, ResolvedLane>;
  /** One for each lane; the paths and tiers count in them. */
  readonly counters: ReadonlyMap<string, LaneCounters>;
  readonly tiers: readonly Tier[];
  readonly clock: Clock;
  /** From which it is learnt since when a tier is on or off. */
  readonly events: LaneCacheEvents;
  /** Checkpoints by lane; absent when the app has none. */
  readonly checkpoints?: () => Promise<ReadonlyMap<string, CheckpointUse>>;
  /** Loads the optional peer prom-client; replaced in tests. */
  readonly promClient?: PromClientLoader;
}

/** What happened in each lane, in numbers. */
export class LaneCacheMetrics implements MetricsReader {
  private readonly tiers: ReadonlyMap<TierName, Tier>;
  private readonly changes = new Map<string, IsoTime>();
  private readonly since: IsoTime;
  private readonly page: PrometheusPage;

  constructor(private readonly sources: MetricsSources) {
    this.tiers = new Map(sources.tiers.map((tier) => [tier.name, tier]));
    this.since = this.now();
    this.page = new PrometheusPage(
      () => [...sources.counters].map(([lane, counters]) => ({ metrics: this.lane(lane), counters })),
      sources.checkpoints,
      sources.promClient,
    );
    sources.events.on('tier', ({ tier, at }) => this.changes.set(tier, at));
  }

  /** A lane's numbers as they stand. Throws UnknownLaneError. */
  lane(name: LaneName): LaneMetrics {
    const policy = this.sources.lanes.get(name)?.policy;
    const counters = this.sources.counters.get(name);
    if (policy === undefined || counters === undefined)
      throw new UnknownLaneError(name, [...this.sources.lanes.keys()]);
    return measureLane({
      policy,
      counters,
      tier: (tier) => this.tiers.get(tier),
      changedAt: (tier) => this.changes.get(tier),
      timestamp: this.now(),
      since: this.since,
    });
  }

  /** All lanes at one moment. */
  report(): MetricsReport {
    const lanes = Array.from(this.sources.lanes.keys(), (lane) => [lane, this.lane(lane)] as const);
    return { timestamp: this.now(), lanes: Object.fromEntries(lanes) };
  }

  /** The page that Prometheus scrapes. Throws OPTIONS_INVALID if prom-client is not installed. */
  prometheus(): Promise<string> {
    return this.page.text();
  }

  /** Adds the numbers to the app's own prom-client Registry. Throws OPTIONS_INVALID if `registry` is none. */
  async registerWith(registry: object): Promise<void> {
    this.page.registerWith(registry);
  }

  private now(): IsoTime {
    return new Date(this.sources.clock.now()).toISOString();
  }
}
