import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { ApplicationConfig, DiscoveryService, HttpAdapterHost, MetadataScanner, Reflector } from '@nestjs/core';
import type { LaneManager } from '../cache/lane-manager.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { LANE_CACHE } from '../lanes/policy.js';
import { toMilliseconds } from '../lanes/units.js';
import { watchHeadsOf } from './exchange.js';
import { LaneCacheInterceptor } from './lane-cache.interceptor.js';
import {
  isGetRoute,
  isHttp,
  PERSONAL_HEADERS,
  RESPONSE_RULES,
  RESPONSE_SETTINGS,
  type ResponseSettings,
  type Route,
  RouteReader,
} from './route.js';

type Method = (...args: never[]) => unknown;
type Class = Parameters<RouteReader['read']>[0];

/**
 * Checks at boot what `@CacheResponse` says: that its lanes are there, that its rules agree, that guarded routes say who
 * asks, and that it stands on routes of HTTP. Prepares an Express app for the interceptor.
 */
@Injectable()
export class ResponseExplorer implements OnModuleInit {
  private readonly scanner = new MetadataScanner();
  private readonly routes: RouteReader;

  constructor(
    @Inject(LANE_CACHE) private readonly cache: LaneManager,
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    @Inject(Reflector) reflector: Reflector,
    @Inject(ApplicationConfig) config: ApplicationConfig,
    @Inject(RESPONSE_SETTINGS) settings: ResponseSettings,
  ) {
    this.routes = new RouteReader(reflector, config, settings, LaneCacheInterceptor);
  }

  async onModuleInit(): Promise<void> {
    try {
      this.explore();
    } catch (error) {
      // An app that did not boot cannot be closed by its caller.
      await this.cache.close();
      throw error;
    }
    watchHeadsOf(this.host.httpAdapter?.getInstance());
  }

  private explore(): void {
    const controllers = new Set(this.discovery.getControllers().map(({ metatype }) => metatype));
    const providers = new Set(this.discovery.getProviders().map(({ metatype }) => metatype));
    const decorated = [...controllers, ...providers].filter(isClass).flatMap((type) => this.decoratedOf(type));
    for (const { type, method } of decorated) {
      const target = method ?? type;
      this.checkLane(Reflect.getMetadata(RESPONSE_RULES, target), labelOf(type, method));
    }
    const routes = [...controllers].filter(isClass).flatMap((type) => this.routesOf(type));
    for (const route of routes) checkRules(route);
    checkNames(routes);
    this.warnOfGuarded(routes);
    this.warnOfUncacheable([...controllers].filter(isClass));
    this.warnOfUnkeyed(routes);
    this.warnOfLeftOut(routes);
    this.warnOfOthers(decorated);
  }

  /** The class and its methods, as far as they have the decorator. */
  private decoratedOf(type: Class): readonly Decorated[] {
    const methods = this.methodsOf(type).map((method) => ({ type, method }));
    return [{ type, method: undefined }, ...methods].filter(({ method }) =>
      Reflect.hasMetadata(RESPONSE_RULES, method ?? type),
    );
  }

  /** The routes for GET that have the decorator, or whose class has. */
  private routesOf(type: Class): readonly Route[] {
    const isOfClass = Reflect.hasMetadata(RESPONSE_RULES, type);
    return this.methodsOf(type)
      .filter((method) => isGetRoute(method) && (isOfClass || Reflect.hasMetadata(RESPONSE_RULES, method)))
      .map((method) => this.routes.read(type, method));
  }

  private methodsOf(type: Class): readonly Method[] {
    const prototype: object = type.prototype;
    return this.scanner
      .getAllMethodNames(prototype)
      .map((name): unknown => Reflect.get(prototype, name))
      .filter(isMethod);
  }

  private checkLane(rules: { readonly lane?: string } | undefined, label: string): void {
    if (rules?.lane === undefined) return;
    try {
      this.cache.forLane(rules.lane);
    } catch (error) {
      if (!(error instanceof UnknownLaneError)) throw error;
      throw new UnknownLaneError(rules.lane, error.known, `@CacheResponse on ${label}`);
    }
  }

