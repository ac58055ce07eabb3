import { defaultKey, NO_CLASSES, type ListedClasses } from '../entries/arguments.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { decoratedMethods, type ClassReference, type DecorationSite } from './method-registry.js';

/** The number of keys kept per class; one more, and all are dropped. */
const REMEMBERED = 1_000;
/** Keys of longer texts are not kept. */
const LONGEST = 128;

/**
 * The keys of a `@Cached` method without a `key`.
 *
 * The keys of single texts are kept: V8 has to hash a newly built string before a Map finds it, which takes longer than
 * the rest of a hit in memory.
 */
export class DefaultKeys {
  private readonly byClass = new WeakMap<ClassReference, Map<string, string>>();

  constructor(private readonly prefix: MethodPrefix) {}

  /** Undefined if an argument has no encoding. */
  of(type: ClassReference, args: readonly unknown[], listed: ListedClasses): string | undefined {
    const [text] = args;
    const isShort = args.length === 1 && typeof text === 'string' && text.length <= LONGEST;
    return isShort ? this.ofText(type, text) : defaultKey(this.prefix.of(type), args, listed);
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
 * The prefix of the default keys of one `@Cached` method: `Class.method`. The class is that of the instance, not the
 * one that declares the method, so that two subclasses do not share entries.
 *
 * An overridden method that runs through `super` has a prefix of its own: with that of the overriding method it would
 * wait for the very computation that called it.
 */
export class MethodPrefix {
  private readonly byClass = new WeakMap<ClassReference, string>();

  constructor(
    private readonly site: DecorationSite,
    private readonly name: string | undefined,
  ) {}

  of(type: ClassReference): string {
    if (this.name !== undefined) return this.name;
    let prefix = this.byClass.get(type);
    if (prefix === undefined) this.byClass.set(type, (prefix = this.build(type)));
    return prefix;
  }

  private build(type: ClassReference): string {
    const { method, prototype } = this.site;
    const ownMethod = `${type.name}.${String(method)}`;
    const outermost = decoratedMethods(type.prototype).find(
      (other) => other.cached !== undefined && other.site.method === method,
    );
    if (outermost === undefined || outermost.site.prototype === prototype) return ownMethod;
    return `${ownMethod}>${prototype.constructor.name}`;
  }
}

/**
 * The key that `@Cached` uses when `method` of a `type` instance is called with `args`.
 * Throws DECORATOR_INVALID if the method has no `@Cached`, KEY_INVALID if these arguments give no key.
 */
export function cachedKeyFor(
  type: ClassReference,
  method: string | symbol,
  args: readonly unknown[],
  listed: ListedClasses = NO_CLASSES,
): string {
  const found = decoratedMethods(type.prototype).find(
    (each) => each.cached !== undefined && each.site.method === method,
  );
  const where = `${type.name}.${String(method)}`;
  if (found?.cached === undefined) {
    throw new LaneCacheError('DECORATOR_INVALID', `${where} has no @Cached, so its calls have no key.`);
  }
  // `DecoratedMethod`s are found on prototypes only
  const call = { host: Object(type.prototype), args };
  const key = found.cached.keyFor(call, listed);
  if (key !== undefined && key !== '') return key;
  throw new LaneCacheError(
    'KEY_INVALID',
    `These arguments of ${where} give no key, so the method would run uncached: ${found.cached.whyNoKey(call, listed)}`,
  );
}
