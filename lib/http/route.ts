import 'reflect-metadata';
import { RequestMethod, VERSION_NEUTRAL, type ExecutionContext } from '@nestjs/common';
import type { ApplicationConfig, Reflector } from '@nestjs/core';
import { KeyPattern } from '../entries/pattern.js';
import { type Duration, toMilliseconds } from '../lanes/units.js';
import type { CacheResponseOptions } from './cache-response-options.js';
import { type RequestTags, requestTags, type RequestText, requestText } from './request-templates.js';

// Decides from a handler's decorators how its responses are cached, and whether they can be.

/** The metadata key of the options on a method or class. */
export const RESPONSE_RULES = 'nestjs-lane-cache:response';

type Class = ReturnType<ExecutionContext['getClass']>;
type Handler = ReturnType<ExecutionContext['getHandler']>;

/** What the module is configured with for responses. */
export interface ResponseSettings {
  /** Classes of guards that do not distinguish users. */
  readonly neutralGuards: readonly object[];
  /** Whether a global interceptor also caches routes without `@CacheResponse`. */
  readonly undecorated: boolean;
}

/** The injection token of the settings. */
export const RESPONSE_SETTINGS = Symbol.for('nestjs-lane-cache.responses');

type ExceptionType = new (...args: never[]) => unknown;

/** What a handler reads of a request by decorators of its parameters. */
export interface HandlerInput {
  /** Names of headers in lower case. `*` = all of them. */
  readonly headers: readonly string[];
  readonly readsIp: boolean;
  readonly readsHost: boolean;
  /** Names of parameters of the path, and of the query, that are read one by one. */
  readonly params: readonly string[];
  readonly query: readonly string[];
}

/** A handler and how its answers are cached. */
export interface Route {
  /** `Class.method` and the versions it serves: classes of one name may serve different versions of one URL. */
  readonly label: string;
  readonly rules: CacheResponseOptions;
  /** Whether its answers are cached at all. */
  readonly isCached: boolean;
  /** In milliseconds. Undefined = that of the lane. */
  readonly ttlMs: number | undefined;
  /** Whether its controller answers for certain hosts only. */
  readonly isOfOneHost: boolean;
  /** Whether a guard may tell users apart before the handler runs. */
  readonly isGuarded: boolean;
  /** Why nothing that the handler makes can be cached, to complete 'the handler …'. */
  readonly obstacle: string | undefined;
  readonly input: HandlerInput;
  /** Whether the handler injects the response, and may set headers and status. */
  readonly injectsResponse: boolean;
  /** Whether the handler, or an interceptor between it and the cache, may set headers and status. */
  readonly mayChangeResponse: boolean;
  /** Whether another interceptor may change the body after the cache. */
  readonly hasOuterInterceptors: boolean;
  /** The classes of exceptions that filters of the route name. */
  readonly caught: readonly ExceptionType[];
  /** The status of `@Redirect()`. Undefined where Nest sends what the handler returns. */
  readonly redirectStatus: number | undefined;
  /** The ttl of each status that is kept, in milliseconds. Undefined = that of the route. */
  readonly statuses: ReadonlyMap<number, number | undefined>;
  /** The request headers that the answer depends on, in lower case. `Vary` names them. */
  readonly varyHeaders: readonly string[];
  /** What `Vary` names besides: the header of the version, and what makes a request personal. */
  readonly alsoVaries: readonly string[];
  readonly countsQuery: (name: string) => boolean;
  readonly key: RequestText | undefined;
  readonly tags: RequestTags | undefined;
  /** The version that a request asks for, of a route that serves several. */
  readonly versionOf: ((request: object) => string | undefined) | undefined;
}

// Nest's own metadata keys.
const METHOD = 'method';
const VERSION = '__version__';
const HOST = 'host';
const GUARDS = '__guards__';
const INTERCEPTORS = '__interceptors__';
const FILTERS = '__exceptionFilters__';
const CAUGHT = '__filterCatchExceptions__';
const ROUTE_ARGUMENTS = '__routeArguments__';
const PASSTHROUGH = '__responsePassthrough__';
const REDIRECT = '__redirect__';
/** Handlers with one of these do not send their result as it is. */
const SSE = '__sse__';
const TEMPLATE = '__renderTemplate__';
const OTHERWISE_SENT = [SSE, TEMPLATE];
/** Nest's numbers of the parameter decorators `@Res()` and `@Next()`. */
const RESPONSE = 1;
const NEXT = 2;
/** Nest's numbers of the decorators of what a handler reads. */
const QUERY = 4;
const PARAM = 5;
const HEADERS = 6;
const HOST_PARAM = 10;
const IP = 11;
export const PERSONAL_HEADERS = ['authorization', 'cookie'];

