import { types } from 'node:util';
import { MalformedValue, type Cells, type CellWriter, type Kind } from './kind.js';
import { assignProperties, dataProperty, lowerProperties, refuseExtras } from './property-cells.js';

const isOrdinary = (value: object): value is Record<string, unknown> =>
  Object.prototype.toString.call(value) === '[object Object]';

const objectKind: Kind<Record<string, unknown>> = {
  name: 'Object',
  prototype: Object.prototype,
  isReal: isOrdinary,
  lower: lowerProperties,
  shell: () => ({}),
  fill: assignProperties,
};

const bareObject = (): Record<string, unknown> => {
  const bare: Record<string, unknown> = Object.create(null);
  return bare;
};

const bareObjectKind: Kind<Record<string, unknown>> = {
  name: 'BareObject',
  prototype: null,
  isReal: isOrdinary,
  lower: lowerProperties,
  shell: () => bareObject(),
  fill: assignProperties,
};

/** Cells: `null` and all items, or the length and then position and item of all that are there. */
const arrayKind: Kind<unknown[]> = {
  name: 'Array',
  prototype: Array.prototype,
  isReal: (value): value is unknown[] => Array.isArray(value),
  lower: (array, writer) => {
    const keys = Object.keys(array);
    for (const symbol of Object.getOwnPropertySymbols(array)) dataProperty(array, symbol, writer);
    const isDense = keys.length === array.length && keys.every((_, index) => index in array);
    return isDense ? [null, ...lowerItems(array, writer)] : lowerSparse(array, keys, writer);
  },
  shell: (cells) => (cells.value(0) === null ? [] : emptyArray(cells.number(0))),
  fill: (array, cells) => {
    if (cells.value(0) === null) {
      for (let index = 1; index < cells.length; index += 1) array.push(cells.value(index));
    } else fillSparse(array, cells);
  },
};

function* lowerItems(array: readonly unknown[], writer: CellWriter): Iterable<unknown> {
  for (let index = 0; index < array.length; index += 1) yield writer.cell(array[index], index);
}

function lowerSparse(array: readonly unknown[], keys: readonly string[], writer: CellWriter): unknown[] {
  const cells: unknown[] = [array.length];
  for (const key of keys) {
    const position = Number(key);
    // whatever is no index comes after the indexes
    if (String(position) !== key || position >= array.length || !(position in array) || position < 0)
      writer.refuse('is a property added to an array, which would be lost', key);
    cells.push(position, writer.cell(array[position], position));
  }
  return cells;
}

function fillSparse(array: unknown[], cells: Cells): void {
  for (let index = 1; index + 1 < cells.length; index += 2) {
    const position = cells.number(index);
    if (!Number.isInteger(position) || position < 0 || position >= array.length)
      throw new MalformedValue('An array has an item beyond its end.');
    array[position] = cells.value(index + 1);
  }
}

/** Holes only, and no memory for them however many there are. */
function emptyArray(length: number): unknown[] {
  const array: unknown[] = [];
  if (!Number.isInteger(length) || length < 0 || length > 0xffff_ffff)
    throw new MalformedValue('An array has an impossible length.');
  if (length > 0) {
    // an item far behind the others makes the engine keep a table instead of a row of slots
    array[length - 1] = undefined;
    Reflect.deleteProperty(array, length - 1);
  }
  return array;
}

/** Cells: key and value of each entry. */
const mapKind: Kind<Map<unknown, unknown>> = {
  name: 'Map',
  prototype: Map.prototype,
  isReal: (value): value is Map<unknown, unknown> => types.isMap(value),
  lower: (map, writer) => {
    refuseExtras(map, writer);
    const cells: unknown[] = [];
    for (const [key, value] of entriesOf(map)) {
      const entry = cells.length / 2;
      cells.push(writer.cell(key, { words: `<key ${entry}>` }), writer.cell(value, { words: `<entry ${entry}>` }));
    }
    return cells;
  },
  shell: () => new Map(),
  fill: (map, cells) => {
    for (let index = 0; index + 1 < cells.length; index += 2) map.set(cells.value(index), cells.value(index + 1));
  },
};

const entriesOf = (map: ReadonlyMap<unknown, unknown>): Iterable<[unknown, unknown]> => Map.prototype.entries.call(map);

/** Cells: the members. */
const setKind: Kind<Set<unknown>> = {
  name: 'Set',
  prototype: Set.prototype,
  isReal: (value): value is Set<unknown> => types.isSet(value),
  lower: (set, writer) => {
    refuseExtras(set, writer);
    const cells: unknown[] = [];
    for (const member of Set.prototype.values.call(set))
      cells.push(writer.cell(member, { words: `<member ${cells.length}>` }));
    return cells;
  },
  shell: () => new Set(),
  fill: (set, cells) => {
    for (let index = 0; index < cells.length; index += 1) set.add(cells.value(index));
  },
};

/** What holds other values. */
export const containerKinds: readonly Kind[] = [objectKind, bareObjectKind, arrayKind, mapKind, setKind];
