import { inspect } from 'node:util';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { nearestName } from '../errors/nearest-name.js';
import { DURATION_FORM, readDuration } from '../lanes/units.js';
import { decoratorError, siteLabel, type DecorationSite } from './method-registry.js';

const DURATIONS = ['ttl', 'grace', 'graceBackoff', 'softTimeout', 'hardTimeout', 'jitter', 'maxAge'] as const;
const FUNCTIONS = ['condition', 'unless', 'resultTags'] as const;
const NAMES = ['lane', 'name'] as const;

/** Checks the options of a decorator when the class is declared. Throws DECORATOR_INVALID or TTL_INVALID. */
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

/** A function among the options of a decorator. It takes the arguments of the decorated method. */
export type GivenFunction<R> = (this: never, ...args: never[]) => R;

/** Calls it with the arguments of a call. Their types are not checked at run time. */
export function callGiven<R>(given: GivenFunction<R>, args: readonly unknown[], host?: object): R {
  return Reflect.apply(given, host, args);
}
