import type { Clock } from '../clock/clock.js';
import { TIER_NAMES, TIER_PLACES, type TierName } from '../entries/tier-name.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import type { IsoTime, LaneCacheEvents } from '../events/event-map.js';
import { noFaults } from '../events/event-bus.js';
import type { FaultCounts } from '../events/reasons.js';
import type { LaneMetrics, MetricsReader, TierMetrics } from '../events/lane-metrics.js';
import type { LaneName, ResolvedLane, CachePolicy } from '../lanes/policy.js';
import type { Tier, TierState } from '../tiers/tier.js';
import type { LaneCounters } from './lane-counters.js';
import { PrometheusPage, type PromClientLoader } from './prometheus.js';
import type { CheckpointUse, MetricDefinition, Sample } from './prometheus-metrics.js';

/** All lanes in numbers. */
export interface MetricsReport {
  readonly timestamp: IsoTime;
  readonly lanes: Readonly<Record<string, LaneMetrics>>;
  /** How often what the app handed in failed: its logger, listeners, strategies, schemas, migrations, decorators. */
  readonly faults: FaultCounts;
  /** The processes that share the directory. Absent without a directory. */
  readonly host?: HostReport;
  /** How this instance follows those that share the server. Absent without a server. */
  readonly shared?: SharedReport;
}

/** How an instance follows the invalidations that the instances of an app share through Redis. */
export interface SharedReport {
  readonly isConnected: boolean;
  /**
   * For how many ms the instance has not been known to have every record. It asks about every 300 ms, so less than that is
   * no lag. Before the first connection: since it started.
   */
  readonly lagMs: number;
  /** How many records the server is known to have that this instance has not followed. */
  readonly behind: number;
}

/** One of the instances that share a server. */
export interface InstanceReport extends SharedReport {
  readonly host: string;
  readonly pid: number;
  /** The app's `version`. */
  readonly version: string;
  readonly since: IsoTime;
  /** Whether this instance has made the list. */
  readonly isSelf: boolean;
  /** How many ms ago it reported this: instances do so every 5 s. One that was killed is listed for a minute. */
  readonly reportedMs: number;
}

/** The processes of one directory, as one of them sees them. */
export interface HostReport {
  readonly directory: string;
  /** Of the process that reports. `alone`: it owns the directory, and no other process uses it. */
  readonly role: 'owner' | 'follower' | 'alone';
  /** A process that was killed is listed until the next sweep. Containers number their processes each for itself. */
  readonly processes: readonly {
    readonly pid: number;
    readonly role: 'owner' | 'follower';
    readonly since: IsoTime;
    /** The app's `version`. */
    readonly version: string;
  }[];
  /**
   * How far the log of invalidations has been followed, how many bytes are still to be read, and how often its history was
   * lost while this process ran, so that everything cached before was dropped.
   */
  readonly log: { readonly position: number; readonly behindBytes: number; readonly losses: number };
  /**
   * What other processes have offered to this one, which owns L3. `refused`: it was invalidated in the meantime, or that
   * cannot be known.
   */
  readonly offers: { readonly taken: number; readonly refused: number };
}

/** What the numbers are gathered from. */
interface MetricsSources {
  readonly lanes: ReadonlyMap<string, ResolvedLane>;
  /** One for each lane; the paths and tiers count in them. */
  readonly counters: ReadonlyMap<string, LaneCounters>;
  readonly tiers: readonly Tier[];
  readonly clock: Clock;
  /** From which it is learnt since when a tier is on or off. */
  readonly events: LaneCacheEvents;
  readonly faults?: { readonly counts: FaultCounts };
  /** Checkpoints by lane; absent when the app has none. */
  readonly checkpoints?: () => Promise<ReadonlyMap<string, CheckpointUse>>;
  /** The processes of the directory; absent without one. */
  readonly host?: () => HostReport | undefined;
  /** The instances of the server; absent without one. */
  readonly shared?: () => SharedReport | undefined;
  /** Loads the optional peer prom-client; replaced in tests. */
  readonly promClient?: PromClientLoader;
}

/**
 * The numbers of all lanes.
 *
 * @example
 * ```ts
 * const { hitRate } = app.get(LaneCacheMetrics).lane('docs');
 * ```
 */
export class LaneCacheMetrics implements MetricsReader {
  private readonly tiers: ReadonlyMap<TierName, Tier>;
  private readonly changes = new Map<string, IsoTime>();
  private readonly since: IsoTime;
  /** Created when it is first asked for. */
  private openedPage: PrometheusPage | undefined;

  /** @internal The app creates it. */
  constructor(private readonly sources: MetricsSources) {
    this.tiers = new Map(sources.tiers.map((tier) => [tier.name, tier]));
    this.since = this.now();
    sources.events.on('tier', ({ tier, at }) => this.changes.set(tier, at));
  }

  /** The numbers of a lane now. Throws UnknownLaneError. */
  lane(name: LaneName): LaneMetrics {
    const resolved = this.sources.lanes.get(name);
    const counters = this.sources.counters.get(name);
    if (resolved === undefined || counters === undefined)
      throw new UnknownLaneError(name, [...this.sources.lanes.keys()]);
    return measureLane({
      policy: resolved.policy,
      eviction: resolved.eviction,
      counters,
      tier: (tier) => this.tiers.get(tier),
      changedAt: (tier) => this.changes.get(tier),
      timestamp: this.now(),
      since: this.since,
    });
  }

  /** The numbers of all lanes at one moment. */
  report(): MetricsReport {
    const lanes = Array.from(this.sources.lanes.keys(), (lane) => [lane, this.lane(lane)] as const);
    const host = this.sources.host?.();
    const shared = this.sources.shared?.();
    return {
      timestamp: this.now(),
      lanes: Object.fromEntries(lanes),
      faults: this.faults,
      ...(host !== undefined && { host }),
      ...(shared !== undefined && { shared }),
    };
  }

