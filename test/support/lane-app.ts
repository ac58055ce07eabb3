import { Invalidations } from '../../lib/cache/invalidate.js';
import { LaneManager } from '../../lib/cache/lane-manager.js';
import type { ManagerContext } from '../../lib/cache/manager-context.js';
import type { SharedContext, LaneContext, Persistence, ClusterTurns } from '../../lib/cache/lane-context.js';
import { RemoteInvalidations } from '../../lib/cache/remote-invalidations.js';
import { KeyHistory } from '../../lib/cache/key-history.js';
import { FlightScopes } from '../../lib/cache/reentrancy.js';
import { laneOptions } from '../../lib/cache/call-options.js';
import { GuardedTier } from '../../lib/cache/guarded-tier.js';
import { CheckpointService } from '../../lib/checkpoints/checkpoint-service.js';
import { UnavailableCheckpointStore } from '../../lib/checkpoints/unavailable-checkpoint-store.js';
import { LifeClock } from '../../lib/clock/life-clock.js';
import type { TypeEntry } from '../../lib/entries/codec/class-kinds.js';
import { ValueCodec } from '../../lib/entries/codec/value-codec.js';
import { KeyPattern } from '../../lib/entries/pattern.js';
import { EventBus } from '../../lib/events/event-bus.js';
import { InvalidationLog, type LogOptions } from '../../lib/invalidation/invalidation-log.js';
import type { SharedLog } from '../../lib/invalidation/shared-log.js';
import type { LanePolicyInput } from '../../lib/lanes/policy.js';
import { resolveLanes } from '../../lib/lanes/resolve-lanes.js';
import { LaneCacheMetrics } from '../../lib/metrics/lane-cache-metrics.js';
import { LaneCounters } from '../../lib/metrics/lane-counters.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { MemoryTier } from '../../lib/tiers/memory-tier.js';
import type { Tier } from '../../lib/tiers/tier.js';

/** What of an app is made before what it shares. */
export interface ShareableApp {
  readonly clock: FakeClock;
  readonly life: LifeClock;
  readonly events: EventBus;
  readonly log: InvalidationLog;
  readonly lanes: readonly string[];
  readonly recorder: (lane: string) => LaneCounters;
}

/** What instances share. */
export interface SharedParts {
  readonly tier: Tier;
  readonly log: SharedLog;
  readonly turns: ClusterTurns;
}

/** A manager that lets its tests count its open flights. */
export class WatchedManager extends LaneManager {
  get openFlights(): number {
    return this['inFlight'].size;
  }
}

export interface LaneAppOptions extends LogOptions {
  readonly clock?: FakeClock;
  readonly lanes?: Readonly<Record<string, LanePolicyInput>>;
  /** Below memory, nearest first. */
  readonly below?: readonly Tier[];
  readonly persistence?: Persistence;
  readonly types?: readonly TypeEntry[];
  readonly version?: string;
  /** Makes what the app shares with others; the app then has a follower. */
  readonly share?: (app: ShareableApp) => SharedParts;
}

const LANE = 'standard';

/** The lanes of an app over tiers of a test's choosing, in memory alone unless told otherwise. */
export class LaneApp {
  readonly clock: FakeClock;
  readonly life: LifeClock;
  readonly events: EventBus;
  readonly log: InvalidationLog;
  readonly memory: MemoryTier;
  readonly warnings: string[] = [];
  readonly scopes = new FlightScopes();
  readonly lanes: readonly string[];
  readonly follower: RemoteInvalidations | undefined;
  private readonly managers = new Map<string, WatchedManager>();

  constructor(options: LaneAppOptions = {}) {
    const { types = [], persistence, version = '' } = options;
    const clock = (this.clock = options.clock ?? new FakeClock());
    const life = (this.life = new LifeClock(clock));
    const events = (this.events = new EventBus(clock, () => undefined));
    const lanes = resolveLanes(options.lanes);
    this.lanes = [...lanes.keys()];
    const counters = new Map(this.lanes.map((lane) => [lane, new LaneCounters()]));
    const recorder = (lane: string): LaneCounters => counters.get(lane) ?? new LaneCounters();
    const codec = new ValueCodec(types);
    const evicted = (lane: string): void => recorder(lane).eviction('l1', 1);
    const memory = (this.memory = new MemoryTier({ lanes, codec, life, evicted }));
    const log = (this.log = new InvalidationLog(options));
    life.notBefore(options.journal?.initial.latestTime ?? 0);
    const share = options.share?.({ clock, life, events, log, lanes: this.lanes, recorder });
    const below = [...(options.below ?? []), ...(share === undefined ? [] : [share.tier])];
    const gateOptions = { clock, events, recorder, readDeadlineMs: 1_000, removeDeadlineMs: 10_000 };
    const parts: SharedContext = {
      clock,
      life,
      codec,
      events,
      log,
      memory,
      persistence,
      appVersion: version,
      shared: share?.log,
      turns: share?.turns,
      below: below.map((tier) => {
        const readDeadlineMs = tier.name === 'l4' ? Infinity : gateOptions.readDeadlineMs;
        return new GuardedTier(tier, { ...gateOptions, readDeadlineMs });
      }),
      scopes: this.scopes,
      warnOnce: (_subject, message) => void this.warnings.push(message),
    };
    const spaces = new Map<string, LaneContext>();
    const invalidations = new Invalidations(parts, spaces);
    const shared: ManagerContext = {
      invalidations,
      metrics: new LaneCacheMetrics({ lanes, counters, tiers: [memory, ...below], clock, events }),
      checkpoints: new CheckpointService({
        codec,
        clock,
        events,
        defaultLane: LANE,
        lanes: this.lanes,
        store: () => new UnavailableCheckpointStore('no-directory', 'none'),
      }),
      managerOf: (lane) => this.manager(lane),
      spaces: () => spaces.values(),
      flush: async () => void (await Promise.all(below.map((tier) => tier.flush()))),
      sweep: () => Promise.reject(new Error('not here')),
      close: () => memory.close(),
    };
    for (const [lane, { policy, strategy }] of lanes) {
      const patterns = (texts: readonly string[]): KeyPattern[] => texts.map((text) => new KeyPattern(text));
      const [include, exclude] = [patterns(policy.include), patterns(policy.exclude)];
      const own = { lane, policy, strategy, include, exclude, memory: memory.space(lane), recorder: recorder(lane) };
      const space: LaneContext = { ...own, call: laneOptions(policy), recent: new KeyHistory(), shared: parts };
      spaces.set(lane, space);
      this.managers.set(lane, new WatchedManager(space, shared));
    }
    this.follower = share === undefined ? undefined : new RemoteInvalidations(parts, spaces, invalidations);
  }

  manager(lane = LANE): WatchedManager {
    const manager = this.managers.get(lane);
    if (manager === undefined) throw new Error(`no lane ${lane}`);
    return manager;
  }
}
