import { asCacheableType, type CacheableType, type TypeEntry } from '../entries/codec/class-kinds.js';
import { fn, nonEmpty, whole, defineOptions } from '../options/options-shape.js';

/** How a class is stored: all of `CacheableType` but the class itself. */
export type CacheTypeOptions = Omit<CacheableType, 'type'>;

const CACHE_TYPE_OPTIONS = defineOptions<CacheTypeOptions>(
  '@CacheType',
  { name: nonEmpty, version: whole, migrate: fn },
  { code: 'DECORATOR_INVALID' },
);

const CACHE_TYPE = Symbol.for('nestjs-lane-cache.type');

/**
 * Keeps a class's stored name, version and migration beside the class, instead of in the options.
 *
 * The class must still be listed under `types` (`types: [Money]`): only listed classes come back as instances.
 * Otherwise the classes of one app would reach the cache of another in the same process. A `{ type, … }` entry wins
 * over the decorator. Subclasses do not inherit it.
 *
 * @example
 * ```ts
 * class Money {
 *   constructor(readonly amount: number, readonly currency: string) {}
 * }
 *
 * // the same as the decorator above the class
 * CacheType({ version: 2, migrate: ({ amount }) => new Money(Number(amount), 'EUR') })(Money);
 *
 * LaneCacheModule.forRoot({ types: [Money] });
 * ```
 */
export function CacheType(given?: CacheTypeOptions): ClassDecorator {
  return (type) => {
    const options = CACHE_TYPE_OPTIONS.read(given, { whose: `@CacheType on ${type.name}` });
    Object.defineProperty(type, CACHE_TYPE, { value: Object.freeze(options), configurable: true });
  };
}

/** A `types` entry with the options of `@CacheType` on its class. */
export function withDeclaration(entry: TypeEntry): TypeEntry {
  const written = asCacheableType(entry);
  const declared = declarationOf(written.type);
  return declared === undefined ? entry : { ...declared, ...written };
}

function declarationOf(type: unknown): CacheTypeOptions | undefined {
  if (typeof type !== 'function' || !Object.hasOwn(type, CACHE_TYPE)) return undefined;
  return Reflect.get(type, CACHE_TYPE);
}
