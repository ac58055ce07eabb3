import { isMutatorGuard } from './mutator-guard.js';
import type { Cells, CellWriter } from './kind.js';

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** How a property is written behind the name of its object. */
export const propertyLabel = (key: PropertyKey): string =>
  typeof key === 'string' && IDENTIFIER.test(key)
    ? `.${key}`
    : `[${typeof key === 'string' ? JSON.stringify(key) : String(key)}]`;

/** Name and value of each own property, in turn. Refuses whatever a later assignment would not restore. */
export function lowerProperties(object: object, writer: CellWriter): unknown[] {
  const cells: unknown[] = [];
  for (const key of Reflect.ownKeys(object)) {
    const value = dataProperty(object, key, writer);
    const label = propertyLabel(key);
    if (!Object.prototype.propertyIsEnumerable.call(object, key)) writer.refuse(label, 'is not enumerable');
    cells.push(writer.cell(key, label), writer.cell(value, label));
  }
  return cells;
}

/** The value of an own property that is no accessor and has no symbol for a name; refuses others. */
export function dataProperty(object: object, key: PropertyKey, writer: CellWriter): unknown {
  const label = propertyLabel(key);
  if (typeof key === 'symbol') writer.refuse(label, 'has a symbol for a key');
  const property = Object.getOwnPropertyDescriptor(object, key);
  if (property === undefined || property.get !== undefined || property.set !== undefined)
    writer.refuse(label, 'is an accessor');
  return property.value;
}

/** Restores pairs of names and values, from the cell `from` to before the cell `end`. */
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
    writer.refuse(propertyLabel(key), 'is a property added to a built-in object, which would be lost');
  }
}
