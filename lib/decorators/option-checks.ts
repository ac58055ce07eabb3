import { ignoreRejection, isThenable } from '../clock/promises.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { either, fn, text, texts, type OptionsShape } from '../options/options-shape.js';
import { siteLabel, type DecorationSite } from './method-registry.js';

/** Errors about what a decorator was given come when the class is declared, not when the method is first called. */
export const OF_DECORATORS = { code: 'DECORATOR_INVALID' } as const;

/** Reads the options of a decorator by their shape. Throws DECORATOR_INVALID or TTL_INVALID. */
export function readOptions<T extends object>(site: DecorationSite, given: unknown, shape: OptionsShape<T>): T {
  return shape.read(given ?? null, { whose: siteLabel(site) });
}

/** A template, or a function of the arguments. */
export const keySpec = either(text, fn);
export const tagSpec = either(texts, fn);

/** A function among the options of a decorator. It takes the arguments of the decorated method. */
export type GivenFunction<R> = (this: never, ...args: never[]) => R;

/**
 * Calls it with the arguments of a call. Throws what it throws. The types of its arguments and of its answer are not
 * checked at run time, except that it must not return a promise, for which nobody would wait.
 */
export function callGiven<R>(given: GivenFunction<R>, args: readonly unknown[], host: object): R {
  const answer: R = Reflect.apply(given, host, args);
  if (typeof answer !== 'object' || answer === null || !isThenable(answer)) return answer;
  ignoreRejection(answer);
  throw new LaneCacheError(
    'DECORATOR_INVALID',
    'A function among the options of a decorator returned a promise. It must return its answer at once.',
  );
}
