import { applyDecorators, SetMetadata, UseInterceptors } from '@nestjs/common';
import { callDuration, laneName } from '../lanes/lane-policy.js';
import { either, fn, names, defineOptions } from '../options/options-shape.js';
import { LaneCacheInterceptor } from './lane-cache.interceptor.js';
import { RESPONSE_RULES, type CacheResponseOptions } from './route.js';

const CACHE_RESPONSE_OPTIONS = defineOptions<CacheResponseOptions>(
  '@CacheResponse',
  { lane: laneName, ttl: callDuration, tags: either(names, fn), varyBy: fn, varyHeaders: names },
  { code: 'DECORATOR_INVALID' },
);

/**
 * Caches the answers of a GET route, or of all GET routes of a controller. Options of a method win over those of its
 * class. Binds `LaneCacheInterceptor`, which need not be bound again. Throws DECORATOR_INVALID or TTL_INVALID when the
 * class is declared; an unknown lane fails at boot.
 */
export function CacheResponse(given?: CacheResponseOptions): MethodDecorator & ClassDecorator {
  const options = CACHE_RESPONSE_OPTIONS.read(given);
  return applyDecorators(SetMetadata(RESPONSE_RULES, options), UseInterceptors(LaneCacheInterceptor));
}
