import { isMutatorGuard } from '../isolation.js';
import { Script } from 'node:vm';

/**
 * One kind of object that the value table can hold: how to take an object apart into cells, and how to put it together.
 *
 * A cell is a primitive, or stands for another object of the table.
 */
export interface Kind<T extends object = object> {
  /** Stored with every object of the kind. */
  readonly name: string;
  /** Objects of exactly this prototype are of the kind. */
  readonly prototype: object | null;
  /** Whether `value`, which has the prototype, really is such an object. */
  isReal(value: object): value is T;
  write(value: T, writer: CellWriter): readonly unknown[];
  /** A new object with everything but what refers to other objects. Throws when the cells make no sense. */
  shell(cells: Cells): T;
  /** Adds what refers to other objects, when all of those exist at least as shells. */
  fill?(shell: T, cells: Cells): void;
  /** Present where the filled shell is only what the object is made from. Throws StaleType where it cannot be made. */
  replacement?(cells: Cells): ((shell: object) => object) | undefined;
}

/** Where in an object a value is: under a key, at a position, or somewhere that words must describe. */
export type Place = PropertyKey | { readonly words: string };

/** Turns what an object refers to into cells. Both methods throw Unstorable where that cannot be. */
export interface CellWriter {
  cell(value: unknown, place: Place): unknown;
  /** What `problem` says is true of the value at the place, or of the object itself. */
  refuse(problem: string, place?: Place): never;
}

/** The cells of one stored object, read with checks: they may come from anybody. All methods throw MalformedValue. */
export interface Cells {
  readonly length: number;
  /** The value itself; another object of the table may still be a shell. */
  value(index: number): unknown;
  text(index: number): string;
  number(index: number): number;
  /** An own copy. */
  bytes(index: number): Uint8Array<ArrayBuffer>;
}

/** A value, or something in it, cannot be stored; the message names it. */
export class Unstorable extends Error {
  override readonly name = 'Unstorable';
}

/** The bytes are not what this library writes. */
export class MalformedValue extends Error {
  override readonly name = 'MalformedValue';
}

/** Name and value of each own property but `except`, in turn. Refuses whatever a later assignment would not restore. */
export function writeProperties(object: object, writer: CellWriter, except?: string): unknown[] {
  const cells: unknown[] = [];
  for (const key of Reflect.ownKeys(object)) {
    if (key === except) continue;
    const property = dataProperty(object, key, writer);
    if (property.enumerable !== true) writer.refuse('is not enumerable', key);
    cells.push(writer.cell(key, key), writer.cell(property.value, key));
  }
  return cells;
}

/** An own property that is no accessor and has no symbol for a key; refuses others. */
export function dataProperty(object: object, key: PropertyKey, writer: CellWriter): PropertyDescriptor {
  if (typeof key === 'symbol') writer.refuse('has a symbol for a key', key);
  const property = Object.getOwnPropertyDescriptor(object, key);
  if (property === undefined || property.get !== undefined || property.set !== undefined)
    writer.refuse('is an accessor', key);
  return property;
}

/** Restores pairs of names and values on an object without setters of its own or inherited ones, but `__proto__`. */
export function assignProperties(object: Record<string, unknown>, cells: Cells): void {
  for (let index = 0; index + 1 < cells.length; index += 2) {
    const key = cells.text(index);
    if (key === '__proto__') fillProperties(object, cells, index, index + 2, 'shown');
    else object[key] = cells.value(index + 1);
  }
}

/** Restores pairs of names and values, from the cell `from` to before the cell `end`, without running setters. */
export function fillProperties(
  object: object,
  cells: Cells,
  from: number,
  end: number,
  visibility: 'shown' | 'hidden',
): void {
  for (let index = from; index + 1 < end; index += 2) {
    const key = cells.text(index);
    const value = cells.value(index + 1);
    Object.defineProperty(object, key, {
      value,
      enumerable: visibility === 'shown',
      writable: true,
      configurable: true,
    });
  }
}

/** Refuses properties added to an object of a kind that has none of its own besides `expected`. */
export function refuseExtras(object: object, writer: CellWriter, ...expected: readonly string[]): void {
  for (const key of Reflect.ownKeys(object)) {
    if (typeof key === 'string' && expected.includes(key)) continue;
    if (isMutatorGuard(Object.getOwnPropertyDescriptor(object, key)?.value)) continue;
    writer.refuse('is a property added to a built-in object, which would be lost', key);
  }
}

/** As it is written: `#x`, also in texts and comments, which is not one. */
const NAME = /#[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/gu;
/** As compilers write it for older engines. */
const COMPILED = /_+class_?private_?(?:field|method)/i;

/**
 * A private member (`#x`) of the instances of a class or of those it extends; undefined if there is none. Nobody outside
 * the class can read it, nor make an object that has it without running the constructor.
 */
export function privateMemberOf(type: unknown): string | undefined {
  for (let at = type; typeof at === 'function'; at = Object.getPrototypeOf(at)) {
    const source = Function.prototype.toString.call(at);
    if (COMPILED.test(source)) return '#…';
    const found = [...new Set(source.match(NAME))].find((name) => declares(source, name));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The engine's own parser knows: a class may not declare a private name twice. */
function declares(source: string, name: string): boolean {
  if (new RegExp(`\\bstatic\\s[^;{}=]*${name.replaceAll('$', '\\$')}`, 'u').test(source)) return false;
  return isClass(source) && !isClass(`${source.slice(0, -1)};${name};}`);
}

/** Compiles the text of a class, and does not run it. */
function isClass(source: string): boolean {
  try {
    return new Script(`(${source})`) instanceof Script;
  } catch {
    return false;
  }
}
