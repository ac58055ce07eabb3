import type {
  CanActivate,
  InjectionToken,
  ModuleMetadata,
  OptionalFactoryDependency,
  Provider,
  Type,
} from '@nestjs/common';
import type { LaneName } from './lanes/policy.js';
import type { LaneCacheOptions } from './app/options.js';

export interface MetricsControllerOptions {
  /** Default 'lane-cache'. */
  readonly path?: string;
  /** Without guards the controller only answers GET, and no key, tag or checkpoint id is in any answer. */
  readonly guards?: readonly (Type<CanActivate> | CanActivate)[];
}

/** What must be known when the module is declared, before any factory runs. */
export interface LaneCacheModuleExtras {
  /** Default true. */
  readonly isGlobal?: boolean;
  /** Declares the controller. Default off. */
  readonly metrics?: { readonly controller?: boolean | MetricsControllerOptions };
  /** Also provides CACHE_MANAGER and Cache (needs @nestjs/cache-manager). Default false. */
  readonly provideCacheManager?: boolean;
  /** Providers that only the module's own factory sees. */
  readonly extraProviders?: readonly Provider[];
}

export interface LaneCacheModuleOptions extends LaneCacheOptions, LaneCacheModuleExtras {}

/** What `useClass` and `useExisting` name. */
export interface LaneCacheOptionsFactory {
  createLaneCacheOptions(): LaneCacheOptions | LaneName | Promise<LaneCacheOptions | LaneName>;
}

/** Exactly one of `useFactory`, `useClass` and `useExisting`. */
export interface LaneCacheModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'>, LaneCacheModuleExtras {
  readonly inject?: readonly (InjectionToken | OptionalFactoryDependency)[];
  readonly useFactory?: (...deps: never[]) => LaneCacheOptions | LaneName | Promise<LaneCacheOptions | LaneName>;
  readonly useClass?: Type<LaneCacheOptionsFactory>;
  readonly useExisting?: Type<LaneCacheOptionsFactory>;
  /** User-defined lanes that `@InjectLane` names; the factory must define them. Built-in lanes need no mention. */
  readonly laneNames?: readonly string[];
}
