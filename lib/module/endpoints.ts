import { Module, type DynamicModule, type Provider, type Type } from '@nestjs/common';
import type { LaneCacheApp } from '../app/cache-app.js';
import type { DashboardSettings } from '../dashboard/dashboard.controller.js';
import type { ControllerSettings } from '../http/metrics.controller.js';
import { LANE_CACHE_OPERATIONS } from '../operations/operations.js';
import { LANE_CACHE_APP } from './lane-cache.tokens.js';

/** The endpoints that an app turned on. */
export interface EndpointSettings {
  readonly metrics?: ControllerSettings | undefined;
  readonly dashboard?: DashboardSettings | undefined;
}

/** Controllers, and what they inject. */
type Endpoints = Required<Pick<DynamicModule, 'controllers' | 'providers'>>;

@Module({})
class LaneCacheWithEndpointsModule {}

/** `declared` with endpoints, which are loaded only where they are turned on. */
export function withEndpoints(declared: DynamicModule, settings: EndpointSettings): DynamicModule {
  if (settings.metrics === undefined && settings.dashboard === undefined) return declared;
  const offered = load(settings).then(({ controllers, providers }): DynamicModule => ({
    ...declared,
    controllers,
    providers: [...providers, ...(declared.providers ?? [])],
  }));
  // Nest awaits it at boot. The rejection of a declaration that never boots must not be unhandled.
  offered.catch(() => undefined);
  return {
    module: LaneCacheWithEndpointsModule,
    global: declared.global ?? false,
    imports: [offered],
    exports: [declared.module],
  };
}

async function load({ metrics, dashboard }: EndpointSettings): Promise<Endpoints> {
  const { LiveNumbers } = await import('../http/live-numbers.js');
  const providers: Provider[] = [
    {
      provide: LANE_CACHE_OPERATIONS,
      inject: [LANE_CACHE_APP],
      useFactory: (app: LaneCacheApp) => app.operations,
    },
    {
      provide: LiveNumbers,
      inject: [LANE_CACHE_APP],
      useFactory: (app: LaneCacheApp) => new LiveNumbers(app.operations, app.manager().clock),
    },
  ];
  const controllers: Type<object>[] = [];
  if (metrics !== undefined) {
    const { metricsController } = await import('../http/metrics.controller.js');
    controllers.push(metricsController(metrics));
  }
  if (dashboard !== undefined) {
    const { dashboardController, Trend } = await import('../dashboard/index.js');
    controllers.push(dashboardController(dashboard));
    providers.push({
      provide: Trend,
      inject: [LANE_CACHE_APP],
      useFactory: (app: LaneCacheApp) => new Trend(app.operations, app.manager().clock),
    });
  }
  return { controllers, providers };
}
