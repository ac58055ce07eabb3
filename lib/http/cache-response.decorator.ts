import { applyDecorators, SetMetadata, UseInterceptors } from '@nestjs/common';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { nearestName } from '../errors/nearest-name.js';
import { toMilliseconds } from '../lanes/units.js';
import { LaneCacheInterceptor } from './lane-cache.interceptor.js';
import { RESPONSE_RULES, type CacheResponseOptions } from './route.js';

const OPTIONS = ['lane', 'ttl', 'tags', 'varyBy', 'varyHeaders'];

/**
 * Caches the answers of a GET route, or of all GET routes of a controller. Options of a method win over those of its
 * class. Binds `LaneCacheInterceptor`, which need not be bound again. Throws DECORATOR_INVALID or TTL_INVALID when the
 * class is declared; an unknown lane fails at boot.
 */
export function CacheResponse(options: CacheResponseOptions = {}): MethodDecorator & ClassDecorator {
  checkRules(options);
  return applyDecorators(SetMetadata(RESPONSE_RULES, options), UseInterceptors(LaneCacheInterceptor));
}

function checkRules(options: CacheResponseOptions): void {
  for (const name of Object.keys(options)) {
    if (OPTIONS.includes(name)) continue;
    const nearest = nearestName(name, OPTIONS);
    const hint = nearest === undefined ? `Known options: ${OPTIONS.join(', ')}.` : `Did you mean '${nearest}'?`;
    throw invalid(`there is no option '${name}'. ${hint}`);
  }
  const { lane, ttl, tags, varyBy, varyHeaders } = options;
  if (lane !== undefined && (typeof lane !== 'string' || lane === ''))
    throw invalid('lane must be the name of a lane.');
  if (ttl !== undefined) toMilliseconds(ttl, { field: 'ttl' });
  if (tags !== undefined && typeof tags !== 'function' && !isTexts(tags)) {
    throw invalid('tags must be a list of strings, or a function of the request that gives one.');
  }
  if (varyBy !== undefined && typeof varyBy !== 'function') throw invalid('varyBy must be a function of the request.');
  if (varyHeaders !== undefined && !isTexts(varyHeaders)) throw invalid('varyHeaders must be a list of header names.');
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text) => typeof text === 'string' && text !== '');
}

function invalid(problem: string): LaneCacheError {
  return new LaneCacheError('DECORATOR_INVALID', `@CacheResponse: ${problem}`);
}
