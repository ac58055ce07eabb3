import type { LaneName } from '../lanes/policy.js';
import type { Duration } from '../lanes/units.js';

// oxlint-disable-next-line typescript/no-explicit-any -- the platform's request, whose type only the app knows
type PlatformRequest = any;

/** One name of who asks. `1`, `'1'` and `true` are different names. */
export type VaryName = string | number | boolean;

/** How the answers of a route, or of all routes of a controller, are cached. */
export interface CacheResponseOptions {
  /** Default: the app's lane. */
  readonly lane?: LaneName;
  /** Default: the lane's. `s-maxage` of the handler's `Cache-Control` may shorten it. 0 = not cached. */
  readonly ttl?: Duration;
  /** Templates such as `'page:{params.id}'`, or a function of the platform's request. */
  readonly tags?: readonly string[] | ((request: PlatformRequest) => readonly string[]);
  /**
   * Who asks: one name or several, made from the platform's request. Each of them has entries of its own. A name that
   * is missing, is empty, is no text, number or boolean, or takes longer than 1 s sends the request past the cache.
   */
  readonly varyBy?: (
    request: PlatformRequest,
  ) => VaryName | readonly VaryName[] | undefined | Promise<VaryName | readonly VaryName[] | undefined>;
  /** The answer is the same for all: also for requests with cookies or a user, and for all whom a guard lets in. */
  readonly shared?: boolean;
  /** Request headers that the answer depends on. `Vary` names them. */
  readonly varyHeaders?: readonly string[];
  /**
   * For how long clients may keep the answer without asking. Default 0: they ask each time (`private, no-cache` and an
   * `ETag`). It is `private` behind a guard and with `varyBy`, which then needs `varyHeaders`. false = no cache headers.
   */
  readonly clientMaxAge?: Duration | false;
  /** `no-cache` and `max-age` of a request ask the handler for a newer answer. Default false: clients cannot force it. */
  readonly clientRefresh?: boolean;
  /** Names of query parameters that count, or that do not. Patterns with `*` and `?`. Default: all count, in any order. */
  readonly query?: { readonly only?: readonly string[]; readonly ignore?: readonly string[] };
  /**
   * Default: the host of the request counts, with its port and as the app sees it behind a trusted proxy. Requests with
   * an invalid one go past the cache. A list: so do requests for other hosts. false = the host does not count.
   */
  readonly hosts?: readonly string[] | false;
  /** Statuses that are kept: a list (default [200]), or a ttl for each besides 200. HttpExceptions and redirects included. */
  readonly statuses?: readonly number[] | Readonly<Record<number, Duration>>;
  /** Stands for path and query in the key: a template such as `'page:{params.id}'`, or a function of the request. */
  readonly key?: string | ((request: PlatformRequest) => string);
  /** `Cache-Status` contains the key of the entry. Default false. */
  readonly showKey?: boolean;
}
