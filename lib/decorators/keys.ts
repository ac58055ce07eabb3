import { defaultKey } from '../entries/arguments.js';
import { type MethodPrefix, type ClassReference, decoratedMethods } from './method-registry.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';

/** So many keys of a class are remembered before they are forgotten all at once. */
const REMEMBERED = 1_000;
/** Longer texts are not kept alive for their keys. */
const LONGEST = 128;

/**
 * The keys of a method that names none.
 *
 * Those of a single text are remembered: a key that is put together anew must be hashed anew before memory can be asked
 * for it, which takes longer than all else that a hit does.
 */
export class DefaultKeys {
  private readonly byClass = new WeakMap<ClassReference, Map<string, string>>();

  constructor(private readonly prefix: MethodPrefix) {}

  /** Undefined if an argument has no encoding. */
  of(type: ClassReference, args: readonly unknown[]): string | undefined {
    const [text] = args;
    const isShort = args.length === 1 && typeof text === 'string' && text.length <= LONGEST;
    return isShort ? this.ofText(type, text) : defaultKey(this.prefix.of(type), args);
  }

  private ofText(type: ClassReference, text: string): string | undefined {
    let keys = this.byClass.get(type);
    if (keys === undefined) this.byClass.set(type, (keys = new Map<string, string>()));
    const known = keys.get(text);
    if (known !== undefined) return known;
    const key = defaultKey(this.prefix.of(type), [text]);
    if (keys.size === REMEMBERED) keys.clear();
    if (key !== undefined) keys.set(text, key);
    return key;
  }
}

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
