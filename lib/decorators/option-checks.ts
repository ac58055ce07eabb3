import { inspect } from 'node:util';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { nearestName } from '../errors/nearest-name.js';
import { DURATION_FORM, readDuration, type Duration } from '../lanes/units.js';
import { decoratorError, siteLabel, type DecorationSite } from './method-registry.js';
import type { FlightContext } from '../cache/in-flight/computation.js';
import type { Compute, ComputeContext } from '../cache/call-options.js';
import type { MethodCall } from './method-wrapper.js';

const DURATIONS = ['ttl', 'grace', 'graceBackoff', 'softTimeout', 'hardTimeout', 'jitter', 'maxAge'] as const;
const FUNCTIONS = ['condition', 'unless', 'resultTags'] as const;
const NAMES = ['lane', 'name'] as const;

/** What a decorator was given is looked at when the class is declared, not when the method is first called. */
export function checkOptions(site: DecorationSite, given: object, known: readonly string[]): void {
  const options: ReadonlyMap<string, unknown> = new Map(Object.entries(given));
  for (const name of options.keys()) {
    if (known.includes(name)) continue;
    const nearest = nearestName(name, known);
    const hint = nearest === undefined ? `Known options: ${known.join(', ')}.` : `Did you mean '${nearest}'?`;
    throw decoratorError(site, `there is no option '${name}'. ${hint}`);
  }
  for (const name of NAMES) {
    const value = options.get(name);
    if (value !== undefined && (typeof value !== 'string' || value === '')) {
      throw decoratorError(site, `${name} must be a text that isn't empty.`);
    }
  }
  for (const name of FUNCTIONS) {
    if (options.get(name) !== undefined && typeof options.get(name) !== 'function') {
      throw decoratorError(site, `${name} must be a function.`);
    }
  }
  for (const name of DURATIONS) checkDuration(site, name, options.get(name));
}

function checkDuration(site: DecorationSite, field: string, value: unknown): void {
  if (value === undefined || typeof value === 'function' || readDuration(value) !== undefined) return;
  const message = `${siteLabel(site)}: the ${field} is ${inspect(value)}. Give ${DURATION_FORM}.`;
  throw new LaneCacheError('TTL_INVALID', message, { field });
}

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
