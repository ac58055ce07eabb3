import { HttpException, Inject, Injectable } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { HttpAdapterHost, Reflector } from '@nestjs/core';
import { lastValueFrom, of, type Observable } from 'rxjs';
import type { LaneManager } from '../cache/lane-manager.js';
import type { ComputeContext, EntryOptions } from '../cache/options.js';
import { toMilliseconds } from '../lanes/duration.js';
import { LANE_CACHE } from '../lanes/lane-token.js';
import { isShareable, readCacheControl, wantsFresh } from './cache-control.js';
import { Exchange } from './exchange.js';
import { responseHandling, type ResponseHandling } from './handled-response.js';
import { replay } from './replay.js';
import { responseKey } from './response-key.js';
import { RESPONSE_RULES, type CacheResponseOptions } from './response-rules.js';
import { madeResponse, type StoredResponse } from './stored-response.js';

/** What a flight brings that each caller has to make for himself. */
interface Unshared {
  readonly kind: 'unshared';
}

interface Route {
  readonly rules: CacheResponseOptions;
  readonly handling: ResponseHandling;
  readonly label: string;
}

/** One request for a response that others may share. */
interface Asked {
  readonly lane: LaneManager;
  readonly route: Route;
  readonly exchange: Exchange;
  readonly next: CallHandler;
  readonly varyBy: readonly string[];
}

const UNSHARED: Unshared = Object.freeze({ kind: 'unshared' });

/**
 * Answers GET and HEAD requests from a lane: one handler call for all who ask meanwhile, `ETag` and 304,
 * `Cache-Control`, `Age`. Bound by `@CacheResponse()`; bound by hand, it caches with the lane's own rules.
 *
 * Past the cache go requests that may be for one person alone (see `varyBy`), streams, routes that send the response
 * themselves, answers with cookies, and what either side's `Cache-Control` keeps out of a shared cache.
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
    const { rules } = route;
    const lane = rules.lane === undefined ? this.cache : this.cache.forLane(rules.lane);
    const varyBy = namesOf(rules, exchange);
    if (isKeptOut(rules, exchange)) return next.handle();
    if (exchange.isPersonal && varyBy.length === 0) {
      lane.bypass('condition', route.label);
      return next.handle();
    }
    return this.answer({ lane, route, exchange, next, varyBy });
  }

  private async answer(asked: Asked): Promise<Observable<unknown>> {
    const { lane, route, exchange, next } = asked;
    const attempt = new Attempt(asked);
    const key = responseKey({
      handler: route.label,
      host: exchange.host,
      url: exchange.url,
      varyBy: asked.varyBy,
      headers: (route.rules.varyHeaders ?? []).map((name) => exchange.header(name.toLowerCase()) ?? ''),
    });
    const found = await lane.getOrSet<StoredResponse | Unshared>(key, (ctx) => attempt.run(ctx), optionsOf(asked));
    const own = attempt.result;
    if (own?.kind === 'refused') throw own.error;
    if (found.kind === 'unshared') return own === undefined ? next.handle() : of(own.body);
    const ttlMs = route.rules.ttl === undefined ? lane.policy.ttlMs : toMilliseconds(route.rules.ttl);
    const isNew = own !== undefined;
    const terms = { ttlMs, now: lane.insides.space.parts.clock.now(), isPrivate: asked.varyBy.length > 0, isNew };
    return of(replay(exchange, isNew ? { ...found, body: own.body } : found, route.rules, terms));
  }

  private routeOf(context: ExecutionContext): Route {
    const [type, handler] = [context.getClass(), context.getHandler()];
    const routes = this.routes.get(type) ?? new Map<object, Route>();
    this.routes.set(type, routes);
    const route = routes.get(handler) ?? {
      rules: {
        ...this.reflector.get<CacheResponseOptions | undefined>(RESPONSE_RULES, type),
        ...this.reflector.get<CacheResponseOptions | undefined>(RESPONSE_RULES, handler),
      },
      handling: responseHandling(type, handler),
      label: `${type.name}.${handler.name}`,
    };
    routes.set(handler, route);
    return route;
  }
}

/** One caller's own go at the handler, if it comes to that. */
class Attempt {
  /** What came of it, for the caller himself. */
  result:
    | { readonly kind: 'made'; readonly body: unknown }
    | { readonly kind: 'refused'; readonly error: unknown }
    | undefined;

  constructor(private readonly asked: Asked) {}

  async run(context: ComputeContext): Promise<StoredResponse | Unshared> {
    const { exchange, route, lane, next } = this.asked;
    const before = exchange.responseHeaders();
    try {
      this.result = { kind: 'made', body: await lastValueFrom(next.handle()) };
    } catch (error) {
      // an answer such as 404, which no stale copy may stand in for
      if (!(error instanceof HttpException) || error.getStatus() >= 500 || lane.policy.graceMs === 0) throw error;
      this.result = { kind: 'refused', error };
      return unshared(context);
    }
    const { isTouched } = route.handling;
    const how = { varyHeaders: route.rules.varyHeaders ?? [], now: lane.insides.space.parts.clock.now(), isTouched };
    const made = madeResponse(exchange, this.result.body, before, how);
    if (made === undefined || made.maxAge === 0) return unshared(context);
    const ttlMs = route.rules.ttl === undefined ? lane.policy.ttlMs : toMilliseconds(route.rules.ttl);
    if (made.maxAge !== undefined && made.maxAge * 1_000 < ttlMs) context.setTtl(`${made.maxAge}s`);
    return made.response;
  }
}

function unshared(context: ComputeContext): Unshared {
  context.skipCache();
  return UNSHARED;
}

function optionsOf({ route, exchange }: Asked): EntryOptions {
  const { ttl, tags } = route.rules;
  const control = readCacheControl(exchange.header('cache-control'));
  // Who shows a copy asks whether it is still good, which the lane knows; browsers and fetch say no-cache beside it.
  const isRevalidation = exchange.header('if-none-match') !== undefined;
  return {
    isolation: 'clone',
    forceFresh: !isRevalidation && wantsFresh(control, exchange.header('pragma')),
    ...(ttl === undefined ? {} : { ttl }),
    ...(tags === undefined ? {} : { tags: typeof tags === 'function' ? askOf(tags, exchange) : tags }),
  };
}

/** Whether the route or the request wants nothing of the cache. */
function isKeptOut(rules: CacheResponseOptions, exchange: Exchange): boolean {
  if (rules.ttl !== undefined && toMilliseconds(rules.ttl) === 0) return true;
  if (readCacheControl(exchange.header('cache-control')).has('no-store')) return true;
  return !isShareable(readCacheControl(exchange.responseHeaders()['cache-control']));
}

/** What `varyBy` names; nothing if a name is missing among them. */
function namesOf(rules: CacheResponseOptions, exchange: Exchange): readonly string[] {
  const named = rules.varyBy === undefined ? undefined : askOf(rules.varyBy, exchange);
  const names: readonly unknown[] = Array.isArray(named) ? named : [named];
  return names.every((name) => name !== undefined && name !== null && name !== '') ? names.map(String) : [];
}

/** Calls a function among the rules with the platform's request, of whatever type it takes that to be. */
function askOf<R>(given: (request: never) => R, exchange: Exchange): R {
  return Reflect.apply(given, undefined, [exchange.request]);
}