  private warnOfGuarded(routes: readonly Route[]): void {
    const undecided = routes.filter(
      ({ isCached, isGuarded, rules }) => isCached && isGuarded && rules.varyBy === undefined && rules.shared !== true,
    );
    this.warnOf(
      undecided.map(({ label }) => label),
      'guarded responses',
      (problems) =>
        `These routes have @CacheResponse behind a guard and do not say who asks, so their requests go past the cache: ${problems}. ` +
        'Add varyBy, which names who asks, or shared: true where all whom the guard lets in get the same answer. A guard that does not distinguish users, such as a throttler, belongs in responses.neutralGuards of LaneCacheModule.',
    );
  }

  /** Of a class with the decorator, the routes for other methods than GET are left alone as expected. */
  private warnOfUncacheable(controllers: readonly Class[]): void {
    const found = controllers.flatMap((type) => {
      const isOfClass = Reflect.hasMetadata(RESPONSE_RULES, type);
      return this.methodsOf(type)
        .filter(isHttp)
        .filter((method) => Reflect.hasMetadata(RESPONSE_RULES, method) || (isOfClass && isGetRoute(method)))
        .map((method) => this.routes.read(type, method));
    });
    const problems = found.flatMap(({ label, obstacle }) => (obstacle === undefined ? [] : `${label} ${obstacle}`));
    this.warnOf(
      problems,
      'uncacheable responses',
      (list) =>
        `@CacheResponse does nothing on these routes: ${list}. It caches what handlers for GET return. Remove it there, let the handler return its answer, or cache the method that computes it with @Cached.`,
    );
  }

  private warnOfUnkeyed(routes: readonly Route[]): void {
    this.warnOf(
      readers(routes, unkeyedInput),
      'unkeyed input of responses',
      (problems) =>
        `Handlers with @CacheResponse read what their keys do not depend on, so one caller may get what was made for another: ${problems}. ` +
        'Name headers in varyHeaders, return what distinguishes callers from varyBy, or say shared: true where the answer does not depend on it.',
    );
  }

  private warnOfLeftOut(routes: readonly Route[]): void {
    this.warnOf(
      readers(routes, leftOutInput),
      'input left out of the keys of responses',
      (problems) =>
        `Handlers with @CacheResponse read parts of the URL that the options 'key', 'query' or 'hosts' leave out of their keys, so requests that differ in them get one answer: ${problems}. ` +
        'Add them to the key, or let the handler do without them.',
    );
  }

  private warnOfOthers(decorated: readonly Decorated[]): void {
    const others = decorated.filter(({ type, method }) => {
      return !(method === undefined ? this.methodsOf(type).some(isHttp) : isHttp(method));
    });
    this.warnOf(
      others.map(({ type, method }) => labelOf(type, method)),
      'responses of other transports',
      (problems) =>
        `@CacheResponse does nothing on ${problems}: it caches routes of HTTP controllers. For GraphQL resolvers, message patterns and gateways use @Cached.`,
    );
  }

  /** One warning for all problems of a kind, if there are any. */
  private warnOf(problems: readonly string[], kind: string, text: (problems: string) => string): void {
    if (problems.length > 0) this.cache.warnOnce(kind, text([...new Set(problems)].toSorted().join(', ')));
  }
}

/** A class, or one of its methods, with the decorator. */
interface Decorated {
  readonly type: Class;
  readonly method: Method | undefined;
}

const labelOf = (type: Class, method: Method | undefined): string =>
  method === undefined ? type.name : `${type.name}.${method.name}`;

/** What each route reads of what `inputOf` names, such as `Pages.get reads the header 'x'`. */
const readers = (routes: readonly Route[], inputOf: (route: Route) => readonly string[]): readonly string[] =>
  routes.flatMap((route) => {
    const read = inputOf(route);
    return read.length === 0 ? [] : `${route.label} reads ${read.join(' and ')}`;
  });

