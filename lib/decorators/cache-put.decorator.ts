import { type AsyncMethodDecorator, decorationSite, decoratorError, register } from './method-registry.js';
import type { CachedOptions } from './cached.decorator.js';
import { entryAdvice } from './entry-advice.js';
import { wrapMethod } from './method-wrapper.js';
import { checkOptions } from './option-checks.js';
import { compileKey, compileTags, type KeySpec } from './specs.js';

/** Where a method's result is put, and for how long. */
export interface CachePutOptions extends Pick<
  CachedOptions,
  'lane' | 'ttl' | 'tags' | 'resultTags' | 'condition' | 'unless' | 'version'
> {
  readonly key: KeySpec;
}

const OPTIONS = ['lane', 'key', 'ttl', 'tags', 'resultTags', 'condition', 'unless', 'version'];

/**
 * Runs the method on every call and puts its result under `key`, in place of what was there.
 *
 * An invalidation that comes while the method runs still wins. A method that fails leaves the entry as it is; a call
 * without a key (a template's value is missing) puts nothing. Throws DECORATOR_INVALID when the class is declared.
 */
export function CachePut(options: CachePutOptions): AsyncMethodDecorator {
  return (target, method, descriptor) => {
    const site = decorationSite('@CachePut', target, method, descriptor);
    checkOptions(site, options, OPTIONS);
    if (options.key === undefined) throw decoratorError(site, 'needs a key: without one nothing could read the entry.');
    const key = compileKey(site, options.key, 'key');
    const tags = options.tags === undefined ? undefined : compileTags(site, options.tags);
    register({ site, lane: options.lane, templates: [...key.templates, ...(tags?.templates ?? [])] });
    const advice = entryAdvice({
      site,
      rules: options,
      tags,
      keyOf: ({ args }) => key.of(args),
      ask: (lane, at, compute, how) => lane.putComputed(at, compute, how),
    });
    return wrapMethod(site, descriptor, advice);
  };
}
