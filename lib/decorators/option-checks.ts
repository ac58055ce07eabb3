import type { Duration } from '../lanes/units.js';
import { either, fn, text, texts } from '../options/kinds.js';
import type { OptionsShape } from '../options/options-shape.js';
import { siteLabel, type DecorationSite } from './method-registry.js';
import type { FlightContext } from '../cache/in-flight/computation.js';
import type { Compute, ComputeContext } from '../cache/call-options.js';
import type { MethodCall } from './method-wrapper.js';

/** Errors about what a decorator was given come when the class is declared, not when the method is first called. */
export const OF_DECORATORS = { code: 'DECORATOR_INVALID' } as const;

/** What a decorator was given, by its shape. Throws DECORATOR_INVALID or TTL_INVALID. */
export function readOptions<T extends object>(site: DecorationSite, given: unknown, shape: OptionsShape<T>): T {
  return shape.read(given ?? null, { whose: siteLabel(site) });
}

/** A template, or a function of the arguments. */
export const keySpec = either(text, fn);
export const tagSpec = either(texts, fn);

/** A function among a decorator's options. It takes the arguments of the decorated method. */
export type GivenFunction<R> = (this: never, ...args: never[]) => R;

/** Calls it with the arguments of a call. Their types are not checked at run time. */
export function callGiven<R>(given: GivenFunction<R>, args: readonly unknown[], host?: object): R {
  return Reflect.apply(given, host, args);
}

/** What a decorator decides once it knows the result. */
export interface ResultRules {
  /** true = the result is not stored (refused 'unless'). */
  readonly unless?: (result: never, ...args: never[]) => boolean;
  /** Tags beside those of the arguments. */
  readonly resultTags?: (result: never, ...args: never[]) => readonly string[];
  /** How long this result lives. */
  readonly ttl?: Duration | ((result: never, ...args: never[]) => Duration);
}

/** Makes a call's method a computation of the cache, with the rules applied to what it returns. */
export function computeWith(rules: ResultRules): (call: MethodCall) => Compute<unknown> {
  const { unless, resultTags, ttl } = rules;
  if (unless === undefined && resultTags === undefined && typeof ttl !== 'function') return (call) => call.run;
  return (call) => async (context) => {
    const result = await call.run();
    const given = [result, ...call.args];
    if (unless !== undefined && callGiven(unless, given)) refuse(context);
    if (resultTags !== undefined) context.setTags(callGiven(resultTags, given));
    if (typeof ttl === 'function') context.setTtl(callGiven(ttl, given));
    return result;
  };
}

function refuse(context: ComputeContext): void {
  if (isFlight(context)) context.refuse('unless');
  else context.skipCache();
}

const isFlight = (context: ComputeContext): context is FlightContext => 'refuse' in context;
