import {
  Module,
  type DynamicModule,
  type Provider,
  type Type,
  type CanActivate,
  type InjectionToken,
  type ModuleMetadata,
  type OptionalFactoryDependency,
} from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { RESPONSE_SETTINGS, type ResponseSettings } from '../http/route.js';
import { withCacheManager } from './cache-manager.provider.js';
import { type EndpointSettings, withEndpoints } from './endpoints.js';
import { LaneType, type LaneName } from '../lanes/policy.js';
import { ofLanes, readOptions, appKinds, type LaneCacheOptions } from '../app/options.js';
import { injectables, MACHINERY } from './lane-cache.providers.js';
import type { Telemetry, TelemetryOptions } from '../telemetry/telemetry.js';
import { LANE_CACHE_TELEMETRY, LANE_CACHE_OPTIONS, LANE_CACHE_OPTIONS_FACTORY } from './lane-cache.tokens.js';
import {
  anything,
  either,
  flag,
  fn,
  listOf,
  names,
  object,
  oneOf,
  text,
  defineOptions,
  type Kinds,
} from '../options/options-shape.js';

const DEFAULT_PATH = 'lane-cache';
const DASHBOARD_PATH = 'lane-cache/dashboard';
const SOURCES = ['useFactory', 'useClass', 'useExisting'] as const;

const CONTROLLER = defineOptions<MetricsControllerOptions>('LaneCacheModule', {
  path: text,
  guards: listOf(either(fn, object), 'guards') as never,
});

const DASHBOARD = defineOptions<DashboardOptions>('LaneCacheModule', {
  path: text,
  guards: listOf(either(fn, object), 'guards') as never,
  peek: flag,
});

const TELEMETRY = defineOptions<TelemetryOptions>('LaneCacheModule', {
  spans: oneOf('none', 'misses', 'all'),
  keys: flag,
});

const extras: Kinds<LaneCacheModuleExtras> = {
  isGlobal: flag,
  metrics: defineOptions<NonNullable<LaneCacheModuleExtras['metrics']>>('LaneCacheModule', {
    controller: either(flag, CONTROLLER),
  }),
  provideCacheManager: flag,
  dashboard: either(flag, DASHBOARD),
  telemetry: either(flag, TELEMETRY),
  responses: defineOptions<NonNullable<LaneCacheModuleExtras['responses']>>('LaneCacheModule', {
    neutralGuards: listOf(fn, 'classes of guards'),
    undecorated: flag,
  }),
  extraProviders: listOf(either(fn, object), 'providers') as never,
};

export const moduleKinds: Kinds<LaneCacheModuleOptions> = { ...appKinds, ...extras };

const MODULE_OPTIONS = defineOptions<LaneCacheModuleOptions>('LaneCacheModule', moduleKinds, { elsewhere: ofLanes });

const OF_FACTORY = 'Return it from useFactory.';

const ASYNC_OPTIONS = defineOptions<LaneCacheModuleAsyncOptions>(
  'forRootAsync',
  {
    ...extras,
    imports: listOf(either(fn, object), 'modules') as never,
    inject: listOf(anything, 'tokens'),
    useFactory: fn,
    useClass: fn,
    useExisting: fn,
    laneNames: names,
  },
  { elsewhere: { ...ofLanes, ...Object.fromEntries(Object.keys(appKinds).map((name) => [name, OF_FACTORY])) } },
);

/**
 * The cache of an app. Import it once, in the root module: it is global unless `isGlobal` is false.
 *
 * Bad settings fail at boot with OPTIONS_INVALID, LANE_INVALID or LANE_UNKNOWN; so does a second forRoot in one app.
 * `app.close()` closes it, after the app's own `onModuleDestroy` and `beforeApplicationShutdown`.
 *
 * @example
 * ```ts
 * // among the imports of the root module
 * LaneCacheModule.forRoot({ lane: 'standard', lanes: { standard: { ttl: '20m' } } });
 * ```
 */
@Module({})
export class LaneCacheModule {
  /** A lane's name is the shorthand of `{ lane }`. */
  static forRoot(settings?: LaneName | LaneCacheModuleOptions): DynamicModule {
    const written: unknown = typeof settings === 'string' ? { lane: settings } : settings;
    const { extras: given, lanes, readSettings } = readModuleOptions(written);
    const provideOptions = { provide: LANE_CACHE_OPTIONS, useFactory: readSettings };
    return declare(given, [], [provideOptions], lanes);
  }

