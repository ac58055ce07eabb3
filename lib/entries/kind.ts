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
  lower(value: T, writer: CellWriter): readonly unknown[];
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