  /** The page that Prometheus scrapes. Throws OPTIONS_INVALID if prom-client is not installed. */
  prometheus(): Promise<string> {
    return this.page.text();
  }

  /** Adds the numbers to the app's own prom-client Registry. Throws OPTIONS_INVALID if `registry` is none. */
  async registerWith(registry: object): Promise<void> {
    this.page.registerWith(registry);
  }

  /** @internal the lines of one metric, as every page and exporter shows them */
  samplesOf(definition: MetricDefinition): Promise<readonly Sample[]> {
    return this.page.scrape(definition);
  }

  private get page(): PrometheusPage {
    const { counters: all, checkpoints, shared, promClient } = this.sources;
    return (this.openedPage ??= new PrometheusPage({
      lanes: () => [...all].map(([lane, counters]) => ({ metrics: this.lane(lane), counters })),
      checkpoints,
      faults: () => this.faults,
      shared,
      load: promClient,
    }));
  }

  private get faults(): FaultCounts {
    return this.sources.faults?.counts ?? noFaults();
  }

  private now(): IsoTime {
    return new Date(this.sources.clock.now()).toISOString();
  }
}

/** What a lane's numbers are made of. */
interface LaneMetricsSources {
  readonly policy: CachePolicy;
  readonly eviction: ResolvedLane['eviction'];
  readonly counters: LaneCounters;
  readonly tier: (name: TierName) => Tier | undefined;
  /** When a tier last changed between on and off, if it did. */
  readonly changedAt: (name: TierName) => IsoTime | undefined;
  readonly timestamp: IsoTime;
  /** When counting began. */
  readonly since: IsoTime;
}

/** A lane in numbers. What can be derived is derived, so that the sums hold at every moment. */
function measureLane(sources: LaneMetricsSources): LaneMetrics {
  const { policy, counters, timestamp, since } = sources;
  const { l1, l2, l3, l4, misses, computedMs, computations } = counters;
  const hits = TIER_NAMES.reduce((sum, name) => sum + counters[name].hits, 0);
  const unbypassed = hits + misses;
  const requests = unbypassed + total(counters.bypassed);
  return {
    lane: policy.lane,
    timestamp,
    since,
    // Memory missed what it did not answer, so the hot path need not count it.
    l1: measureTier('l1', sources, unbypassed - l1.hits),
    l2: measureTier('l2', sources, l2.misses),
    l3: measureTier('l3', sources, l3.misses),
    l4: measureTier('l4', sources, l4.misses),
    requests,
    misses,
    joined: counters.joins,
    hitRate: percent(hits, requests),
    bypassed: { ...counters.bypassed },
    refused: { ...counters.refused },
    computed: computations,
    failed: counters.failures,
    abandoned: counters.givenUp,
    staleServed: counters.stale,
    invalidations: { ...counters.invalidations },
    avgComputeMs: computations === 0 ? 0 : computedMs / computations,
    timeSavedMs: counters.savedMs,
    timeSavedRate: percent(counters.savedMs, counters.savedMs + computedMs),
    eviction: measureEviction(sources),
    speedUp: speedUp(computedMs + counters.lookedUpMs, counters.savedMs),
    policy,
  };
}

function measureEviction({ policy, eviction }: LaneMetricsSources): LaneMetrics['eviction'] {
  const report = eviction?.report;
  if (report === undefined) return { policy: policy.eviction };
  const shadows = Object.entries(report.shadows).map(([name, share]) => [name, percent(share, 100)]);
  return { policy: policy.eviction, leader: report.leader, shadows: Object.fromEntries(shadows) };
}

function measureTier(name: TierName, sources: LaneMetricsSources, misses: number): TierMetrics {
  const counts = sources.counters[name];
  const tier = sources.tier(name);
  const { state, reason } = stateIn(name, tier, sources.policy);
  // memory does not say when it was closed; what is off without a change was so from the start
  const offSince = state === 'off' && reason !== 'closed' ? sources.since : undefined;
  const since = sources.changedAt(name) ?? offSince;
  const usage = tier?.usage(sources.policy.lane) ?? { entries: 0, sizeBytes: 0 };
  return {
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(since === undefined ? {} : { since }),
    entries: usage.entries,
    sizeBytes: usage.sizeBytes,
    hits: counts.hits,
    misses,
    hitRate: percent(counts.hits, counts.hits + misses),
    evictions: counts.evictions,
    expirations: counts.expirations,
    errors: counts.errors,
  };
}

/** A tier as this lane sees it: the lane's policy may leave it out, or the app may not have it. */
function stateIn(name: TierName, tier: Tier | undefined, policy: CachePolicy): TierState {
  if (name !== 'l1' && !policy[name].enabled) return { state: 'off', reason: 'policy' };
  if (tier !== undefined) return tier.state;
  return { state: 'off', reason: TIER_PLACES[name] === 'disk' ? 'no-directory' : 'policy' };
}

/** How many times faster than without the cache. Work that took no measurable time is taken as one millisecond. */
function speedUp(spentMs: number, savedMs: number): number {
  if (savedMs <= 0) return 1;
  const spent = spentMs > 0 ? spentMs : 1;
  return (spent + savedMs) / spent;
}

/** With one decimal; 0 of nothing. */
function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 1_000) / 10;
}

/** The sum of counts by reason. */
export function total(counts: Readonly<Record<string, number>>): number {
  let sum = 0;
  for (const reason in counts) sum += counts[reason] ?? 0;
  return sum;
}
