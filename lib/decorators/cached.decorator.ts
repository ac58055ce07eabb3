import type { Duration } from '../lanes/units.js';
import type { LaneName } from '../lanes/policy.js';
import {
  type AnyAsyncMethod,
  type AnyHost,
  type AsyncMethod,
  type AsyncMethodDecorator,
  type CachedMethod,
  type DecorationSite,
  decoratorError,
  register,
  type WarmRule,
} from './method-registry.js';
import { DefaultKeys, MethodPrefix } from './keys.js';
import { entryAdvice, resultRules, type EntryRules } from './entry-advice.js';
import { methodDecorator } from './method-wrapper.js';
import { keySpec, OF_DECORATORS, readOptions } from './option-checks.js';
import { compileKey, compileTags, whyUnrendered, type Compiled, type KeySpec } from './specs.js';
import { unencodablePart } from '../entries/arguments.js';
import { entryRules } from '../cache/call-options.js';
import { count, fn, nonEmpty, defineOptions, required } from '../options/options-shape.js';

/**
 * How a method's results are cached. Freshness options, `isolation`, `schema` and `version` are those of `getOrSet`.
 */
export interface CachedOptions<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost> extends EntryRules<
  M,
  C
> {
  /** Default: `Class.method` and an encoding of all arguments. */
  readonly key?: KeySpec<M, C>;
  /**
   * The prefix of default keys instead of `Class.method`: for minified builds, and for two classes of one name.
   * An app in which two methods have the same prefix does not boot.
   */
  readonly name?: string;
  /** Calls that are computed after the app has begun to serve, and by cron. Not for providers that exist per request. */
  readonly warm?: WarmRule;
}

const WARM = defineOptions<WarmRule>(
  '@Cached',
  { args: required(fn), at: nonEmpty, concurrency: count },
  OF_DECORATORS,
);

const CACHED_OPTIONS = defineOptions<CachedOptions>(
  '@Cached',
  { ...resultRules, key: keySpec, name: nonEmpty, warm: WARM, ...entryRules },
  OF_DECORATORS,
);

const ADVICE =
  "Give the method a key that names what its result depends on, or list in 'types' the classes of arguments whose own fields are all that they hold.";

/**
 * Answers calls of a method from the cache: each distinct list of arguments is one entry.
 *
 * Works on providers and controllers of any scope, on subclasses, and for self-calls. Concurrent callers share one
 * computation. By default results are deeply frozen: `isolation: 'clone'` gives copies that can be changed.
 *
 * Instances that Nest did not create run uncached, with one warning per class. A REQUEST-scoped provider needs a `key`
 * that names what its result depends on. A call runs uncached, and is counted, if a function among the options throws
 * or returns a wrong value. Throws DECORATOR_INVALID or TTL_INVALID when the class is declared.
 *
 * @param given - The lane, or an object of options. Default: the app's lane.
 * @param ttl - Beside a lane: seconds, or a text such as `'10m'`. Default: the lane's.
 * @param tags - Beside a lane: templates such as `'customer:{0}'`.
 *
 * @example
 * ```ts
 * class ReportService {@Cached({ ttl: '10m', tags: ['customer:{0}'] })
 *   async report(customer: string, year: number): Promise<string> {
 *     return `${customer} ${year}`; // slow in real life
 *   }
 * }
 * ```
 */
export function Cached<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost>(
  given?: LaneName | CachedOptions<NoInfer<M>, NoInfer<C>>,
  ttl?: Duration,
  tags?: readonly string[],
): AsyncMethodDecorator<M, C> {
  const isPositional = typeof given !== 'object';
  const written = isPositional ? positional(given, ttl, tags) : given;
  return methodDecorator('@Cached', (site) => {
    if (!isPositional && (ttl ?? tags) !== undefined)
      throw decoratorError(site, 'takes a lane, a ttl and tags, or one object of options. Put all into the object.');
    const options = readOptions(site, written, CACHED_OPTIONS);
    const { templates, prefixFor, keyFor, whyNoKey } = keysOf(site, options);
    const tagged = options.tags === undefined ? undefined : compileTags(site, options.tags);
    register({
      site,
      lane: options.lane,
      templates: [...templates, ...(tagged?.templates ?? [])],
      cached: { prefixFor, keyFor, whyNoKey, warm: options.warm },
      storesUnder: templates[0],
    });
    return entryAdvice({
      site,
      rules: options,
      tags: tagged,
      keyOf: keyFor,
      whyNoKey,
      ask: (lane, at, compute, how) => lane.getOrSet(at, compute, how),
    });
  });
}

type MethodKeys = Pick<CachedMethod, 'prefixFor' | 'keyFor' | 'whyNoKey'> & Pick<Compiled<string>, 'templates'>;

/** Under which keys the calls of a method are cached. Throws DECORATOR_INVALID for a template that cannot be parsed. */
function keysOf(site: DecorationSite, { key: spec, name }: CachedOptions): MethodKeys {
  if (spec === undefined) {
    const prefix = new MethodPrefix(site, name);
    const keys = new DefaultKeys(prefix);
    return {
      templates: [],
      prefixFor: (type) => prefix.of(type),
      keyFor: ({ host, args }, listed) => keys.of(host.constructor, args, listed),
      whyNoKey: ({ args }, listed) => `${unencodablePart(args, listed)} ${ADVICE}`,
    };
  }
  const key = compileKey(site, spec, 'key');
  return {
    templates: key.templates,
    prefixFor: undefined,
    keyFor: (call) => key.of(call),
    whyNoKey: (call) => whyUnrendered(key.templates, call) ?? 'its key function gave no text.',
  };
}

function positional(
  lane: LaneName | undefined,
  ttl: Duration | undefined,
  tags: readonly string[] | undefined,
): CachedOptions {
  return {
    ...(lane === undefined ? {} : { lane }),
    ...(ttl === undefined ? {} : { ttl }),
    ...(tags === undefined ? {} : { tags }),
  };
}
