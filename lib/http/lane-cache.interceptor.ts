import { GatewayTimeoutException, Inject, Injectable } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { HttpAdapterHost, Reflector } from '@nestjs/core';
import { of, type Observable } from 'rxjs';
import type { LaneManager } from '../cache/lane-manager.js';
import type { EntryOptions } from '../cache/call-options.js';
import { toMilliseconds } from '../lanes/units.js';
import { LANE_CACHE } from '../lanes/policy.js';
import { Attempt, ttlOf, type Asked, type Unshared, ageOf, replay } from './response-cache.js';
import { isShareable, oldestWanted, readCacheControl, wantsFresh } from './http-caching.js';
import { Exchange } from './exchange.js';
import { responseKey, type CacheResponseOptions, readRoute, type Route } from './response-key.js';
import type { StoredResponse } from './stored-response.js';

const CLONED: EntryOptions = Object.freeze({ isolation: 'clone' });

/**
 * Switches off refreshing in the background: a handler that injects the response cannot run after that response has been
 * sent with a copy.
 */
const IN_PERSON: EntryOptions = Object.freeze({ softTimeout: '1w', refreshAhead: 1 - 1e-9 });

/**
 * Answers GET and HEAD requests from a lane: concurrent requests share one handler call, with `ETag` and 304,
 * `Cache-Control` and `Age`. `@CacheResponse()` binds it; bound by hand, it caches with the lane's own rules.
 *
 * These go past the cache: requests that may be for one person alone (see `varyBy`) or have a body, streams, routes that
 * send the response themselves, answers with cookies, and what a `Cache-Control` keeps out of a shared cache.
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
    if (isKeptOut(rules, exchange)) return next.handle();
    const varyBy = namesOf(route, exchange, lane);
    if ((exchange.isPersonal && varyBy.length === 0) || exchange.hasBody) {
      lane.bypass('condition', label);
      return next.handle();
    }
    return this.answer({ lane, route, exchange, next, varyBy });
  }

  private async answer(asked: Asked): Promise<Observable<unknown>> {
    const { lane, route, exchange, next } = asked;
    const attempt = new Attempt(asked);
    const found = await look(asked, attempt);
    const own = attempt.outcome;
    if (own?.kind === 'refused') throw own.error;
    if (found.kind === 'unshared') return own === undefined ? next.handle() : of(own.body);
    // a copy may have been served in place of what this caller's own call made
    const isNew = own?.response?.entityTag !== undefined && own.response.entityTag === found.entityTag;
    const terms = { ttlMs: ttlOf(route.rules, lane), now: nowOf(lane), isPrivate: asked.varyBy.length > 0, isNew };
    return of(replay(exchange, isNew ? { ...found, body: own.body } : found, route.rules, terms));
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
async function look(asked: Asked, attempt: Attempt): Promise<StoredResponse | Unshared> {
  const { lane, exchange } = asked;
  const key = keyOf(asked);
  const control = readCacheControl(exchange.header('cache-control'));
  if (control.has('only-if-cached')) {
    const kept = await lane.get<StoredResponse>(key, CLONED);
    if (kept !== undefined) return kept;
    throw new GatewayTimeoutException('The answer is not cached, and the request wants it only if it is.');
  }
  const ask = (more: EntryOptions): Promise<StoredResponse | Unshared> =>
    lane.getOrSet<StoredResponse | Unshared>(key, (ctx) => attempt.run(ctx), { ...optionsOf(asked), ...more });
  // Who shows a copy asks whether it is still good, which the lane knows; browsers and fetch say no-cache beside it.
  if (exchange.header('if-none-match') !== undefined) return ask({});
  const forceFresh = wantsFresh(control, exchange.header('pragma'));
  const found = await ask({ forceFresh });
  const isTooOld = found.kind === 'response' && ageOf(found, nowOf(lane)) > oldestWanted(control);
  return isTooOld ? ask({ forceFresh: true }) : found;
}

function keyOf({ route, exchange, varyBy }: Asked): string {
  return responseKey({
    handler: route.isGet ? route.label : `${route.label} ${exchange.method}`,
    host: exchange.host,
    url: exchange.url,
    varyBy,
    headers: (route.rules.varyHeaders ?? []).map((name) => exchange.header(name.toLowerCase()) ?? ''),
  });
}

function optionsOf({ route, exchange }: Asked): EntryOptions {
  const { ttl, tags } = route.rules;
  return {
    ...CLONED,
    ...(route.handling.isTouched ? IN_PERSON : {}),
    ...(ttl === undefined ? {} : { ttl }),
    ...(tags === undefined ? {} : { tags: typeof tags === 'function' ? askOf(tags, exchange) : tags }),
  };
}

const nowOf = (lane: LaneManager): number => lane.now();

/** Whether the route or the request wants nothing of the cache. */
function isKeptOut(rules: CacheResponseOptions, exchange: Exchange): boolean {
  if (rules.ttl !== undefined && toMilliseconds(rules.ttl) === 0) return true;
  if (readCacheControl(exchange.header('cache-control')).has('no-store')) return true;
  return !isShareable(readCacheControl(exchange.before.headers['cache-control']));
}

/** What `varyBy` names; nothing if a name is missing among them, or is none. */
function namesOf({ rules, label }: Route, exchange: Exchange, lane: LaneManager): readonly string[] {
  if (rules.varyBy === undefined) return [];
  const named: unknown = askOf(rules.varyBy, exchange);
  const names: readonly unknown[] = Array.isArray(named) ? named : [named];
  if (names.some((name) => typeof name === 'object' && name !== null)) {
    const problem = 'gave an object or a promise, which names nobody. Give texts, such as an id';
    lane.warnOnce(`${label} varyBy`, `varyBy of @CacheResponse on ${label} ${problem}; the answers go past the cache.`);
    return [];
  }
  return names.every((name) => name !== undefined && name !== null && name !== '') ? names.map(String) : [];
}

/** Calls a function among the rules with the platform's request, of whatever type it takes that to be. */
function askOf<R>(given: (request: never) => R, exchange: Exchange): R {
  return Reflect.apply(given, undefined, [exchange.request]);
}
