import { GatewayTimeoutException, Inject, Injectable } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost, Reflector } from '@nestjs/core';
import { of, type Observable } from 'rxjs';
import type { EntryOptions } from '../cache/call-options.js';
import type { LaneManager } from '../cache/lane-manager.js';
import { checkTags } from '../entries/tags.js';
import type { BypassReason } from '../events/reasons.js';
import { LANE_CACHE } from '../lanes/policy.js';
import { ClientNotice } from './client-notice.js';
import { Exchange } from './exchange.js';
import { type CacheableRequest, type ClientError, HandlerCall, type OwnAnswer, type Unshared } from './handler-call.js';
import { allowsStoring, oldestWanted, readCacheControl, wantsFresh } from './http-caching.js';
import { type KnownRequester, requesterOf } from './requester.js';
import { keyOf, originOf } from './response-key.js';
import { RESPONSE_SETTINGS, type ResponseSettings, type Route, RouteReader } from './route.js';
import { ageOf, replay, type StoredResponse } from './stored-response.js';

const CLONED: EntryOptions = Object.freeze({ isolation: 'clone' });

/**
 * Switches off refreshing in the background: a handler that injects the response cannot run after that response has
 * been sent with a copy.
 */
const NO_BACKGROUND_REFRESH: EntryOptions = Object.freeze({ softTimeout: '1w', refreshAhead: 1 - 1e-9 });

type Found = StoredResponse | Unshared | ClientError | undefined;

/**
 * Answers GET and HEAD requests from a lane: concurrent requests share one handler call. Clients get `ETag` and 304,
 * `Cache-Control`, `Vary`, `Age` and `Cache-Status`. `@CacheResponse()` binds it. Bound by hand to a route or a
 * controller, it caches with the lane's own rules; bound to the whole app, only what has `@CacheResponse()`.
 *
 * These go past the cache, counted with their reason: requests whose sender cannot be known (see `varyBy`), with
 * a body, for a range or for an invalid host. So do streams, routes that send the response themselves, answers with
 * cookies, and what the handler's `Cache-Control` keeps out of the cache.
 *
 * @example
 * ```ts
 * class PagesController {@UseInterceptors(LaneCacheInterceptor)
 *   pages(): string[] {
 *     return ['start'];
 *   }
 * }
 * ```
 */
@Injectable()
export class LaneCacheInterceptor implements NestInterceptor {
  private readonly routes: RouteReader;

  /** @internal The app creates it. */
  constructor(
    @Inject(LANE_CACHE) private readonly cache: LaneManager,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    @Inject(Reflector) reflector: Reflector,
    @Inject(ApplicationConfig) config: ApplicationConfig,
    @Inject(RESPONSE_SETTINGS) settings: ResponseSettings,
  ) {
    this.routes = new RouteReader(reflector, config, settings, LaneCacheInterceptor);
  }

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    if (context.getType() !== 'http') return next.handle();
    const http = context.switchToHttp();
    const exchange = new Exchange(this.host.httpAdapter, http.getRequest(), http.getResponse());
    if (exchange.method !== 'GET' && exchange.method !== 'HEAD') return next.handle();
    const route = this.routes.read(context.getClass(), context.getHandler());
    if (!route.isCached || !exchange.enter()) return next.handle();
    const { rules, label } = route;
    const lane = rules.lane === undefined ? this.cache : this.cache.forLane(rules.lane);
    const notice = new ClientNotice(exchange, route, lane);
    exchange.watch(notice);
    const request = await cacheable(route, exchange, lane);
    if (typeof request === 'string') {
      lane.bypass(request, label);
      if (acceptsOnlyCached(exchange)) throw notCached();
      notice.answered({ kind: 'bypass', reason: request });
      return next.handle();
    }
    notice.asked(request.requester.kind, request.key);
    return answer({ ...request, lane, route, exchange, next }, notice);
  }
}

/** What of a request the cache needs, or why it goes past the cache. */
async function cacheable(
  route: Route,
  exchange: Exchange,
  lane: LaneManager,
): Promise<Pick<CacheableRequest, 'requester' | 'key' | 'tags'> | BypassReason> {
  if (exchange.isSpecial) return 'request';
  const origin = originOf(route, exchange);
  if (origin.kind === 'refused') return 'host';
  const requester = await requesterOf(route, exchange, lane);
  if (requester.kind === 'unknown') return requester.reason;
  const control = readCacheControl(exchange.before.headers['cache-control']);
  if (!allowsStoring(control, requester)) return 'no-store';
  return keyed(route, exchange, lane, { requester, host: origin.host });
}

