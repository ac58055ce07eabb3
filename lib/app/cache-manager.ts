import { LaneManager } from '../cache/lane-manager.js';
import type { ManagerContext } from '../cache/manager-context.js';
import type { LaneContext } from '../cache/lane-context.js';
import { cachedKeyFor } from '../decorators/keys.js';
import { createLaneCache } from './cache-app.js';
import type { LaneCacheOptions } from './options.js';
import type { LaneName } from '../lanes/policy.js';

/** The arguments of a method. */
type ArgumentsOf<F> = F extends (...args: infer A) => unknown ? A : never;

/** The cache as an app uses it: one lane of it, from which the others can be reached. */
export class CacheManager extends LaneManager {
  /**
   * A cache without Nest. `settings` is the name of a lane, or options. Opens the directory; a directory that fails
   * turns tiers off, and does not reject. Rejects with LaneCacheError on bad settings.
   */
  static async fromSettings(settings?: LaneName | LaneCacheOptions): Promise<CacheManager> {
    const app = await createLaneCache(settings, makeCacheManager);
    app.cleanup.plan();
    return app.manager();
  }

  /** The key that `@Cached` without `key` uses for this call. Throws DECORATOR_INVALID if the method is not `@Cached`. */
  keyFor<C extends object, M extends keyof C & string>(
    type: abstract new (...args: never[]) => C,
    method: M,
    args: ArgumentsOf<C[M]>,
  ): string {
    return cachedKeyFor(type, method, args);
  }
}

/** @internal */
export const makeCacheManager = (space: LaneContext, shared: ManagerContext): CacheManager =>
  new CacheManager(space, shared);
