import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { JobRegistry } from './housekeeping/cleanup-schedule.js';
import type { LaneCacheApp } from './app/cache-app.js';
import { LANE_CACHE_APP } from './lane-cache.tokens.js';

/**
 * Plans the cleanup of checkpoints when the app has booted: in the app's own SchedulerRegistry where it imports
 * `ScheduleModule`, where it is seen and stopped like any other job, and without one where it does not.
 */
@Injectable()
export class LaneCacheSchedule implements OnApplicationBootstrap {
  constructor(
    @Inject(LANE_CACHE_APP) private readonly app: LaneCacheApp,
    @Inject(ModuleRef) private readonly modules: ModuleRef,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.app.cleanup.plan(await this.registry());
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
