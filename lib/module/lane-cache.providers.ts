import {
  Inject,
  Injectable,
  Logger,
  type InjectionToken,
  type OnApplicationShutdown,
  type Provider,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { ModulesContainer, ModuleRef } from '@nestjs/core';
import { CheckpointService } from '../checkpoints/checkpoint-service.js';
import { ResponseExplorer } from '../http/response-explorer.js';
import { completed } from '../decorators/stand-in.js';
import { DecoratorExplorer } from '../decorators/decorator-explorer.js';
import type { LaneManager } from '../cache/lane-manager.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { CheckpointCleanupTask, type JobRegistry } from '../housekeeping/checkpoint-cleanup.task.js';
import { CacheManager, createLaneCache, type LaneCacheApp } from '../app/cache-app.js';
import type { MakeCheckpoints } from '../app/disk-port.js';
import type { LaneCacheOptions } from '../app/options.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import {
  LANE_CACHE_TELEMETRY,
  LANE_CACHE_APP,
  LANE_CACHE_CHECKPOINTS,
  LANE_CACHE_OPTIONS,
} from './lane-cache.tokens.js';
import { getLaneToken, LANE_CACHE } from '../lanes/policy.js';
import { LaneCacheMetrics } from '../metrics/lane-cache-metrics.js';
import { DiskTier } from '../tiers/stored-tier.js';
import { DistributedTier } from '../tiers/distributed-tier.js';
import { MemoryTier } from '../tiers/memory-tier.js';
import { PersistentTier } from '../tiers/persistent-tier.js';

/**
 * Plans the cleanup of checkpoints when the app has booted: in the app's own SchedulerRegistry where it imports
 * `ScheduleModule`, where it is seen and stopped like any other job, and without one where it does not.
 */
@Injectable()
class LaneCacheSchedule implements OnApplicationBootstrap {
  constructor(
    @Inject(LANE_CACHE_APP) private readonly app: LaneCacheApp,
    @Inject(ModuleRef) private readonly modules: ModuleRef,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const registry = await this.registry();
    const planned = this.app.cleanup.start(registry);
    if (registry !== undefined) await planned;
  }

  private async registry(): Promise<JobRegistry | undefined> {
    try {
      // an optional peer: an app without it has no registry either
      const { SchedulerRegistry } = await import('@nestjs/schedule');
      const registry = this.modules.get(SchedulerRegistry, { strict: false });
      return {
        add: (name, job) => registry.addCronJob(name, job),
        remove: (name) => {
          if (registry.doesExist('cron', name)) registry.deleteCronJob(name);
        },
      };
    } catch {
      return undefined;
    }
  }
}

/** Closes the app's cache when Nest closes the app: in this one hook, after those in which the app may still ask it. */
@Injectable()
class LaneCacheShutdown implements OnApplicationShutdown {
  constructor(@Inject(LANE_CACHE_APP) private readonly app: LaneCacheApp) {}

  async onApplicationShutdown(): Promise<void> {
    await this.app.close();
  }
}

/** What an app may inject; `lanes` get a token each. */
export function injectables(lanes: Iterable<string>): readonly Provider[] {
  const names = [...new Set(lanes)];
  return [
    fromApp(CacheManager, (app) => app.manager()),
    // By way of CacheManager and the tokens of lanes, so that a test that overrides one of them reaches decorated methods.
    {
      provide: LANE_CACHE,
      inject: [CacheManager, ...names.map(getLaneToken)],
      useFactory: (manager: LaneManager, ...managers: readonly LaneManager[]) =>
        withOverridden(manager, new Map(names.map((lane, index) => [lane, managers[index]]))),
    },
    ...names.map((lane) => ({
      provide: getLaneToken(lane),
      inject: [CacheManager],
      useFactory: (manager: Partial<LaneManager>) => laneOf(manager, lane),
    })),
    fromApp(CheckpointService, (app) => app.checkpoints),
    fromApp(CheckpointCleanupTask, (app) => app.cleanup.task),
    fromApp(LaneCacheMetrics, (app) => app.metrics),
    fromApp(MemoryTier, (app) => app.tiers.l1),
    fromApp(DiskTier, (app) => app.tiers.l2),
    fromApp(PersistentTier, (app) => app.tiers.l3),
    fromApp(DistributedTier, (app) => app.tiers.l4),
  ];
}

/** A lane of the manager. What a test has put in its place may have no lanes, and then stands for each of them. */
function laneOf(manager: Partial<LaneManager>, lane: string): unknown {
  return (typeof manager.forLane === 'function' ? manager.forLane(lane) : undefined) ?? manager;
}

/** The manager, whose `forLane` gives what a test has put in the place of a lane. */
function withOverridden(manager: LaneManager, lanes: ReadonlyMap<string, LaneManager | undefined>): LaneManager {
  const overridden = new Map<string, LaneManager>();
  for (const [lane, injected] of lanes) {
    if (injected !== undefined && injected !== laneOf(manager, lane)) overridden.set(lane, completed(injected));
  }
  const whole = completed(manager);
  if (overridden.size === 0) return whole;
  const forLane = (lane: string): LaneManager => overridden.get(lane) ?? whole.forLane(lane);
  return Object.create(whole, { forLane: { value: forLane } });
}

/** What runs behind them; needs LANE_CACHE_OPTIONS. */
export const MACHINERY: readonly Provider[] = [
  {
    provide: LANE_CACHE_APP,
    inject: [
      LANE_CACHE_OPTIONS,
      ModulesContainer,
      { token: LANE_CACHE_CHECKPOINTS, optional: true },
      { token: LANE_CACHE_TELEMETRY, optional: true },
    ],
    useFactory: async (
      options: LaneCacheOptions,
      modules: ModulesContainer,
      checkpoints?: MakeCheckpoints,
      telemetry?: Telemetry,
    ) => {
      refuseSecond(modules);
      const settings = { ...options, logger: options.logger ?? new Logger('LaneCache') };
      const app = await createLaneCache(settings, { checkpoints, tracing: telemetry?.tracing });
      telemetry?.observe({ metrics: app.metrics, events: app.manager().events });
      return app;
    },
  },
  DecoratorExplorer,
  ResponseExplorer,
  LaneCacheShutdown,
  LaneCacheSchedule,
];

function fromApp(token: InjectionToken, part: (app: LaneCacheApp) => unknown): Provider {
  return { provide: token, inject: [LANE_CACHE_APP], useFactory: part };
}

/** Before anything is opened: two caches of one app would not follow each other's invalidations. */
function refuseSecond(modules: ModulesContainer): void {
  const holders = [...modules.values()].filter((module) => module.providers.has(LANE_CACHE_APP));
  if (holders.length < 2) return;
  throw new LaneCacheError(
    'OPTIONS_INVALID',
    'LaneCacheModule is set up twice in this app. Call forRoot or forRootAsync once, in the root module: it is global, so other modules need not import it. For rules of their own give them a lane.',
  );
}
