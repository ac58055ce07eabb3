import { Module, type DynamicModule } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { DecoratorExplorer } from '../../lib/decorators/decorator-explorer.js';
import { LANE_CACHE } from '../../lib/lanes/policy.js';
import type { FakeLaneManager } from './fake-lane-manager.js';

@Module({})
class FakeCacheModule {}

/** A Nest module that offers a fake lane to decorated classes, and looks for them at boot as the real one does. */
export function fakeCacheModule(manager: FakeLaneManager): DynamicModule {
  return {
    module: FakeCacheModule,
    global: true,
    imports: [DiscoveryModule],
    providers: [{ provide: LANE_CACHE, useValue: manager }, DecoratorExplorer],
    exports: [LANE_CACHE],
  };
}