/** Reads routes, each once. `interceptor` is the class of the caching interceptor. */
export class RouteReader {
  private readonly routes = new WeakMap<object, Map<object, Route>>();

  constructor(
    private readonly reflector: Reflector,
    private readonly config: ApplicationConfig,
    private readonly settings: ResponseSettings,
    private readonly interceptor: object,
  ) {}

  /** Throws DECORATOR_INVALID for rules that contradict each other. */
  read(type: Class, handler: Handler): Route {
    const routes = this.routes.get(type) ?? new Map<object, Route>();
    this.routes.set(type, routes);
    const route = routes.get(handler) ?? this.build(type, handler);
    routes.set(handler, route);
    return route;
  }

  private build(type: Class, handler: Handler): Route {
    const rules = this.rulesOf(type, handler);
    const versions = this.versionsOf(type, handler);
    const label = [`${type.name}.${String(methodName(type, handler))}`, ...versions.map(String)].join('@');
    const sending = sendingOf(type, handler);
    const bound = this.interceptorsOf(type, handler).map(classOf);
    const statuses = statusesOf(rules);
    const isKept = sending.redirectStatus === undefined || [...statuses.keys()].some(isRedirect);
    const ttlMs = rules.ttl === undefined ? undefined : toMilliseconds(rules.ttl);
    return {
      label,
      rules,
      ttlMs,
      isCached: sending.isNests && isKept && ttlMs !== 0 && this.isChosen(type, handler),
      isOfOneHost: Reflect.getMetadata(HOST, type) !== undefined,
      isGuarded: this.isGuarded(type, handler),
      obstacle: obstacleOf(handler, sending),
      input: sending.input,
      injectsResponse: sending.injectsResponse,
      mayChangeResponse: sending.injectsResponse || bound.at(-1) !== this.interceptor,
      hasOuterInterceptors: bound[0] !== this.interceptor,
      caught: this.caughtBy(type, handler),
      redirectStatus: sending.redirectStatus,
      statuses,
      varyHeaders: (rules.varyHeaders ?? []).map((name) => name.toLowerCase()),
      alsoVaries: [...this.versionHeaders(), ...(rules.shared === true ? [] : PERSONAL_HEADERS)],
      countsQuery: countedQuery(rules.query),
      key: rules.key === undefined ? undefined : requestText(rules.key),
      tags: rules.tags === undefined ? undefined : requestTags(rules.tags),
      versionOf: versions.length > 1 ? this.requestedVersion(versions) : undefined,
    };
  }

  /** Options of a method win over those of its class, and so does what it says about who asks. */
  private rulesOf(type: Class, handler: Handler): CacheResponseOptions {
    const ofClass = this.reflector.get<CacheResponseOptions | undefined>(RESPONSE_RULES, type);
    const ofMethod = this.reflector.get<CacheResponseOptions | undefined>(RESPONSE_RULES, handler);
    const rules = { ...ofClass, ...ofMethod };
    if (rules.varyBy === undefined || rules.shared !== true) return rules;
    const { varyBy: _varyBy, shared: _shared, ...others } = rules;
    return ofMethod?.shared === true ? { ...others, shared: true } : { ...others, varyBy: rules.varyBy };
  }

  private isChosen(type: Class, handler: Handler): boolean {
    if (this.settings.undecorated || isDecorated(type) || isDecorated(handler)) return true;
    return [...metadataList(INTERCEPTORS, type), ...metadataList(INTERCEPTORS, handler)].includes(this.interceptor);
  }

