import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
  Optional,
} from '@nestjs/common';
import { DiscoveryService, HttpAdapterHost } from '@nestjs/core';
import type { LaneManager } from '../cache/lane-manager.js';
import { LANE_CACHE } from '../lanes/policy.js';
import { completed } from './stand-in.js';
import { BootChecks, type Provided } from './boot-checks.js';
import { setManager, INJECTED, type Managed } from './method-wrapper.js';
import { decoratedMethods, hasDecoratedMethods } from './method-registry.js';
import { WarmUp } from './warm-up.js';

/**
 * Explores the app once at boot: checks the decorated classes, and sets the manager on instances from `useFactory` and
 * `useValue`, into whose properties Nest injects nothing.
 *
 * It cannot find instances inside the value of a factory, such as a list of services, nor instances that a factory
 * makes later, per request. They run uncached, with one warning per class.
 */
@Injectable()
export class DecoratorExplorer implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  private readonly manager: LaneManager;
  private readonly warmUp: WarmUp;

  constructor(
    @Inject(LANE_CACHE) manager: LaneManager,
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Optional() @Inject(HttpAdapterHost) http?: HttpAdapterHost,
  ) {
    this.manager = completed(manager);
    this.warmUp = new WarmUp(this.manager, http);
  }

  async onModuleInit(): Promise<void> {
    try {
      this.explore();
      await this.warmUp.prepare();
    } catch (error) {
      // An app that did not boot cannot be closed by its caller.
      await this.manager.close();
      throw error;
    }
  }

  onApplicationBootstrap(): void {
    this.warmUp.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.warmUp.stop();
  }

  private explore(): void {
    const checks = new BootChecks(this.manager);
    for (const provided of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const made = instancesOf(provided);
      const type = provided.isNotMetatype ? made[0]?.constructor : provided.metatype;
      if (type !== undefined && type !== null) checks.check(type, provided);
      for (const instance of made) {
        if (provided.isNotMetatype) checks.checkGiven(instance.constructor, instance, provided);
        if (instance[INJECTED] === undefined) setManager(instance, this.manager);
        if (provided.isDependencyTreeStatic()) {
          for (const method of decoratedMethods(Object.getPrototypeOf(instance))) this.warmUp.add(method, instance);
        }
      }
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
