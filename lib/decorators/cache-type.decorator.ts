import { asCacheableType, type CacheableType, type TypeEntry } from '../entries/codec/class-kinds.js';

/** How a class is stored: all of `CacheableType` but the class itself. */
export type CacheTypeOptions = Omit<CacheableType, 'type'>;

const CACHE_TYPE = Symbol.for('nestjs-lane-cache.type');

/**
 * Keeps a class's stored name, version and migration beside the class, instead of in the options.
 *
 * It says how, not whether: only classes listed under `types` come back as instances, and the class still has to be
 * listed there (`types: [Money]`). A declaration that reached every app of the process would let one app's classes
 * into another's cache. What a `{ type, … }` entry says goes before what the class says. Not inherited by subclasses.
 */
export function CacheType(options: CacheTypeOptions = {}): ClassDecorator {
  return (type) => {
    Object.defineProperty(type, CACHE_TYPE, { value: Object.freeze({ ...options }), configurable: true });
  };
}

/** A `types` entry together with what `@CacheType` says about its class. */
export function withDeclaration(entry: TypeEntry): TypeEntry {
  const written = asCacheableType(entry);
  const declared = declarationOf(written.type);
  return declared === undefined ? entry : { ...declared, ...written };
}

function declarationOf(type: unknown): CacheTypeOptions | undefined {
  if (typeof type !== 'function' || !Object.hasOwn(type, CACHE_TYPE)) return undefined;
  return Reflect.get(type, CACHE_TYPE);
}
