import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import type { LaneManager } from '../cache/lane-manager.js';
import { LANE_CACHE } from '../lanes/policy.js';
import { BootChecks, type Provided } from './boot-checks.js';
import { giveManager, INJECTED, type Managed } from './method-wrapper.js';
import { hasDecoratedMethods } from './method-registry.js';

/**
 * Looks through the app once at boot: checks the decorated classes, and gives the manager to the instances that
 * `useFactory` and `useValue` made, whose properties Nest leaves alone.
 *
 * Not found are instances inside what a factory gives (a list of services), and those a factory makes later, per
 * request: they run uncached, with one warning per class.
 */
@Injectable()
export class DecoratorExplorer implements OnModuleInit {
  constructor(
    @Inject(LANE_CACHE) private readonly manager: LaneManager,
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
  ) {}

  async onModuleInit(): Promise<void> {
    try {
      this.explore();
    } catch (error) {
      // An app that did not boot cannot be closed by its caller.
      await this.manager.close();
      throw error;
    }
  }

  private explore(): void {
    const checks = new BootChecks(this.manager);
    for (const provided of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const made = instancesOf(provided);
      const type = provided.isNotMetatype ? made[0]?.constructor : provided.metatype;
      if (type !== undefined && type !== null) checks.check(type, provided);
      for (const instance of made) if (instance[INJECTED] === undefined) giveManager(instance, this.manager);
    }
  }
}

/** The instances with decorated methods that exist by now. */
function instancesOf(provided: Provided): readonly Managed[] {
  const made: readonly unknown[] = provided.isTransient
    ? provided.getStaticTransientInstances().map((host) => host?.instance)
    : [provided.instance];
  return made.filter(hasDecoratedMethods);
}
