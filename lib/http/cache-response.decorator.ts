import { applyDecorators, SetMetadata, UseInterceptors } from '@nestjs/common';
import { KeyPattern } from '../entries/pattern.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { callDuration, laneName } from '../lanes/lane-policy.js';
import type { Duration } from '../lanes/units.js';
import {
  defineOptions,
  either,
  flag,
  fn,
  inWords,
  kindOf,
  type Kind,
  listOf,
  names,
  nonEmpty,
  oneOf,
  recordOf,
} from '../options/options-shape.js';
import type { CacheResponseOptions } from './cache-response-options.js';
import { LaneCacheInterceptor } from './lane-cache.interceptor.js';
import { validHost } from './response-key.js';
import { requestTags, requestText } from './request-templates.js';
import { RESPONSE_RULES } from './route.js';

const off = oneOf(false);

const pattern = kindOf('a pattern of 1 to 512 characters', isPattern);

const host = kindOf("a host such as 'example.com' or 'localhost:3000', in lower case", (value): value is string => {
  return typeof value === 'string' && validHost(value) === value;
});

/** Those of successes, redirects and errors. A part (206) depends on the range, and 304 on what the client has. */
const status = kindOf('a status from 200 to 599, other than 206 and 304', isStatus);

const ttls = recordOf(callDuration);
const byStatus: Kind<Readonly<Record<number, Duration>>> = {
  wants: 'an object, by status, of durations',
  take: (value, at) => {
    const taken = ttls.take(value, at);
    return taken !== undefined && Object.keys(taken).every((name) => isStatus(Number(name))) ? taken : undefined;
  },
};

const CACHE_RESPONSE_OPTIONS = defineOptions<CacheResponseOptions>(
  '@CacheResponse',
  {
    lane: laneName,
    ttl: callDuration,
    tags: either(names, fn),
    varyBy: fn,
    shared: flag,
    varyHeaders: names,
    clientMaxAge: inWords('a duration, or false', either(callDuration, off)),
    clientRefresh: flag,
    query: defineOptions<NonNullable<CacheResponseOptions['query']>>('@CacheResponse', {
      only: listOf(pattern, 'patterns'),
      ignore: listOf(pattern, 'patterns'),
    }),
    hosts: either(listOf(host, "hosts such as 'example.com' or 'localhost:3000', in lower case"), off),
    statuses: either(listOf(status, status.wants.replace('a status', 'statuses')), byStatus),
    key: either(nonEmpty, fn),
    showKey: flag,
  },
  { code: 'DECORATOR_INVALID' },
);

/**
 * Caches the answers of a GET route, or of all GET routes of a controller. Options of a method win over those of its
 * class. Binds `LaneCacheInterceptor`, which need not be bound again. Throws DECORATOR_INVALID or TTL_INVALID when the
 * class is declared; an unknown lane, and `clientMaxAge` with `varyBy` but no `varyHeaders`, fail at boot.
 *
 * @example
 * ```ts
 * class PagesController {@CacheResponse({ ttl: '1m', tags: ['page:{params.id}'] })
 *   page(id: string): { id: string } {
 *     return { id };
 *   }
 * }
 * ```
 */
export function CacheResponse(given?: CacheResponseOptions): MethodDecorator & ClassDecorator {
  const options = CACHE_RESPONSE_OPTIONS.read(given);
  if (options.varyBy !== undefined && options.shared === true) {
    throw contradiction('shared', 'varyBy says that the answer depends on who asks, and shared that it does not.');
  }
  if (options.query?.only !== undefined && options.query.ignore !== undefined) {
    throw contradiction('query', "give 'only' or 'ignore', not both.");
  }
  if (options.key !== undefined) requestText(options.key);
  if (options.tags !== undefined) requestTags(options.tags);
  return applyDecorators(SetMetadata(RESPONSE_RULES, options), UseInterceptors(LaneCacheInterceptor));
}

const contradiction = (field: string, problem: string): LaneCacheError =>
  new LaneCacheError('DECORATOR_INVALID', `@CacheResponse: ${problem}`, { field });

function isPattern(value: unknown): value is string {
  try {
    return new KeyPattern(value as string).text === value;
  } catch {
    return false;
  }
}

function isStatus(value: unknown): value is number {
  const isWhole = typeof value === 'number' && Number.isInteger(value);
  return isWhole && value >= 200 && value < 600 && value !== 206 && value !== 304;
}
