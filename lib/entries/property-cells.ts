import { isMutatorGuard } from './isolation.js';
import type { Cells, CellWriter } from './kind.js';

/** Name and value of each own property but `except`, in turn. Refuses whatever a later assignment would not restore. */
export function lowerProperties(object: object, writer: CellWriter, except?: string): unknown[] {
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
