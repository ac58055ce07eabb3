import { types } from 'node:util';
import type { Cells, CellWriter, Kind } from './kind.js';
import { dataProperty, fillProperties } from './property-cells.js';

/**
 * Errors of the language. Cells: the stack, how many hidden properties there are (`message`, `cause`, `errors`), name
 * and value of each, then name and value of each enumerable property (such as `code`).
 */
function errorKind(constructor: { readonly name: string; readonly prototype: Error }): Kind<Error> {
  return {
    name: constructor.name,
    prototype: constructor.prototype,
    isReal: (value): value is Error => types.isNativeError(value),
    lower: lowerError,
    shell: () => nativeError(constructor.prototype),
    fill: fillError,
  };
}

/** An error as the engine makes them, without running a constructor of ours or anybody's. */
export function nativeError(prototype: object): Error {
  const error = new Error();
  if (Object.getPrototypeOf(error) !== prototype) Object.setPrototypeOf(error, prototype);
  return error;
}

/** The cells of a native error. */
export function lowerError(error: Error, writer: CellWriter): unknown[] {
  const hidden: unknown[] = [];
  const shown: unknown[] = [];
  for (const key of Reflect.ownKeys(error)) {
    // an accessor of the engine in some versions of Node
    if (key === 'stack') continue;
    const { value, enumerable }: PropertyDescriptor = dataProperty(error, key, writer);
    const side = enumerable === true ? shown : hidden;
    side.push(writer.cell(key, key), writer.cell(value, key));
  }
  return [writer.cell(error.stack, 'stack'), hidden.length, ...hidden, ...shown];
}

/** Gives a fresh error what `lowerError` took from another; what follows as an odd last cell is left alone. */
export function fillError(error: object, cells: Cells): void {
  const shownFrom = Math.min(2 + cells.number(1), cells.length);
  fillProperties(error, cells, 2, shownFrom, 'hidden');
  fillProperties(error, cells, shownFrom, cells.length, 'shown');
  Object.defineProperty(error, 'stack', {
    value: cells.value(0),
    enumerable: false,
    writable: true,
    configurable: true,
  });
}

const CONSTRUCTORS = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError];

export const errorKinds: readonly Kind[] = CONSTRUCTORS.map(errorKind);
