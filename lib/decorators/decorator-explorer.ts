import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import type { LaneManager } from '../cache/lane-manager.js';
import { LANE_CACHE } from '../lanes/policy.js';
import { completed } from './stand-in.js';
import { BootChecks, type Provided } from './boot-checks.js';
import { setManager, INJECTED, type Managed } from './method-wrapper.js';
import { hasDecoratedMethods } from './method-registry.js';

/**
 * Explores the app once at boot: checks the decorated classes, and sets the manager on instances from `useFactory` and
 * `useValue`, into whose properties Nest injects nothing.
 *
 * It cannot find instances inside the value of a factory, such as a list of services, nor instances that a factory
 * makes later, per request. They run uncached, with one warning per class.
 */
@Injectable()
export class DecoratorExplorer implements OnModuleInit {
  private readonly manager: LaneManager;

  constructor(
    @Inject(LANE_CACHE) manager: LaneManager,
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
  ) {
    this.manager = completed(manager);
  }

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
      for (const instance of made) if (instance[INJECTED] === undefined) setManager(instance, this.manager);
    }
  }
}

/** The existing instances with decorated methods. */
function instancesOf(provided: Provided): readonly Managed[] {
  const made: readonly unknown[] = provided.isTransient
    ? provided.getStaticTransientInstances().map((host) => host?.instance)
    : [provided.instance];
  return made.filter(hasDecoratedMethods);
}