  private isGuarded(type: Class, handler: Handler): boolean {
    const guards: readonly unknown[] = [
      ...this.config.getGlobalGuards(),
      ...this.config.getGlobalRequestGuards().map(({ metatype }) => metatype),
      ...metadataList(GUARDS, type),
      ...metadataList(GUARDS, handler),
    ];
    return guards.some((guard) => !this.settings.neutralGuards.some((neutral) => neutral === classOf(guard)));
  }

  /** From the outermost to the innermost. */
  private interceptorsOf(type: Class, handler: Handler): readonly unknown[] {
    return [
      ...this.config.getGlobalInterceptors(),
      ...this.config.getGlobalRequestInterceptors().map(({ metatype }) => metatype),
      ...metadataList(INTERCEPTORS, type),
      ...metadataList(INTERCEPTORS, handler),
    ];
  }

  private caughtBy(type: Class, handler: Handler): readonly ExceptionType[] {
    const filters: readonly unknown[] = [
      ...this.config.getGlobalFilters(),
      ...this.config.getGlobalRequestFilters().map(({ metatype }) => metatype),
      ...metadataList(FILTERS, type),
      ...metadataList(FILTERS, handler),
    ];
    const classes = filters.map(classOf).filter(isClass);
    return classes.flatMap((filter) => metadataList(CAUGHT, filter)).filter(isClass);
  }

  private versionsOf(type: Class, handler: Handler): readonly unknown[] {
    const versioning = this.config.getVersioning();
    const version: unknown =
      this.reflector.getAllAndOverride(VERSION, [handler, type]) ??
      (versioning !== undefined && 'defaultVersion' in versioning ? versioning.defaultVersion : undefined);
    if (version === undefined) return [];
    return Array.isArray(version) ? version : [version];
  }

  private versioning(): VersioningView | undefined {
    return this.config.getVersioning() as VersioningView | undefined;
  }

  /** What every answer depends on while Nest chooses the handler by a header. */
  private versionHeaders(): readonly string[] {
    const versioning = this.versioning();
    if (versioning?.header !== undefined) return [versioning.header.toLowerCase()];
    return versioning?.key === undefined ? [] : ['accept'];
  }

  /** Nest reads the version anew for each handler, and hands the handler no version. */
  private requestedVersion(served: readonly unknown[]): Route['versionOf'] {
    const { header, key, extractor } = this.versioning() ?? {};
    const asked = (request: object): unknown => {
      if (extractor !== undefined) return extractor(request);
      const name = header?.toLowerCase() ?? (key === undefined ? undefined : 'accept');
      const value: unknown = name === undefined ? undefined : Reflect.get(headersOf(request), name);
      return key === undefined || typeof value !== 'string' ? value : mediaTypeVersion(value, key);
    };
    return (request) => {
      const versions = [asked(request)].flat().map((version) => (typeof version === 'string' ? version.trim() : ''));
      return (
        versions.find((version) => served.includes(version)) ?? (served.includes(VERSION_NEUTRAL) ? '' : undefined)
      );
    };
  }
}

/** The options of Nest's versioning, of which each type has one. */
interface VersioningView {
  readonly header?: string;
  readonly key?: string;
  readonly extractor?: (request: unknown) => unknown;
}

/** The version among the parameters of an `Accept` header, as Nest reads it. */
function mediaTypeVersion(accept: string, key: string): string | undefined {
  const parameter = accept
    .split(/[,;]/)
    .map((part) => part.trim())
    .find((part) => part.startsWith(key));
  return parameter?.slice(key.length).replace(/^"(.*)"$/, '$1');
}

const headersOf = (request: object): object => Object(Reflect.get(request, 'headers'));

const isDecorated = (target: object): boolean => Reflect.hasMetadata(RESPONSE_RULES, target);

function metadataList(name: string, target: object): readonly unknown[] {
  const found: unknown = Reflect.getMetadata(name, target);
  return Array.isArray(found) ? found : [];
}

const isClass = (value: unknown): value is ExceptionType => typeof value === 'function';

/** The class of a guard, filter or interceptor that is bound as a class or as an instance. */
function classOf(bound: unknown): unknown {
  return typeof bound === 'object' && bound !== null ? bound.constructor : bound;
}

/** How what a handler makes is sent. */
interface Sending {
  /** Nest sends what the handler returns. */
  readonly isNests: boolean;
  readonly injectsResponse: boolean;
  readonly redirectStatus: number | undefined;
  readonly input: HandlerInput;
}

