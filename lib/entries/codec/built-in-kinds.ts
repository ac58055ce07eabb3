import { inspect, types } from 'node:util';
import { BUILT_IN_ERRORS } from '../isolation.js';
import {
  assignProperties,
  type CellReader,
  type CellWriter,
  dataProperty,
  defineProperties,
  type Kind,
  MalformedValue,
  refuseExtras,
  serializeProperties,
} from './kinds.js';
import { hidesData } from './trees.js';

/** Not one of the language's own objects, whose prototype was changed to hide what it is. */
const isOrdinary = (value: object): value is Record<string, unknown> =>
  Object.prototype.toString.call(value) === '[object Object]' && !hidesData(value);

// The kinds of the language and of Node, in four groups: containers, scalars, bytes, errors. `BUILT_IN_KINDS` has all.

const objectKind: Kind<Record<string, unknown>> = {
  name: 'Object',
  prototype: Object.prototype,
  matches: isOrdinary,
  serialize: serializeProperties,
  create: () => ({}),
  populate: assignProperties,
};

const bareObjectKind: Kind<Record<string, unknown>> = {
  name: 'BareObject',
  prototype: null,
  matches: isOrdinary,
  serialize: serializeProperties,
  create: () => {
    const bare: Record<string, unknown> = Object.create(null);
    return bare;
  },
  populate: assignProperties,
};

/**
 * Cells of a dense array: `null`, then all items. Cells of a sparse one: its length, then position and item in turn.
 */
const arrayKind: Kind<unknown[]> = {
  name: 'Array',
  prototype: Array.prototype,
  matches: (value): value is unknown[] => Array.isArray(value),
  serialize: (array, writer) => {
    const keys = Object.keys(array);
    for (const symbol of Object.getOwnPropertySymbols(array)) dataProperty(array, symbol, writer);
    const isDense = keys.length === array.length && keys.every((key, index) => key === String(index));
    return isDense ? [null, ...serializeItems(array, writer)] : serializeSparse(array, writer);
  },
  create: (cells) => (cells.value(0) === null ? [] : emptyArray(cells.number(0))),
  populate: (array, cells) => {
    if (cells.value(0) === null) {
      for (let index = 1; index < cells.length; index += 1) array.push(cells.value(index));
    } else populateSparse(array, cells);
  },
};

function* serializeItems(array: readonly unknown[], writer: CellWriter): Iterable<unknown> {
  for (let index = 0; index < array.length; index += 1) yield writer.cell(array[index], index);
}

function serializeSparse(array: readonly unknown[], writer: CellWriter): unknown[] {
  const cells: unknown[] = [array.length];
  for (const key of Object.getOwnPropertyNames(array)) {
    if (key === 'length') continue;
    const position = Number(key);
    // keys that are no indexes come after the indexes
    if (String(position) !== key || position >= array.length || !(position in array) || position < 0)
      writer.refuse('is a property added to an array, which would be lost', key);
    const property = dataProperty(array, key, writer);
    if (property.enumerable !== true) writer.refuse('is not enumerable', position);
    cells.push(position, writer.cell(property.value, position));
  }
  return cells;
}

function populateSparse(array: unknown[], cells: CellReader): void {
  for (let index = 1; index + 1 < cells.length; index += 2) {
    const position = cells.number(index);
    if (!Number.isInteger(position) || position < 0 || position >= array.length)
      throw new MalformedValue('An array has an item beyond its end.');
    array[position] = cells.value(index + 1);
  }
}

/** An array of holes, which take no memory. */
function emptyArray(length: number): unknown[] {
  const array: unknown[] = [];
  if (!Number.isInteger(length) || length < 0 || length > 0xffff_ffff)
    throw new MalformedValue('An array has an impossible length.');
  if (length > 0) {
    // an item at a distant index makes the engine switch to a hash table
    array[length - 1] = undefined;
    Reflect.deleteProperty(array, length - 1);
  }
  return array;
}

/** Cells: key and value of each entry. */
const mapKind: Kind<Map<unknown, unknown>> = {
  name: 'Map',
  prototype: Map.prototype,
  matches: (value): value is Map<unknown, unknown> => types.isMap(value),
  serialize: (map, writer) => {
    refuseExtras(map, writer);
    const cells: unknown[] = [];
    for (const [key, value] of entriesOf(map)) {
      const entry = cells.length / 2;
      cells.push(
        writer.cell(key, { description: `<key ${entry}>` }),
        writer.cell(value, { description: `<entry ${entry}>` }),
      );
    }
    return cells;
  },
  create: () => new Map(),
  populate: (map, cells) => {
    for (let index = 0; index + 1 < cells.length; index += 2) map.set(cells.value(index), cells.value(index + 1));
  },
};

const entriesOf = (map: ReadonlyMap<unknown, unknown>): Iterable<[unknown, unknown]> => Map.prototype.entries.call(map);

