import { isMutatorGuard } from '../isolation.js';

/**
 * One kind of object that the value table can hold: how to serialize an object into cells, and how to restore it from
 * them. The format of cells is explained in object-table.ts.
 */
export interface Kind<T extends object = object> {
  /** Stored with every object of the kind. */
  readonly name: string;
  /** Only objects with exactly this prototype are of the kind. */
  readonly prototype: object | null;
  /** Of a listed class whose own fields are all of its data. */
  readonly className?: string;
  /** Whether `value`, which has the prototype, really is such an object: `Object.create(Map.prototype)` is no map. */
  matches(value: object): value is T;
  serialize(value: T, writer: CellWriter): readonly unknown[];
  /** A new object without the content that refers to other objects. Throws when the cells make no sense. */
  create(cells: CellReader): T;
  /** Adds the content that refers to other objects. All of these have been created, but not all are populated. */
  populate?(object: T, cells: CellReader): void;
  /**
   * Turns the populated object into the one to restore, if it was stored by another version of its class; else
   * undefined. Throws StaleType where that is impossible.
   */
  migration?(cells: CellReader): ((fields: object) => object) | undefined;
}

/** Where in an object a value is: under a key, at a position, or as a description such as `<key 0>`. */
export type Place = PropertyKey | { readonly description: string };

/** Turns the content of an object into cells. Both methods throw Unstorable. */
export interface CellWriter {
  cell(value: unknown, place: Place): unknown;
  /** `problem` completes a sentence about the value at `place`, or about the object itself. */
  refuse(problem: string, place?: Place): never;
}

/** Reads the cells of one stored object. Nothing about them is trusted: all methods throw MalformedValue. */
export interface CellReader {
  readonly length: number;
  /** A primitive, or another object of the table, which may not be populated yet. */
  value(index: number): unknown;
  text(index: number): string;
  number(index: number): number;
  /** A copy. */
  bytes(index: number): Uint8Array & { readonly buffer: ArrayBuffer };
}

/** A value, or a part of it, cannot be stored; the message names the part. */
export class Unstorable extends Error {
  override readonly name = 'Unstorable';
}

/** The bytes are not what this library writes. */
export class MalformedValue extends Error {
  override readonly name = 'MalformedValue';
}

/**
 * Name and value of each own property but `except`, in turn. Refuses properties that an assignment does not restore.
 */
export function serializeProperties(object: object, writer: CellWriter, except?: string): unknown[] {
  const cells: unknown[] = [];
  for (const key of Reflect.ownKeys(object)) {
    if (key === except) continue;
    const property = dataProperty(object, key, writer);
    if (property.enumerable !== true) writer.refuse('is not enumerable', key);
    cells.push(writer.cell(key, key), writer.cell(property.value, key));
  }
  return cells;
}

/** The own property under `key`. Refuses accessors and symbol keys. */
export function dataProperty(object: object, key: PropertyKey, writer: CellWriter): PropertyDescriptor {
  if (typeof key === 'symbol') writer.refuse('has a symbol for a key', key);
  const property = Object.getOwnPropertyDescriptor(object, key);
  if (property === undefined || property.get !== undefined || property.set !== undefined)
    writer.refuse('is an accessor', key);
  return property;
}

/** Refuses properties that were added to an object whose kind has no properties besides `expected`. */
export function refuseExtras(object: object, writer: CellWriter, ...expected: readonly string[]): void {
  for (const key of Reflect.ownKeys(object)) {
    if (typeof key === 'string' && expected.includes(key)) continue;
    if (isMutatorGuard(Object.getOwnPropertyDescriptor(object, key)?.value)) continue;
    writer.refuse('is a property added to a built-in object, which would be lost', key);
  }
}

/** Restores pairs of names and values on an ordinary object, by assignment where no setter can be involved. */
export function assignProperties(object: Record<string, unknown>, cells: CellReader): void {
  for (let index = 0; index + 1 < cells.length; index += 2) {
    const key = cells.text(index);
    if (key === '__proto__') defineProperties(object, cells, index, index + 2, 'enumerable');
    else object[key] = cells.value(index + 1);
  }
}

/** Restores pairs of names and values from the cells `from` up to, not including, `end`, without running setters. */
export function defineProperties(
  object: object,
  cells: CellReader,
  from: number,
  end: number,
  visibility: 'enumerable' | 'hidden',
): void {
  for (let index = from; index + 1 < end; index += 2) {
    const key = cells.text(index);
    const value = cells.value(index + 1);
    Object.defineProperty(object, key, {
      value,
      enumerable: visibility === 'enumerable',
      writable: true,
      configurable: true,
    });
  }
}
