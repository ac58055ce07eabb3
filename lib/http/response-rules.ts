import type { Duration } from '../lanes/duration.js';
import type { LaneName } from '../lanes/policy.js';

/** How the answers of a route, or of all routes of a controller, are cached. */
export interface CacheResponseOptions {
  /** Default: the app's lane. */
  readonly lane?: LaneName;
  /** Default: the lane's. What the handler says by `Cache-Control` may shorten it. 0 = not cached. */
  readonly ttl?: Duration;
  /** As they are, or made from the platform's request. */
  readonly tags?: readonly string[] | ((request: never) => readonly string[]);
  /**
   * Who or what the answer depends on, made from the platform's request. Requests that carry an `Authorization`
   * header, a cookie or a user are answered past the cache unless it names who they are for.
   */
  readonly varyBy?: (request: never) => string | readonly string[] | undefined;
  /** Request headers that the answer depends on; also said by `Vary`. */
  readonly varyHeaders?: readonly string[];
}

/** Under which the options stand on a method or class. */
export const RESPONSE_RULES = 'nestjs-lane-cache:response';