/** Cells: the members. */
const setKind: Kind<Set<unknown>> = {
  name: 'Set',
  prototype: Set.prototype,
  matches: (value): value is Set<unknown> => types.isSet(value),
  serialize: (set, writer) => {
    refuseExtras(set, writer);
    const cells: unknown[] = [];
    for (const member of Set.prototype.values.call(set))
      cells.push(writer.cell(member, { description: `<member ${cells.length}>` }));
    return cells;
  },
  create: () => new Set(),
  populate: (set, cells) => {
    for (let index = 0; index < cells.length; index += 1) set.add(cells.value(index));
  },
};

const CONTAINERS: readonly Kind[] = [objectKind, bareObjectKind, arrayKind, mapKind, setKind];

/** Cells: epoch milliseconds, NaN for an invalid date. */
const dateKind: Kind<Date> = {
  name: 'Date',
  prototype: Date.prototype,
  matches: (value): value is Date => types.isDate(value),
  serialize: (date, writer) => {
    refuseExtras(date, writer);
    return [Date.prototype.getTime.call(date)];
  },
  create: (cells) => new Date(cells.number(0)),
};

/** Cells: source, flags, lastIndex. */
const regExpKind: Kind<RegExp> = {
  name: 'RegExp',
  prototype: RegExp.prototype,
  matches: (value): value is RegExp => types.isRegExp(value),
  serialize: (expression, writer) => {
    refuseExtras(expression, writer, 'lastIndex');
    const { source, flags } = expression;
    const lastIndex: unknown = expression.lastIndex;
    if (typeof lastIndex !== 'number') writer.refuse('is no number', 'lastIndex');
    return [writer.cell(source, 'source'), flags, writer.cell(lastIndex, 'lastIndex')];
  },
  create: (cells) => new RegExp(cells.text(0), cells.text(1)),
  populate: (expression, cells) => {
    expression.lastIndex = cells.number(2);
  },
};

/** Cells: the href. */
const urlKind: Kind<URL> = {
  name: 'URL',
  prototype: URL.prototype,
  matches: (value): value is URL => value instanceof URL,
  serialize: (url, writer) => {
    const { href } = url;
    refuseExtras(url, writer);
    return [href];
  },
  create: (cells) => new URL(cells.text(0)),
};

/** Boxed primitives. Cells: the primitive. */
const boxKinds = [Number.prototype, String.prototype, Boolean.prototype, BigInt.prototype].map(
  (prototype: object): Kind => ({
    name: `Boxed${prototype.constructor.name}`,
    prototype,
    matches: (value): value is object => types.isBoxedPrimitive(value) && !types.isSymbolObject(value),
    serialize: (box, writer) => {
      const primitive: unknown = box.valueOf();
      const ownKeys = typeof primitive === 'string' ? [...Array(primitive.length).keys(), 'length'].map(String) : [];
      refuseExtras(box, writer, ...ownKeys);
      return [writer.cell(primitive, { description: '.valueOf()' })];
    },
    create: (cells) => {
      const primitive = cells.value(0);
      const box: unknown = Object(primitive);
      if (typeof box !== 'object' || box === null || box === primitive || Object.getPrototypeOf(box) !== prototype)
        throw new MalformedValue('A boxed primitive holds something else.');
      return box;
    },
  }),
);

const SCALARS: readonly Kind[] = [dateKind, regExpKind, urlKind, ...boxKinds];

type ViewConstructor = new (buffer: ArrayBufferLike, offset?: number, length?: number) => NodeJS.ArrayBufferView;

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

/** The kind of a typed array or DataView; none if this version of Node does not have it. Cells: the bytes. */
function viewKind(name: string): readonly Kind[] {
  const constructor: unknown = Reflect.get(globalThis, name);
  if (!isConstructor(constructor)) return [];
  const prototype: object = constructor.prototype;
  const kind: Kind<NodeJS.ArrayBufferView> = {
    name,
    prototype,
    matches: (value): value is NodeJS.ArrayBufferView => viewNameOf(value) === name,
    serialize: (view, writer) => {
      refuseForeignMemory(view.buffer, writer);
      refuseViewExtras(view, new constructor(view.buffer, view.byteOffset, lengthOf(view)), writer);
      return bytesOf(view);
    },
    create: (cells) => new constructor(cells.bytes(0).buffer),
  };
  return [kind];
}

const bufferKind: Kind<Buffer> = {
  name: 'Buffer',
  prototype: Buffer.prototype,
  matches: (value): value is Buffer => viewNameOf(value) === 'Uint8Array',
  serialize: (buffer, writer) => {
    refuseForeignMemory(buffer.buffer, writer);
    refuseViewExtras(buffer, Buffer.from(buffer.buffer, buffer.byteOffset, buffer.length), writer);
    return bytesOf(buffer);
  },
  create: (cells) => Buffer.from(cells.bytes(0).buffer),
};

