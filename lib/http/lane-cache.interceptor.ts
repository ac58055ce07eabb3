import { GatewayTimeoutException, Inject, Injectable } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { HttpAdapterHost, Reflector } from '@nestjs/core';
import { of, type Observable } from 'rxjs';
import type { LaneManager } from '../cache/lane-manager.js';
import type { EntryOptions } from '../cache/call-options.js';
import { LANE_CACHE } from '../lanes/policy.js';
import { toMilliseconds } from '../lanes/units.js';
import { Exchange } from './exchange.js';
import { type CacheableRequest, HandlerCall, ttlOf, type Unshared } from './handler-call.js';
import { isShareable, oldestWanted, readCacheControl, wantsFresh } from './http-caching.js';
import { responseKey } from './response-key.js';
import { type CacheResponseOptions, readRoute, type Route } from './route.js';
import { ageOf, replay, type StoredResponse } from './stored-response.js';

const CLONED: EntryOptions = Object.freeze({ isolation: 'clone' });

/**
 * Switches off refreshing in the background: a handler that injects the response cannot run after that response has
 * been sent with a copy.
 */
const NO_BACKGROUND_REFRESH: EntryOptions = Object.freeze({ softTimeout: '1w', refreshAhead: 1 - 1e-9 });

/**
 * Answers GET and HEAD requests from a lane: concurrent requests share one handler call, with `ETag` and 304,
 * `Cache-Control` and `Age`. `@CacheResponse()` binds it; bound by hand, it caches with the lane's own rules.
 *
 * These go past the cache: requests that may be for one person alone (see `varyBy`) or have a body, streams, routes
 * that send the response themselves, answers with cookies, and what a `Cache-Control` keeps out of a shared cache.
 */
@Injectable()
export class LaneCacheInterceptor implements NestInterceptor {
  private readonly routes = new WeakMap<object, Map<object, Route>>();

  constructor(
    @Inject(LANE_CACHE) private readonly cache: LaneManager,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    if (context.getType() !== 'http') return next.handle();
    const http = context.switchToHttp();
    const exchange = new Exchange(this.host.httpAdapter, http.getRequest(), http.getResponse());
    if (exchange.method !== 'GET' && exchange.method !== 'HEAD') return next.handle();
    const route = this.routeOf(context);
    if (!exchange.enter() || !route.handling.isNests) return next.handle();
    const { rules, label } = route;
    const lane = rules.lane === undefined ? this.cache : this.cache.forLane(rules.lane);
    if (isExcluded(rules, exchange)) return next.handle();
    const varyBy = namesOf(route, exchange, lane);
    if ((exchange.isPersonal && varyBy.length === 0) || exchange.hasBody) {
      lane.bypass('condition', label);
      return next.handle();
    }
    return this.answer({ lane, route, exchange, next, varyBy });
  }

  private async answer(request: CacheableRequest): Promise<Observable<unknown>> {
    const { lane, route, exchange, next } = request;
    const call = new HandlerCall(request);
    const found = await lookUp(request, call);
    const own = call.outcome;
    if (own?.kind === 'refused') throw own.error;
    if (found.kind === 'unshared') return own === undefined ? next.handle() : of(own.body);
    // A stored copy may have been served instead of what this request's own call made.
    const isNew = own?.response?.entityTag !== undefined && own.response.entityTag === found.entityTag;
    const options = {
      varyHeaders: route.rules.varyHeaders ?? [],
      ttlMs: ttlOf(route.rules, lane),
      now: lane.now(),
      isPrivate: request.varyBy.length > 0,
      isNew,
    };
    return of(replay(exchange, isNew ? { ...found, body: own.body } : found, options));
  }

  private routeOf(context: ExecutionContext): Route {
    const [type, handler] = [context.getClass(), context.getHandler()];
    const routes = this.routes.get(type) ?? new Map<object, Route>();
    this.routes.set(type, routes);
    const route = routes.get(handler) ?? readRoute(this.reflector, type, handler);
    routes.set(handler, route);
    return route;
  }
}

/** The answer as the client asks for it: from the cache alone, not older than a limit, or any. */
async function lookUp(request: CacheableRequest, call: HandlerCall): Promise<StoredResponse | Unshared> {
  const { lane, exchange } = request;
  const key = keyOf(request);
  const control = readCacheControl(exchange.header('cache-control'));
  if (control.has('only-if-cached')) {
    const cached = await lane.get<StoredResponse>(key, CLONED);
    if (cached !== undefined) return cached;
    throw new GatewayTimeoutException('The answer is not cached, and the request accepts only a cached one.');
  }
  const get = (freshness: EntryOptions): Promise<StoredResponse | Unshared> =>
    lane.getOrSet<StoredResponse | Unshared>(key, (ctx) => call.run(ctx), { ...optionsOf(request), ...freshness });
  // A conditional request asks whether its copy is valid, which the lane knows. Browsers and fetch add no-cache to it.
  if (exchange.header('if-none-match') !== undefined) return get({});
  const forceFresh = wantsFresh(control, exchange.header('pragma'));
  const found = await get({ forceFresh });
  const isTooOld = found.kind === 'response' && ageOf(found, lane.now()) > oldestWanted(control);
  return isTooOld ? get({ forceFresh: true }) : found;
}

function keyOf({ route, exchange, varyBy }: CacheableRequest): string {
  return responseKey({
    handler: route.isGet ? route.label : `${route.label} ${exchange.method}`,
    host: exchange.host,
    url: exchange.url,
    varyBy,
    headers: (route.rules.varyHeaders ?? []).map((name) => exchange.header(name.toLowerCase()) ?? ''),
  });
}

function optionsOf({ route, exchange }: CacheableRequest): EntryOptions {
  const { ttl, tags } = route.rules;
  return {
    ...CLONED,
    ...(route.handling.isInjected ? NO_BACKGROUND_REFRESH : {}),
    ...(ttl === undefined ? {} : { ttl }),
    ...(tags === undefined ? {} : { tags: typeof tags === 'function' ? callRule(tags, exchange) : tags }),
  };
}

/** Whether the route or the request rules the cache out. */
function isExcluded(rules: CacheResponseOptions, exchange: Exchange): boolean {
  if (rules.ttl !== undefined && toMilliseconds(rules.ttl) === 0) return true;
  if (readCacheControl(exchange.header('cache-control')).has('no-store')) return true;
  return !isShareable(readCacheControl(exchange.before.headers['cache-control']));
}

/** The names that `varyBy` returns; none if one of them is missing or is an object. */
function namesOf({ rules, label }: Route, exchange: Exchange, lane: LaneManager): readonly string[] {
  if (rules.varyBy === undefined) return [];
  const returned: unknown = callRule(rules.varyBy, exchange);
  const names: readonly unknown[] = Array.isArray(returned) ? returned : [returned];
  if (names.some((name) => typeof name === 'object' && name !== null)) {
    const problem = 'returned an object or a promise, which identifies nobody. Return texts, such as an id';
    lane.warnOnce(`${label} varyBy`, `varyBy of @CacheResponse on ${label} ${problem}; the answers go past the cache.`);
    return [];
  }
  return names.every((name) => name !== undefined && name !== null && name !== '') ? names.map(String) : [];
}

/** Calls a function among the rules with the platform's request; its type is not checked at run time. */
function callRule<R>(rule: (request: never) => R, exchange: Exchange): R {
  return Reflect.apply(rule, undefined, [exchange.request]);
}