/** What a cached route reads that its key does not depend on, in words. Personal headers keep answers apart anyway. */
function unkeyedInput({ rules, isCached, input, varyHeaders }: Route): readonly string[] {
  if (!isCached || rules.shared === true || rules.varyBy !== undefined || typeof rules.key === 'function') return [];
  const headers = input.headers
    .filter((name) => !varyHeaders.includes(name) && !PERSONAL_HEADERS.includes(name))
    .map((name) => (name === '*' ? 'all headers (@Headers())' : `the header '${name}' (@Headers)`));
  return input.readsIp ? [...headers, "the caller's address (@Ip)"] : headers;
}

/** What a cached route reads of its URL that its options leave out of the key, in words. A function may add anything. */
function leftOutInput({ rules, isCached, input, countsQuery }: Route): readonly string[] {
  const { key, hosts, varyBy } = rules;
  if (!isCached || typeof key === 'function' || varyBy !== undefined) return [];
  const isNamed = (part: string, name: string): boolean =>
    ['}', '.'].some((end) => key?.includes(`{${part}.${name}${end}`) === true);
  const params = key === undefined ? [] : input.params.filter((name) => !isNamed('params', name));
  const query = input.query.filter((name) => (key === undefined ? !countsQuery(name) : !isNamed('query', name)));
  return [
    ...(hosts === false && input.readsHost ? ['the host (@HostParam)'] : []),
    ...params.map((name) => `the parameter '${name}' (@Param)`),
    ...query.map((name) => `the query parameter '${name}' (@Query)`),
  ];
}

/** Throws DECORATOR_INVALID. */
function checkRules({ label, rules }: Route): void {
  const { clientMaxAge = 0, varyBy, varyHeaders = [] } = rules;
  const isKept = clientMaxAge !== false && toMilliseconds(clientMaxAge) > 0;
  if (!isKept || varyBy === undefined || varyHeaders.length > 0) return;
  throw new LaneCacheError(
    'DECORATOR_INVALID',
    `@CacheResponse on ${label}: clientMaxAge beside varyBy needs varyHeaders, the request headers by which clients can tell users apart, such as ['authorization']. Without them a client would show one user what it kept for another.`,
    { field: 'varyHeaders' },
  );
}

/** Keys begin with the names of class and method. Throws DECORATOR_INVALID for two routes whose keys may be equal. */
function checkNames(routes: readonly Route[]): void {
  for (const [index, route] of routes.entries()) {
    const other = routes.slice(0, index).find((each) => each.label === route.label && mayShareKeys(each, route));
    if (other === undefined) continue;
    throw new LaneCacheError(
      'DECORATOR_INVALID',
      `Two controllers have a route ${route.label} with @CacheResponse, and would answer for each other. Rename one of the classes, or let their keys differ by more than the request: key: 'admin:{params.id}'.`,
      { field: 'key' },
    );
  }
}

/** Without keys of their own two routes differ by their URLs, and by their hosts where these count. */
function mayShareKeys(a: Route, b: Route): boolean {
  const [one, other] = [a.rules.key, b.rules.key];
  if (one === undefined && other === undefined) {
    const isHostIgnored = a.rules.hosts === false && b.rules.hosts === false;
    return isHostIgnored && (a.isOfOneHost || b.isOfOneHost);
  }
  if (typeof one === 'function' || typeof other === 'function') return true;
  return mayRenderAlike(one ?? ANY_PATH, other ?? ANY_PATH);
}

/** What stands for the key of a route that has none: its path. */
const ANY_PATH = '/{path}';

/** Values may be any text, so that only what stands before the first one makes two templates differ. */
function mayRenderAlike(one: string, other: string): boolean {
  const begins = (text: string, template: string): boolean =>
    template.includes('{') && text.startsWith(fixedPart(template));
  return one === other || begins(fixedPart(one), other) || begins(fixedPart(other), one);
}

const fixedPart = (template: string): string => template.split('{', 1)[0] ?? '';

const isMethod = (value: unknown): value is Method => typeof value === 'function';
const isClass = (value: unknown): value is Class => typeof value === 'function' && typeof value.prototype === 'object';