function keyed(
  route: Route,
  exchange: Exchange,
  lane: LaneManager,
  { requester, host }: { readonly requester: KnownRequester; readonly host: string | undefined },
): Pick<CacheableRequest, 'requester' | 'key' | 'tags'> | BypassReason {
  const { label } = route;
  try {
    const key = keyOf(route, exchange, requester, host);
    const tags = checkTags(route.tags?.(exchange.request) ?? [], lane.lane);
    return { requester, key, tags };
  } catch (error) {
    const problem = error instanceof Error ? error.message : typeof error;
    lane.warnOnce(
      `${label} key`,
      `@CacheResponse on ${label} found no key or tags for a request, which went past the cache: ${problem}`,
    );
    return 'unkeyable-arguments';
  }
}

async function answer(request: CacheableRequest, notice: ClientNotice): Promise<Observable<unknown>> {
  const { exchange, next, route } = request;
  const call = new HandlerCall(request);
  const looked = lookUp(request, call);
  // What this request's own call made may be sent before the look-up ends, and its failure is then known.
  looked.catch(() => undefined);
  const first = await Promise.race([call.whenOwn, looked]);
  const own = first?.kind === 'own' ? first : call.own;
  if (own !== undefined) return sendOwn(own, request, notice);
  if (first?.kind === 'client-error') throw first.error;
  if (first === undefined || (first.kind !== 'response' && first.kind !== 'exception')) return next.handle();
  notice.answered({ kind: 'stored', stored: first }, first.kind === 'response' ? first.body : undefined, tagOf(first));
  return of(replay(exchange, first, route));
}

const tagOf = (stored: StoredResponse): string | undefined =>
  stored.kind === 'response' ? stored.entityTag : undefined;

function sendOwn(own: OwnAnswer, { exchange, route }: CacheableRequest, notice: ClientNotice): Observable<unknown> {
  const { made, entityTag, wasStale } = own;
  const isForced = route.rules.clientRefresh === true && forcesHandler(exchange);
  const source = { kind: 'handler', why: isForced ? 'request' : wasStale ? 'stale' : 'miss' } as const;
  if (made.kind !== 'body') {
    notice.answered(source);
    throw made.error;
  }
  notice.answered(source, made.body, entityTag);
  return of(made.body);
}

const notCached = (): GatewayTimeoutException =>
  new GatewayTimeoutException('The answer is not cached, and the request accepts only a cached one.');

const controlOf = (exchange: Exchange): ReturnType<typeof readCacheControl> =>
  readCacheControl(exchange.header('cache-control'));

const acceptsOnlyCached = (exchange: Exchange): boolean => controlOf(exchange).has('only-if-cached');

/** A conditional request asks whether its copy is valid, which the lane knows. Browsers and fetch add no-cache to it. */
const forcesHandler = (exchange: Exchange): boolean =>
  exchange.header('if-none-match') === undefined && wantsFresh(controlOf(exchange), exchange.header('pragma'));

/**
 * The answer as the client asks for it. HEAD and `no-store` are answered from the cache and fill nothing; undefined =
 * the handler has to run for this request alone.
 */
async function lookUp(request: CacheableRequest, call: HandlerCall): Promise<Found> {
  const { lane, exchange, route, key } = request;
  const control = controlOf(exchange);
  const onlyCached = control.has('only-if-cached');
  if (onlyCached || exchange.method === 'HEAD' || control.has('no-store')) {
    const cached = await lane.get<StoredResponse>(key, CLONED);
    if (cached === undefined && onlyCached) throw notCached();
    return cached;
  }
  const get = async (freshness: EntryOptions): Promise<StoredResponse | Unshared | ClientError> => {
    const options = { ...optionsOf(request), ...freshness };
    const found = await lane.getOrSet<StoredResponse | Unshared | ClientError>(key, (ctx) => call.run(ctx), options);
    const isToRunAgain = found.kind === 'unshared' && found.why === 'client-left' && call.own === undefined;
    return isToRunAgain && !exchange.hasClientLeft ? get(freshness) : found;
  };
  if (route.rules.clientRefresh !== true) return get({});
  const found = await get({ forceFresh: forcesHandler(exchange) });
  if (found.kind === 'unshared' || found.kind === 'client-error') return found;
  if (exchange.header('if-none-match') !== undefined) return found;
  const isTooOld = ageOf(found, lane.now()) > oldestWanted(control);
  return isTooOld && call.own === undefined ? get({ forceFresh: true }) : found;
}

function optionsOf({ route, tags }: CacheableRequest): EntryOptions {
  const { ttl } = route.rules;
  return {
    ...CLONED,
    ...(route.injectsResponse ? NO_BACKGROUND_REFRESH : {}),
    ...(ttl === undefined ? {} : { ttl }),
    ...(tags.length === 0 ? {} : { tags }),
  };
}
