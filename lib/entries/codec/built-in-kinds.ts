import { types } from 'node:util';
import {
  MalformedValue,
  type Cells,
  type CellWriter,
  type Kind,
  assignProperties,
  dataProperty,
  writeProperties,
  refuseExtras,
  fillProperties,
} from './kinds.js';

const isOrdinary = (value: object): value is Record<string, unknown> =>
  Object.prototype.toString.call(value) === '[object Object]';

const objectKind: Kind<Record<string, unknown>> = {
  name: 'Object',
  prototype: Object.prototype,
  isReal: isOrdinary,
  write: writeProperties,
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
  write: writeProperties,
  shell: () => bareObject(),
  fill: assignProperties,
};

/** Cells: `null` and all items, or the length and then position and item of all that are there. */
const arrayKind: Kind<unknown[]> = {
  name: 'Array',
  prototype: Array.prototype,
  isReal: (value): value is unknown[] => Array.isArray(value),
  write: (array, writer) => {
    const keys = Object.keys(array);
    for (const symbol of Object.getOwnPropertySymbols(array)) dataProperty(array, symbol, writer);
    const isDense = keys.length === array.length && keys.every((_, index) => index in array);
    return isDense ? [null, ...writeItems(array, writer)] : writeSparse(array, keys, writer);
  },
  shell: (cells) => (cells.value(0) === null ? [] : emptyArray(cells.number(0))),
  fill: (array, cells) => {
    if (cells.value(0) === null) {
      for (let index = 1; index < cells.length; index += 1) array.push(cells.value(index));
    } else fillSparse(array, cells);
  },
};

function* writeItems(array: readonly unknown[], writer: CellWriter): Iterable<unknown> {
  for (let index = 0; index < array.length; index += 1) yield writer.cell(array[index], index);
}

function writeSparse(array: readonly unknown[], keys: readonly string[], writer: CellWriter): unknown[] {
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
  write: (map, writer) => {
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
  write: (set, writer) => {
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

/** Cells: epoch milliseconds, NaN for an invalid date. */
const dateKind: Kind<Date> = {
  name: 'Date',
  prototype: Date.prototype,
  isReal: (value): value is Date => types.isDate(value),
  write: (date, writer) => {
    refuseExtras(date, writer);
    return [Date.prototype.getTime.call(date)];
  },
  shell: (cells) => new Date(cells.number(0)),
};

/** Cells: source, flags, lastIndex. */
const regExpKind: Kind<RegExp> = {
  name: 'RegExp',
  prototype: RegExp.prototype,
  isReal: (value): value is RegExp => types.isRegExp(value),
  write: (expression, writer) => {
    refuseExtras(expression, writer, 'lastIndex');
    const { source, flags, lastIndex } = expression;
    return [writer.cell(source, 'source'), flags, writer.cell(lastIndex, 'lastIndex')];
  },
  shell: (cells) => new RegExp(cells.text(0), cells.text(1)),
  fill: (expression, cells) => {
    expression.lastIndex = cells.number(2);
  },
};

/** Cells: the address. */
const urlKind: Kind<URL> = {
  name: 'URL',
  prototype: URL.prototype,
  isReal: (value): value is URL => value instanceof URL,
  write: (url, writer) => {
    const { href } = url;
    refuseExtras(url, writer);
    return [href];
  },
  shell: (cells) => new URL(cells.text(0)),
};

/** Boxed primitives. Cells: the primitive. */
const boxKinds = [Number.prototype, String.prototype, Boolean.prototype, BigInt.prototype].map(
  (prototype: object): Kind => ({
    name: `Boxed${prototype.constructor.name}`,
    prototype,
    isReal: (value): value is object => types.isBoxedPrimitive(value) && !types.isSymbolObject(value),
    write: (box, writer) => {
      const primitive: unknown = box.valueOf();
      const ownKeys = typeof primitive === 'string' ? [...Array(primitive.length).keys(), 'length'].map(String) : [];
      refuseExtras(box, writer, ...ownKeys);
      return [writer.cell(primitive, { words: '.valueOf()' })];
    },
    shell: (cells) => {
      const primitive = cells.value(0);
      const box: unknown = Object(primitive);
      if (typeof box !== 'object' || box === null || box === primitive || Object.getPrototypeOf(box) !== prototype)
        throw new MalformedValue('A boxed primitive holds something else.');
      return box;
    },
  }),
);

/** What holds no other value. */
export const scalarKinds: readonly Kind[] = [dateKind, regExpKind, urlKind, ...boxKinds];

/**
 * A view is stored as the bytes it shows, not the buffer it lies in: a small Buffer must not drag its pool along.
 * Properties added to a view are not looked for (decoders add some of their own, and looking takes time by length).
 */
type ViewConstructor = new (buffer: ArrayBuffer) => NodeJS.ArrayBufferView;

const VIEW_NAMES = [
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float16Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
  'DataView',
];

const isConstructor = (value: unknown): value is ViewConstructor => typeof value === 'function';

/** One kind of view, where this version of Node has it. */
function viewKind(name: string): readonly Kind[] {
  const constructor: unknown = Reflect.get(globalThis, name);
  if (!isConstructor(constructor)) return [];
  const prototype: object = constructor.prototype;
  const kind: Kind<NodeJS.ArrayBufferView> = {
    name,
    prototype,
    isReal: (value): value is NodeJS.ArrayBufferView => ArrayBuffer.isView(value),
    write: writeView,
    shell: (cells) => new constructor(cells.bytes(0).buffer),
  };
  return [kind];
}

const bufferKind: Kind<Buffer> = {
  name: 'Buffer',
  prototype: Buffer.prototype,
  isReal: (value): value is Buffer => ArrayBuffer.isView(value),
  write: writeView,
  shell: (cells) => Buffer.from(cells.bytes(0).buffer),
};

const arrayBufferKind: Kind<ArrayBuffer> = {
  name: 'ArrayBuffer',
  prototype: ArrayBuffer.prototype,
  isReal: (value): value is ArrayBuffer => types.isArrayBuffer(value),
  write: (buffer, writer) => {
    refuseSpecial(buffer, writer);
    return [new Uint8Array(buffer)];
  },
  shell: (cells) => {
    if (cells.length !== 1) throw new MalformedValue('A buffer has more than its bytes.');
    return cells.bytes(0).buffer;
  },
};

function writeView(view: NodeJS.ArrayBufferView, writer: CellWriter): unknown[] {
  refuseSpecial(view.buffer, writer);
  return [new Uint8Array(view.buffer, view.byteOffset, view.byteLength)];
}

function refuseSpecial(buffer: ArrayBufferLike, writer: CellWriter): void {
  if (types.isSharedArrayBuffer(buffer)) writer.refuse('lies in memory shared between threads');
  if ('resizable' in buffer && buffer.resizable === true) writer.refuse('lies in a resizable ArrayBuffer');
}

/** What holds bytes. */
export const byteKinds: readonly Kind[] = [bufferKind, arrayBufferKind, ...VIEW_NAMES.flatMap(viewKind)];

/**
 * Errors of the language. Cells: the stack, how many hidden properties there are (`message`, `cause`, `errors`), name
 * and value of each, then name and value of each enumerable property (such as `code`).
 */
function errorKind(constructor: { readonly name: string; readonly prototype: Error }): Kind<Error> {
  return {
    name: constructor.name,
    prototype: constructor.prototype,
    isReal: (value): value is Error => types.isNativeError(value),
    write: writeError,
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
export function writeError(error: Error, writer: CellWriter): unknown[] {
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