const arrayBufferKind: Kind<ArrayBuffer> = {
  name: 'ArrayBuffer',
  prototype: ArrayBuffer.prototype,
  matches: (value): value is ArrayBuffer => types.isArrayBuffer(value),
  serialize: (buffer, writer) => {
    refuseForeignMemory(buffer, writer);
    refuseExtras(buffer, writer);
    return [new Uint8Array(buffer)];
  },
  create: (cells) => {
    if (cells.length !== 1) throw new MalformedValue('A buffer has more than its bytes.');
    return cells.bytes(0).buffer;
  },
};

const typedArrayPrototype: object = Object.getPrototypeOf(Uint8Array.prototype);
/** Its getter reads the internal slot that names the kind of typed array. */
const typedArrayTag = Object.getOwnPropertyDescriptor(typedArrayPrototype, Symbol.toStringTag);

/** The name of the view by what it is, whatever its prototype says. Undefined if it is none. */
function viewNameOf(value: object): unknown {
  return types.isDataView(value) ? 'DataView' : typedArrayTag?.get?.call(value);
}

const lengthOf = (view: NodeJS.ArrayBufferView): number => ('length' in view ? view.length : view.byteLength);

/** Stores the visible bytes, not the whole buffer: a small Buffer may be part of a large pool. */
const bytesOf = (view: NodeJS.ArrayBufferView): unknown[] => [
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength),
];

const WITHOUT_ITEMS = { maxArrayLength: 0, customInspect: false, depth: 0, breakLength: Infinity } as const;

/**
 * Refuses properties that were added to a view, by its difference from a `plain` one of the same memory. Listing the keys
 * takes time proportional to the length, so the keys are listed only if there is a difference.
 */
function refuseViewExtras(view: NodeJS.ArrayBufferView, plain: NodeJS.ArrayBufferView, writer: CellWriter): void {
  if (Object.getOwnPropertySymbols(view).length === 0 && inspect(view, WITHOUT_ITEMS) === inspect(plain, WITHOUT_ITEMS))
    return;
  for (const key of Reflect.ownKeys(view)) {
    if (Object.hasOwn(plain, key)) continue;
    const value: unknown = Object.getOwnPropertyDescriptor(view, key)?.value;
    // MessagePack decoders keep a DataView with the bytes that they read.
    if (types.isDataView(value) && value.buffer === view.buffer) continue;
    writer.refuse('is a property added to a built-in object, which would be lost', key);
  }
}

function refuseForeignMemory(buffer: ArrayBufferLike, writer: CellWriter): void {
  if (types.isSharedArrayBuffer(buffer)) writer.refuse('lies in memory shared between threads');
  if ('resizable' in buffer && buffer.resizable === true) writer.refuse('lies in a resizable ArrayBuffer');
}

/** Typed arrays, DataView, Buffer and ArrayBuffer. */
export const BYTE_KINDS: readonly Kind[] = [bufferKind, arrayBufferKind, ...VIEW_NAMES.flatMap(viewKind)];

/**
 * Errors of the language. Cells: the stack, the number of cells of hidden properties (`message`, `cause`, `errors`),
 * name and value of each of these, then name and value of each enumerable property (such as `code`).
 */
function errorKind(constructor: { readonly name: string; readonly prototype: Error }): Kind<Error> {
  return {
    name: constructor.name,
    prototype: constructor.prototype,
    matches: (value): value is Error => types.isNativeError(value),
    serialize: serializeError,
    create: () => emptyError(constructor.prototype),
    populate: populateError,
  };
}

/** A native error with the prototype, made without running the constructor of its class. */
export function emptyError(prototype: object): Error {
  const error = new Error();
  if (Object.getPrototypeOf(error) !== prototype) Object.setPrototypeOf(error, prototype);
  return error;
}

export function serializeError(error: Error, writer: CellWriter): unknown[] {
  const hidden: unknown[] = [];
  const enumerable: unknown[] = [];
  for (const key of Reflect.ownKeys(error)) {
    // `stack` is an accessor in some versions of Node
    if (key === 'stack') continue;
    const property = dataProperty(error, key, writer);
    const cells = property.enumerable === true ? enumerable : hidden;
    cells.push(writer.cell(key, key), writer.cell(property.value, key));
  }
  return [writer.cell(error.stack, 'stack'), hidden.length, ...hidden, ...enumerable];
}

/** Restores what `serializeError` stored. An odd last cell, such as the version of a class, is ignored. */
export function populateError(error: object, cells: CellReader): void {
  const hiddenEnd = Math.min(2 + cells.number(1), cells.length);
  defineProperties(error, cells, 2, hiddenEnd, 'hidden');
  defineProperties(error, cells, hiddenEnd, cells.length, 'enumerable');
  Object.defineProperty(error, 'stack', {
    value: cells.value(0),
    enumerable: false,
    writable: true,
    configurable: true,
  });
}

const ERRORS: readonly Kind[] = BUILT_IN_ERRORS.map(errorKind);

export const BUILT_IN_KINDS: readonly Kind[] = [...CONTAINERS, ...SCALARS, ...BYTE_KINDS, ...ERRORS];
