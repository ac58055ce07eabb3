import {
  type AnyAsyncMethod,
  type AnyHost,
  type AsyncMethod,
  type AsyncMethodDecorator,
  register,
} from './method-registry.js';
import type { CachedOptions } from './cached.decorator.js';
import { entryAdvice, resultRules } from './entry-advice.js';
import { methodDecorator } from './method-wrapper.js';
import { keySpec, OF_DECORATORS, readOptions } from './option-checks.js';
import { compileKey, compileTags, whyUnrendered, type KeySpec } from './specs.js';
import { reading, type Compute } from '../cache/call-options.js';
import { required, defineOptions } from '../options/options-shape.js';

/** The key under which a method's result is stored, and its rules. */
export interface CachePutOptions<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost> extends Pick<
  CachedOptions<M, C>,
  'lane' | 'ttl' | 'tags' | 'resultTags' | 'condition' | 'unless' | 'version'
> {
  /** A template such as `'user:{0.id}'`, or a function of the arguments. */
  readonly key: KeySpec<M, C>;
}

const CACHE_PUT_OPTIONS = defineOptions<CachePutOptions>(
  '@CachePut',
  { ...resultRules, version: reading.version, key: required(keySpec) },
  OF_DECORATORS,
);

/** Its result takes the place of the entry, although it is not stored. */
const unstored = (run: () => unknown): Compute<unknown> => {
  return (ctx) => {
    ctx.skipCache();
    return run();
  };
};

/**
 * Runs the method on every call and stores its result under `key`, replacing the entry.
 *
 * An invalidation while the method runs wins over the result. A method that fails leaves the entry as it is. A call
 * without a key (a template's value is missing) stores nothing. One without tags, or whose `condition` is false, removes the
 * entry. Throws DECORATOR_INVALID when the class is declared.
 *
 * @example
 * ```ts
 * class UserService {@CachePut({ key: 'user:{0.id}', ttl: '10m' })
 *   async save(user: { id: string; name: string }): Promise<{ id: string; name: string }> {
 *     return user; // as the database has it
 *   }
 * }
 * ```
 */
export function CachePut<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost>(
  given: CachePutOptions<NoInfer<M>, NoInfer<C>>,
): AsyncMethodDecorator<M, C> {
  return methodDecorator('@CachePut', (site) => {
    const options = readOptions(site, given, CACHE_PUT_OPTIONS);
    const key = compileKey(site, options.key, 'key');
    const tags = options.tags === undefined ? undefined : compileTags(site, options.tags);
    const [storesUnder] = key.templates;
    register({ site, lane: options.lane, storesUnder, templates: [...key.templates, ...(tags?.templates ?? [])] });
    return entryAdvice({
      site,
      rules: options,
      tags,
      keyOf: key.of,
      whyNoKey: (call) => whyUnrendered(key.templates, call) ?? 'its key function gave no text.',
      ask: (lane, at, compute, how) => lane.putComputed(at, compute, how),
      runPast: (lane, at, run) => lane.putComputed(at, unstored(run)),
    });
  });
}
