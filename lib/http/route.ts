import 'reflect-metadata';
import { RequestMethod, type ExecutionContext } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';
import type { LaneName } from '../lanes/policy.js';
import type { Duration } from '../lanes/units.js';

// Decides from a handler's decorators how its responses are cached, and whether they can be.

/** How the answers of a route, or of all routes of a controller, are cached. */
export interface CacheResponseOptions {
  /** Default: the app's lane. */
  readonly lane?: LaneName;
  /** Default: the lane's. The handler's `Cache-Control` may shorten it. 0 = not cached. */
  readonly ttl?: Duration;
  /** As they are, or made from the platform's request. */
  readonly tags?: readonly string[] | ((request: never) => readonly string[]);
  /**
   * Who or what the answer depends on, made from the platform's request. Requests that carry an `Authorization`
   * header, a cookie or a user go past the cache unless it names the user.
   */
  readonly varyBy?: (request: never) => string | readonly string[] | undefined;
  /** Request headers that the answer depends on. `Vary` names them. */
  readonly varyHeaders?: readonly string[];
}

/** The metadata key of the options on a method or class. */
export const RESPONSE_RULES = 'nestjs-lane-cache:response';

type Class = ReturnType<ExecutionContext['getClass']>;
type Handler = ReturnType<ExecutionContext['getHandler']>;

/** A handler and how its answers are cached. */
export interface Route {
  /** `Class.method` and the versions it serves: classes of one name may serve different versions of one URL. */
  readonly label: string;
  /** Whether the handler is declared for GET; it then serves HEAD as GET without a body. */
  readonly isGet: boolean;
  readonly rules: CacheResponseOptions;
  readonly handling: ResponseHandling;
}

/** What a handler does with the platform's response. */
interface ResponseHandling {
  /** Nest sends what the handler returns. */
  readonly isNests: boolean;
  /** The handler injects the response, and may set headers and status. */
  readonly isInjected: boolean;
}

// Nest's own metadata keys.
const METHOD = 'method';
const VERSION = '__version__';
const ROUTE_ARGUMENTS = '__routeArguments__';
const PASSTHROUGH = '__responsePassthrough__';
/** Handlers with one of these do not send their result as it is. */
const OTHERWISE_SENT = ['__sse__', '__renderTemplate__', '__redirect__'];
/** Nest's numbers of the parameter decorators `@Res()` and `@Next()`. */
const RESPONSE = 1;
const NEXT = 2;

/** Options of a method win over those of its class. */
export function readRoute(reflector: Reflector, type: Class, handler: Handler): Route {
  const version: unknown = reflector.getAllAndOverride(VERSION, [handler, type]);
  const versions: readonly unknown[] = version === undefined || Array.isArray(version) ? (version ?? []) : [version];
  return {
    label: [`${type.name}.${handler.name}`, ...versions.map(String)].join('@'),
    isGet: reflector.get(METHOD, handler) === RequestMethod.GET,
    rules: {
      ...reflector.get<CacheResponseOptions | undefined>(RESPONSE_RULES, type),
      ...reflector.get<CacheResponseOptions | undefined>(RESPONSE_RULES, handler),
    },
    handling: responseHandling(type, handler),
  };
}

function responseHandling(type: Class, handler: Handler): ResponseHandling {
  const method = methodName(type, handler);
  const parameters: object = Reflect.getMetadata(ROUTE_ARGUMENTS, type, method) ?? {};
  const kinds = Object.keys(parameters).map((name) => Number(name.split(':')[0]));
  const isInjected = kinds.includes(RESPONSE) || kinds.includes(NEXT);
  const isPassedThrough = Reflect.getMetadata(PASSTHROUGH, type, method) === true;
  const isSentOtherwise = OTHERWISE_SENT.some((key) => Reflect.hasMetadata(key, handler));
  return { isNests: !isSentOtherwise && (!isInjected || isPassedThrough), isInjected };
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
