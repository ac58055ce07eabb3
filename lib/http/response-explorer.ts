import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner, Reflector } from '@nestjs/core';
import type { LaneManager } from '../cache/lane-manager.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import { LANE_CACHE } from '../lanes/policy.js';
import { RESPONSE_RULES, type CacheResponseOptions } from './route.js';

/** Checks at boot that the lanes which `@CacheResponse` names are there, instead of answering 500 later. */
@Injectable()
export class ResponseExplorer implements OnModuleInit {
  private readonly scanner = new MetadataScanner();

  constructor(
    @Inject(LANE_CACHE) private readonly cache: LaneManager,
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  async onModuleInit(): Promise<void> {
    try {
      for (const { metatype } of this.discovery.getControllers()) this.check(metatype);
    } catch (error) {
      // An app that did not boot cannot be closed by its caller.
      await this.cache.close();
      throw error;
    }
  }

  private check(type: unknown): void {
    if (typeof type !== 'function') return;
    const prototype: object = type.prototype;
    this.checkLane(type, type.name);
    for (const name of this.scanner.getAllMethodNames(prototype)) {
      this.checkLane(Reflect.get(prototype, name), `${type.name}.${name}`);
    }
  }

  private checkLane(target: unknown, label: string): void {
    if (!isFunction(target)) return;
    const rules = this.reflector.get<CacheResponseOptions | undefined>(RESPONSE_RULES, target);
    if (rules?.lane === undefined) return;
    try {
      this.cache.forLane(rules.lane);
    } catch (error) {
      if (!(error instanceof UnknownLaneError)) throw error;
      throw new UnknownLaneError(rules.lane, error.known, `@CacheResponse on ${label}`);
    }
  }
}

const isFunction = (value: unknown): value is () => unknown => typeof value === 'function';