const FOUND = 302;
/** The handler may choose another one than the decorator. */
const isRedirect = (status: number): boolean => status >= 300 && status < 400;

function sendingOf(type: Class, handler: Handler): Sending {
  const method = methodName(type, handler);
  const parameters: object = Reflect.getMetadata(ROUTE_ARGUMENTS, type, method) ?? {};
  const kinds = Object.keys(parameters).map((name) => Number(name.split(':')[0]));
  const injectsResponse = kinds.includes(RESPONSE) || kinds.includes(NEXT);
  const isPassedThrough = Reflect.getMetadata(PASSTHROUGH, type, method) === true;
  const isSentOtherwise = OTHERWISE_SENT.some((key) => Reflect.hasMetadata(key, handler));
  const redirect: { readonly statusCode?: number } | undefined = Reflect.getMetadata(REDIRECT, handler);
  return {
    isNests: !isSentOtherwise && (!injectsResponse || isPassedThrough),
    injectsResponse,
    redirectStatus: redirect === undefined ? undefined : (redirect.statusCode ?? FOUND),
    input: handlerInput(parameters),
  };
}

/** From Nest's metadata of a handler's parameters. */
function handlerInput(parameters: object): HandlerInput {
  const read = Object.entries(parameters).map(([name, { data }]: [string, { readonly data?: unknown }]) => {
    return [Number(name.split(':')[0]), typeof data === 'string' ? data : '*'] as const;
  });
  const namesOf = (kind: number): readonly string[] => read.filter(([each]) => each === kind).map(([, name]) => name);
  const single = (kind: number): readonly string[] => namesOf(kind).filter((name) => name !== '*');
  return {
    headers: namesOf(HEADERS).map((name) => name.toLowerCase()),
    readsIp: namesOf(IP).length > 0,
    readsHost: namesOf(HOST_PARAM).length > 0,
    params: single(PARAM),
    query: single(QUERY),
  };
}

function obstacleOf(handler: Handler, { isNests }: Sending): string | undefined {
  if (!isGetRoute(handler)) return 'does not serve GET';
  if (isNests) return undefined;
  if (Reflect.hasMetadata(SSE, handler)) return 'sends events (@Sse)';
  if (Reflect.hasMetadata(TEMPLATE, handler)) return 'renders a template (@Render)';
  return 'sends the response itself (@Res or @Next without passthrough)';
}

/** The name of the handler in its class, which the function's own `name` need not be. */
function methodName(type: Class, handler: Handler): string | symbol {
  for (let at: unknown = type.prototype; typeof at === 'object' && at !== null; at = Object.getPrototypeOf(at)) {
    const holder: object = at;
    const name = Reflect.ownKeys(holder).find((key) => Object.getOwnPropertyDescriptor(holder, key)?.value === handler);
    if (name !== undefined) return name;
  }
  return handler.name;
}

const OK = 200;

function statusesOf({ statuses = [OK] }: CacheResponseOptions): Route['statuses'] {
  if (isList(statuses)) return new Map(statuses.map((status) => [status, undefined]));
  const own = Object.entries<Duration>(statuses).map(([status, ttl]) => [Number(status), toMilliseconds(ttl)] as const);
  return new Map<number, number | undefined>([[OK, undefined], ...own]);
}

const isList = (statuses: NonNullable<CacheResponseOptions['statuses']>): statuses is readonly number[] =>
  Array.isArray(statuses);

function countedQuery(query: CacheResponseOptions['query']): Route['countsQuery'] {
  const patterns = (query?.only ?? query?.ignore ?? []).map((pattern) => new KeyPattern(pattern));
  if (query?.only !== undefined) return (name) => patterns.some((pattern) => pattern.matches(name));
  return (name) => !patterns.some((pattern) => pattern.matches(name));
}

/** Whether a method of a controller is a route that serves GET. */
export function isGetRoute(handler: object): boolean {
  const method: unknown = Reflect.getMetadata(METHOD, handler);
  return method === RequestMethod.GET || method === RequestMethod.ALL;
}

/** Whether a method is a route of HTTP. */
export const isHttp = (method: object): boolean => Reflect.hasMetadata('path', method);
