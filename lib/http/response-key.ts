import { createHash } from 'node:crypto';
import { RequestMethod, type ExecutionContext } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';
import { responseHandling, type ResponseHandling } from './exchange.js';
import type { Duration } from '../lanes/units.js';
import type { LaneName } from '../lanes/policy.js';

/** What the answer to a request depends on. */
export interface KeyParts {
  /** `Class.method` of the handler: versions and hosts of one URL may have one each. */
  readonly handler: string;
  readonly host: string;
  readonly url: string;
  readonly varyBy: readonly string[];
  /** Values of the headers that the route varies by, in its order. */
  readonly headers: readonly string[];
}

/** Longer names are hashed: they may be tokens. */
const LONGEST_NAME = 64;
/** Queries likewise, which a server may take in any length, where a key must not be longer than 64 KB. */
const LONGEST_URL = 8_192;

/** The key of a response. Headers are hashed, since they may be credentials. */
export function responseKey({ handler, host, url, varyBy, headers }: KeyParts): string {
  const names = varyBy.length === 0 ? '' : ` ${JSON.stringify(varyBy.map((name) => short(name, LONGEST_NAME)))}`;
  const hash = headers.length === 0 ? '' : ` ${hashed(JSON.stringify(headers))}`;
  return `http:${handler}:${host}${short(canonicalUrl(url), LONGEST_URL)}${names}${hash}`;
}

const short = (text: string, longest: number): string => (text.length > longest ? hashed(text) : text);

const hashed = (text: string): string => `#${createHash('sha256').update(text).digest('hex')}`;

/**
 * The URL with its query in order of names. What has one name, or one name before its brackets, keeps its order: it is
 * one list.
 */
export function canonicalUrl(url: string): string {
  const at = url.indexOf('?');
  if (at === -1) return url;
  const pairs = url
    .slice(at + 1)
    .split('&')
    .filter((pair) => pair !== '');
  if (pairs.length === 0) return url.slice(0, at);
  const named = pairs.map((pair) => ({ pair, name: nameOf(pair) }));
  const sorted = named.toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  return `${url.slice(0, at)}?${sorted.map(({ pair }) => pair).join('&')}`;
}

/** The name as query parsers read it. It can be written in several ways. */
function nameOf(pair: string): string {
  const name = (pair.split('=', 1)[0] ?? '').replaceAll('+', ' ');
  return decoded(name).replace(/\[.*$/s, '');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** As Nest notes what `@Get()` and its like, and `@Version()`, say. */
const METHOD = 'method';
const VERSION = '__version__';

type Class = ReturnType<ExecutionContext['getClass']>;
type Handler = ReturnType<ExecutionContext['getHandler']>;

/** A handler and how its answers are cached. */
export interface Route {
  /** `Class.method`, and the versions it is for: those of one URL may come from classes of one name. */
  readonly label: string;
  /** Whether the handler serves GET alone, and HEAD as GET without its body. */
  readonly isGet: boolean;
  readonly rules: CacheResponseOptions;
  readonly handling: ResponseHandling;
}

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