  /** Settings from a factory or a class, which may inject what `imports` and `extraProviders` offer. */
  static forRootAsync(given: LaneCacheModuleAsyncOptions): DynamicModule {
    const options = ASYNC_OPTIONS.read(given);
    checkDashboard(options);
    return declare(options, options.imports ?? [], optionsProviders(options), options.laneNames ?? []);
  }
}

interface ModuleSettings {
  readonly extras: LaneCacheModuleExtras;
  readonly lanes: readonly string[];
  readonly readSettings: () => LaneCacheOptions;
}

/** Bad options fail when the app boots, as those of a factory do, and not when the module is declared. */
function readModuleOptions(written: unknown): ModuleSettings {
  try {
    const given = MODULE_OPTIONS.read(written);
    checkDashboard(given);
    const options = Object.fromEntries(Object.entries(given).filter(([name]) => !(name in extras)));
    return { extras: given, lanes: Object.keys(given.lanes ?? {}), readSettings: () => readOptions(options) };
  } catch (error) {
    const fail = (): never => {
      throw error;
    };
    return { extras: {}, lanes: Object.keys(Object(Object(written).lanes)), readSettings: fail };
  }
}

function declare(
  {
    isGlobal = true,
    extraProviders = [],
    provideCacheManager = false,
    metrics = {},
    dashboard = false,
    telemetry = false,
    responses = {},
  }: LaneCacheModuleExtras,
  imports: NonNullable<DynamicModule['imports']>,
  settings: readonly Provider[],
  lanes: readonly string[],
): DynamicModule {
  const offered = injectables([...Object.values(LaneType), ...lanes]);
  const declared: DynamicModule = {
    module: LaneCacheModule,
    global: isGlobal,
    imports: [DiscoveryModule, ...imports],
    providers: [
      ...settings,
      ...MACHINERY,
      ...telemetryProviders(telemetry),
      ...offered,
      { provide: RESPONSE_SETTINGS, useValue: responseSettings(responses) },
      ...extraProviders,
    ],
    exports: [
      ...offered.map((provider) => (typeof provider === 'function' ? provider : provider.provide)),
      RESPONSE_SETTINGS,
    ],
  };
  const offering = withEndpoints(declared, {
    metrics: metricsSettings(metrics),
    dashboard: dashboardSettings(dashboard),
  });
  return provideCacheManager ? withCacheManager(offering) : offering;
}

function responseSettings({
  neutralGuards = [],
  undecorated = false,
}: NonNullable<LaneCacheModuleExtras['responses']>): ResponseSettings {
  return { neutralGuards, undecorated };
}

function metricsSettings({
  controller = false,
}: NonNullable<LaneCacheModuleExtras['metrics']>): EndpointSettings['metrics'] {
  if (controller === false) return undefined;
  const { path = DEFAULT_PATH, guards = [] } = controller === true ? {} : controller;
  return { path, guards };
}

function dashboardSettings(dashboard: NonNullable<LaneCacheModuleExtras['dashboard']>): EndpointSettings['dashboard'] {
  if (dashboard === false) return undefined;
  const { path = DASHBOARD_PATH, guards = [], peek = false } = dashboard === true ? {} : dashboard;
  return { path, guards, peek };
}

/** The room is loaded only where it is turned on. */
function telemetryProviders(telemetry: NonNullable<LaneCacheModuleExtras['telemetry']>): readonly Provider[] {
  if (telemetry === false) return [];
  const options = telemetry === true ? {} : telemetry;
  const useFactory = async (): Promise<Telemetry> => {
    const { Telemetry: Room } = await import('../telemetry/telemetry.js');
    return Room.open(options);
  };
  return [{ provide: LANE_CACHE_TELEMETRY, useFactory }];
}

/** A dashboard without guards must not show values. Throws OPTIONS_INVALID. */
function checkDashboard({ dashboard }: LaneCacheModuleExtras): void {
  if (typeof dashboard !== 'object' || dashboard.peek !== true || (dashboard.guards ?? []).length > 0) return;
  throw new LaneCacheError(
    'OPTIONS_INVALID',
    "LaneCacheModule: 'dashboard.peek' shows values, so 'dashboard.guards' must say who may see them.",
    { field: 'dashboard.peek' },
  );
}

