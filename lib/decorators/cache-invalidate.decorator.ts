import type { LaneManager } from '../cache/lane-manager.js';
import type { LaneName } from '../lanes/policy.js';
import {
  type AnyAsyncMethod,
  type AnyHost,
  type AsyncMethod,
  type AsyncMethodDecorator,
  decoratorError,
  siteLabel,
  type DecorationSite,
  type OfCall,
  register,
} from './method-registry.js';
import { callGiven, keySpec, OF_DECORATORS, readOptions, tagSpec } from './option-checks.js';
import { methodDecorator, type Advice, type MethodCall } from './method-wrapper.js';
import { compileKey, compileTags, whyUnrendered, type Compiled, type KeySpec, type TagSpec } from './specs.js';
import { checkKey } from '../cache/validate-call.js';
import { checkPattern } from '../entries/pattern.js';
import { checkTags } from '../entries/tags.js';
import { laneName } from '../lanes/lane-policy.js';
import { either, fn, listOf, oneOf, defineOptions } from '../options/options-shape.js';

/** What to invalidate when the method runs: at least one of `key`, `tags`, `pattern` and `all`. */
export interface CacheInvalidateOptions<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost> {
  /** The lane of `key`, `pattern` and `all`; tags reach every lane. Default: the app's lane. */
  readonly lane?: LaneName;
  /** Templates, or functions of the arguments. */
  readonly key?: KeySpec<M, C> | readonly KeySpec<M, C>[];
  /** Templates, or a function of the arguments. */
  readonly tags?: TagSpec<M, C>;
  /** `*` any run, `?` one character. In a template, `*` and `?` of a value match any one character. */
  readonly pattern?: KeySpec<M, C>;
  /** The whole lane. */
  readonly all?: true;
  /** after: only when the method succeeded, before its promise resolves. Default 'after'. */
  readonly when?: 'before' | 'after' | 'both';
  /** false = nothing is invalidated. */
  readonly condition?: OfCall<boolean, M, C>;
}

const CACHE_INVALIDATE_OPTIONS = defineOptions<CacheInvalidateOptions>(
  '@CacheInvalidate',
  {
    lane: laneName,
    key: either(keySpec, listOf(keySpec, 'texts and functions')),
    tags: tagSpec,
    pattern: keySpec,
    all: oneOf(true),
    when: oneOf('before', 'after', 'both'),
    condition: fn,
  },
  OF_DECORATORS,
);

interface Targets {
  readonly keys: readonly Compiled<string>[];
  readonly tags: Compiled<readonly string[]> | undefined;
  readonly pattern: Compiled<string> | undefined;
  readonly all: boolean;
}

/** One invalidation, bound to the arguments of a call. */
type Invalidation = () => Promise<unknown>;

/**
 * Invalidates entries before or after a method runs. A method may have several.
 *
 * Keys, tags and patterns are made from the arguments before the method runs. A template with a missing value is
 * skipped, with one warning, since no entry can have its key. A function that throws, or gives what is no key, tag or
 * pattern, rejects the call before the method runs. An invalidation that fails rejects the call. Throws
 * DECORATOR_INVALID when the class is declared.
 *
 * @example
 * ```ts
 * class ArticleService {@CacheInvalidate({ tags: ['page:{0}'] })
 *   async edit(id: string, text: string): Promise<void> {
 *     // writes to the database
 *   }
 * }
 * ```
 */
export function CacheInvalidate<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost>(
  given: CacheInvalidateOptions<NoInfer<M>, NoInfer<C>>,
): AsyncMethodDecorator<M, C> {
  return methodDecorator('@CacheInvalidate', (site) => {
    const options = readOptions(site, given, CACHE_INVALIDATE_OPTIONS);
    const targets = compileTargets(site, options);
    const { lane } = options;
    const templates = [...targets.keys, targets.tags, targets.pattern].flatMap((each) => each?.templates ?? []);
    // a template without arguments is intended here: every call invalidates the same
    register({ site, lane, templates: templates.filter((template) => template.arguments.length > 0) });
    return invalidateAround(site, options, targets);
  });
}

function compileTargets(site: DecorationSite, options: CacheInvalidateOptions): Targets {
  const { key, tags, pattern, all } = options;
  if (key === undefined && tags === undefined && pattern === undefined && all !== true) {
    throw decoratorError(site, 'names nothing to invalidate. Give key, tags, pattern or all: true.');
  }
  const keys: readonly KeySpec[] = key === undefined ? [] : isList(key) ? key : [key];
  return {
    keys: keys.map((each) => compileKey(site, each, 'key')),
    tags: tags === undefined ? undefined : compileTags(site, tags),
    pattern: pattern === undefined ? undefined : compileKey(site, pattern, 'pattern'),
    all: all === true,
  };
}

const isList = (key: KeySpec | readonly KeySpec[]): key is readonly KeySpec[] => Array.isArray(key);

function invalidateAround(site: DecorationSite, options: CacheInvalidateOptions, targets: Targets): Advice {
  const { lane, when = 'after', condition } = options;
  return async (manager, call) => {
    if (condition !== undefined && !callGiven(condition, call.args, call.host)) return call.run();
    const cache = lane === undefined ? manager : manager.forLane(lane);
    const invalidations = bind(site, targets, cache, call);
    if (when !== 'after') await all(invalidations);
    const result = await call.run();
    if (when !== 'before') await all(invalidations);
    return result;
  };
}

const all = (invalidations: readonly Invalidation[]) => Promise.all(invalidations.map((invalidate) => invalidate()));

function bind(site: DecorationSite, targets: Targets, cache: LaneManager, call: MethodCall): readonly Invalidation[] {
  const bound: Invalidation[] = [];
  // Subjects are checked here, because a call must not fail for them after the method has run.
  const add = <T>(compiled: Compiled<T> | undefined, prepare: (subject: T | undefined) => Invalidation) => {
    if (compiled === undefined) return;
    const subject = compiled.of(call);
    if (subject === undefined && compiled.isTemplate) warnSkipped(site, cache, whyUnrendered(compiled.templates, call));
    else bound.push(prepare(subject));
  };
  for (const each of targets.keys) {
    add(each, (subject) => {
      const key = checkKey(subject, cache.lane);
      return () => cache.invalidate(key);
    });
  }
  add(targets.tags, (subject) => {
    const tags = checkTags(subject, cache.lane);
    return () => cache.invalidateByTag(...tags);
  });
  add(targets.pattern, (subject) => {
    const text = checkPattern(subject);
    return () => cache.invalidateByPattern(text);
  });
  if (targets.all) bound.push(() => cache.clearAll());
  return bound;
}

function warnSkipped(site: DecorationSite, cache: LaneManager, why = 'a function gave nothing.'): void {
  const label = siteLabel(site);
  cache.warnOnce(label, `${label} had nothing to invalidate: ${why}`);
}
