import { LaneCacheError } from '../errors/lane-cache.error.js';
import { decoratedMethods, type ClassReference } from './method-registry.js';

/**
 * The key that `@Cached` uses when `method` of a `type` instance is called with `args`.
 * Throws DECORATOR_INVALID if the method has no `@Cached`, KEY_INVALID if these arguments give no key.
 */
export function cachedKeyFor(type: ClassReference, method: string | symbol, args: readonly unknown[]): string {
  const found = decoratedMethods(type.prototype).find(
    (each) => each.cached !== undefined && each.site.method === method,
  );
  const where = `${type.name}.${String(method)}`;
  if (found?.cached === undefined) {
    throw new LaneCacheError('DECORATOR_INVALID', `${where} has no @Cached, so its calls have no key.`);
  }
  const key = found.cached.keyFor(type, args);
  if (key !== undefined && key !== '') return key;
  throw new LaneCacheError(
    'KEY_INVALID',
    `These arguments of ${where} give no key: one of them is missing, or no key can be made from it. The method would run uncached.`,
  );
}