function optionsProviders(options: LaneCacheModuleAsyncOptions): readonly Provider[] {
  const { inject = [], useFactory, useClass, useExisting } = options;
  if (SOURCES.filter((source) => options[source] !== undefined).length !== 1) {
    throw new LaneCacheError('OPTIONS_INVALID', `forRootAsync needs exactly one of ${SOURCES.join(', ')}.`);
  }
  if (useFactory !== undefined) {
    const read = async (...deps: never[]) => readOptions(await useFactory(...deps));
    return [{ provide: LANE_CACHE_OPTIONS, inject: [...inject], useFactory: read }];
  }
  const token = useExisting ?? LANE_CACHE_OPTIONS_FACTORY;
  const provideOptions = { provide: LANE_CACHE_OPTIONS, inject: [token], useFactory: readFrom };
  return useClass === undefined ? [provideOptions] : [{ provide: token, useClass }, provideOptions];
}

async function readFrom(factory: LaneCacheOptionsFactory): Promise<LaneCacheOptions> {
  return readOptions(await factory.createLaneCacheOptions());
}

/** The endpoints that show the numbers of the cache, and who may ask them. */
export interface MetricsControllerOptions {
  /** Default 'lane-cache'. */
  readonly path?: string;
  /** Without guards the controller only answers GET, and no key, tag or checkpoint id is in any answer. */
  readonly guards?: readonly (Type<CanActivate> | CanActivate)[];
}

/** The page that shows what the cache does, and who may see it. */
export interface DashboardOptions {
  /** Default 'lane-cache/dashboard'. */
  readonly path?: string;
  /** Who may see keys and act. Without guards the page shows numbers only. They go by a cookie or by Basic authentication. */
  readonly guards?: readonly (Type<CanActivate> | CanActivate)[];
  /** Whether those whom the guards let in may see values and states. Needs guards. Default false. */
  readonly peek?: boolean;
}

/** What must be known when the module is declared, before any factory runs. */
export interface LaneCacheModuleExtras {
  /** Default true. */
  readonly isGlobal?: boolean;
  /** Declares the controller. Default off. */
  readonly metrics?: { readonly controller?: boolean | MetricsControllerOptions };
  /** Serves the page that shows what the cache does. Default off. */
  readonly dashboard?: boolean | DashboardOptions;
  /** Spans and metrics through `@opentelemetry/api`, which must be installed. Default off. true = `{}`. */
  readonly telemetry?: boolean | TelemetryOptions;
  /** How the answers of routes are cached. */
  readonly responses?: {
    /** Classes of guards that do not distinguish users, such as a throttler. Subclasses are not meant. Default none. */
    readonly neutralGuards?: readonly Type<CanActivate>[];
    /** A global `LaneCacheInterceptor` also caches routes without `@CacheResponse`, by the app's lane. Default false. */
    readonly undecorated?: boolean;
  };
  /** Also provides CACHE_MANAGER and Cache (needs `@nestjs/cache-manager`). Default false. */
  readonly provideCacheManager?: boolean;
  /** Providers that only the module's own factory sees. */
  readonly extraProviders?: readonly Provider[];
}

/** What `LaneCacheModule.forRoot` takes: the settings of the app, and what Nest has to know of it. */
export interface LaneCacheModuleOptions extends LaneCacheOptions, LaneCacheModuleExtras {}

/** What `useClass` and `useExisting` name. */
export interface LaneCacheOptionsFactory {
  createLaneCacheOptions(): LaneCacheOptions | LaneName | Promise<LaneCacheOptions | LaneName>;
}

/** Exactly one of `useFactory`, `useClass` and `useExisting`. */
export interface LaneCacheModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'>, LaneCacheModuleExtras {
  /** What the factory takes. */
  readonly inject?: readonly (InjectionToken | OptionalFactoryDependency)[];
  /** Returns the settings, or the name of a lane. */
  readonly useFactory?: (...deps: never[]) => LaneCacheOptions | LaneName | Promise<LaneCacheOptions | LaneName>;
  /** A class that Nest creates and that returns the settings. */
  readonly useClass?: Type<LaneCacheOptionsFactory>;
  /** A provider that returns the settings. */
  readonly useExisting?: Type<LaneCacheOptionsFactory>;
  /** User-defined lanes that `@InjectLane` names; the factory must define them. Built-in lanes need no mention. */
  readonly laneNames?: readonly LaneName[];
}
