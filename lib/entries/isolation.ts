import { types } from 'node:util';

/** A copy that all callers may share, or that it cannot be shared. */
type FrozenCopy =
  | { readonly shareable: true; readonly value: unknown }
  /**
   * The value holds buffers, expressions, URLs or class instances, which freezing does not protect. It is unchanged.
   */
  | { readonly shareable: false };

const NOT_SHAREABLE: FrozenCopy = Object.freeze({ shareable: false });

/**
 * Deeply freezes a value that no other code holds, unless a part of it cannot be protected.
 *
 * `Object.freeze` does not protect the content of a `Map`, `Set` or `Date`. These get own, non-enumerable methods
 * instead of their mutators, which throw an error that names the lane and the solution.
 */
export function freezeCopy(value: unknown, lane: string): FrozenCopy {
  if (typeof value !== 'object' || value === null) return { shareable: true, value };
  const objects = collect(value);
  if (objects === undefined) return NOT_SHAREABLE;
  const guards = new Guards(lane);
  for (const object of objects) {
    if (!Array.isArray(object) && !isOrdinary(object)) guards.protect(object);
    Object.freeze(object);
  }
  return { shareable: true, value };
}

/** Freezes a tree of ordinary objects and arrays that no other code holds. Throws TypeError if it contains a buffer. */
export function freezeTree(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const item of Array.isArray(value) ? value : Object.values(value)) freezeTree(item);
  Object.freeze(value);
}

/** All objects that can be reached from `root`, or undefined if one of them cannot be protected. */
function collect(root: object): Set<object> | undefined {
  const objects = new Set<object>([root]);
  const add = (value: unknown): void => {
    if (typeof value === 'object' && value !== null) objects.add(value);
  };
  // Iterating a Set covers what is added during the iteration.
  for (const object of objects) {
    // Not by index: a sparse array may have billions of holes.
    if (Array.isArray(object) || isOrdinary(object)) Object.values(object).forEach(add);
    else if (!addContent(object, add)) return undefined;
  }
  return objects;
}

function isOrdinary(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null;
}

function addContent(object: object, add: (value: unknown) => void): boolean {
  if (object instanceof Map) {
    for (const [key, value] of object) {
      add(key);
      add(value);
    }
    return true;
  }
  if (object instanceof Set) {
    for (const member of object) add(member);
    return true;
  }
  if (object instanceof Date || types.isBoxedPrimitive(object)) return true;
  if (!isBuiltInError(object)) return false;
  for (const key of Object.getOwnPropertyNames(object)) add(Reflect.get(object, key));
  return true;
}

/** Whether the error is not of a class of the app: instances of those are copied for each caller. */
function isBuiltInError(object: object): boolean {
  if (!types.isNativeError(object)) return false;
  const prototype: unknown = Object.getPrototypeOf(object);
  return BUILT_IN_ERRORS.some((constructor) => constructor.prototype === prototype);
}

/** The error classes of the language. */
export const BUILT_IN_ERRORS = [
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
  AggregateError,
];

const MAP_MUTATORS = ['set', 'delete', 'clear'];
const SET_MUTATORS = ['add', 'delete', 'clear'];
const DATE_MUTATORS = Object.getOwnPropertyNames(Date.prototype).filter((name) => name.startsWith('set'));

type Guard = readonly [method: string, property: PropertyDescriptor];

/** The throwing mutators of one frozen copy, made on first use. */
class Guards {
  private map: readonly Guard[] | undefined;
  private set: readonly Guard[] | undefined;
  private date: readonly Guard[] | undefined;

  constructor(private readonly lane: string) {}

  protect(object: object): void {
    for (const [method, property] of this.of(object)) Object.defineProperty(object, method, property);
  }

  private of(object: object): readonly Guard[] {
    if (object instanceof Map) return (this.map ??= this.make(MAP_MUTATORS));
    if (object instanceof Set) return (this.set ??= this.make(SET_MUTATORS));
    if (object instanceof Date) return (this.date ??= this.make(DATE_MUTATORS));
    return [];
  }

  private make(methods: readonly string[]): readonly Guard[] {
    return methods.map((method): Guard => [method, { value: mutatorGuard(this.lane, method) }]);
  }
}

const BRAND = Symbol.for('nestjs-lane-cache.mutator-guard');

/** Whether `value` is a throwing method that replaces a mutator of a frozen copy. */
export const isMutatorGuard = (value: unknown): boolean => typeof value === 'function' && BRAND in value;

/** A throwing mutator, for a copy that all callers of `lane` share. */
function mutatorGuard(lane: string, method: string): () => never {
  const guard = (): never => {
    throw new TypeError(
      `${method}() would change a value that all callers of lane '${lane}' share. Copy the value first, or ask for isolation: 'clone' on the call or the lane.`,
    );
  };
  Object.defineProperty(guard, BRAND, { value: true });
  return guard;
}
