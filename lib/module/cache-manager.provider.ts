import { Module, type DynamicModule } from '@nestjs/common';
import type { LaneManager } from '../cache/lane-manager.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { LANE_CACHE } from '../lanes/policy.js';

/** The optional peer. As a variable, so that compilers and bundlers do not look for it. */
const NEST_CACHE_MANAGER: string = '@nestjs/cache-manager';
/** Its token of the cache. */
const CACHE_MANAGER = 'CACHE_MANAGER';

@Module({})
class CacheManagerModule {}

@Module({})
class LaneCacheWithCacheManagerModule {}

/** `declared`, which offers LANE_CACHE, together with CACHE_MANAGER and Cache over its default lane. */
export function withCacheManager(declared: DynamicModule): DynamicModule {
  const offered = cacheManagerModule(declared);
  // Nest awaits it at boot. The rejection of a declaration that never boots must not be unhandled.
  offered.catch(() => undefined);
  return {
    module: LaneCacheWithCacheManagerModule,
    global: declared.global ?? false,
    imports: [declared, offered],
    exports: [declared.module, CacheManagerModule],
  };
}

async function cacheManagerModule(declared: DynamicModule): Promise<DynamicModule> {
  const Cache = await loadCacheToken();
  const { laneBackedCache } = await import('../keyv/lane-backed-cache.js');
  return {
    module: CacheManagerModule,
    imports: [declared],
    providers: [
      {
        provide: CACHE_MANAGER,
        inject: [LANE_CACHE],
        // what a test puts in the place of CacheManager need not be a lane, and then stands here as well
        useFactory: (lane: LaneManager) => ('policy' in lane ? laneBackedCache(lane) : lane),
      },
      { provide: Cache, useExisting: CACHE_MANAGER },
    ],
    exports: [CACHE_MANAGER, Cache],
  };
}

/** The class that is both type and token of the cache in @nestjs/cache-manager. */
async function loadCacheToken(): Promise<new () => object> {
  const loaded: unknown = await import(NEST_CACHE_MANAGER).catch((cause: unknown) => {
    throw missing(cause);
  });
  const token: unknown = typeof loaded === 'object' && loaded !== null ? Reflect.get(loaded, 'Cache') : undefined;
  if (isClass(token)) return token;
  throw missing(undefined);
}

const isClass = (value: unknown): value is new () => object => typeof value === 'function';

function missing(cause: unknown): LaneCacheError {
  return new LaneCacheError(
    'OPTIONS_INVALID',
    `provideCacheManager needs the package @nestjs/cache-manager, which could not be loaded. Install it: npm install @nestjs/cache-manager.`,
    { field: 'provideCacheManager', cause },
  );
}
