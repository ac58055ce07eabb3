import * as fc from 'fast-check';

/** An object of the language that claims to be of another kind. */
const disguised = (value: object, prototype: object | null): object => {
  Object.setPrototypeOf(value, prototype);
  return value;
};

class Point {
  constructor(
    readonly x: number,
    readonly y: number,
  ) {}
}

/** A class of the app that is listed in `types`. */
export class Listed {
  constructor(readonly value: unknown) {}
}

/** One object of each kind that the language keeps apart by more than its prototype. */
const OBJECTS: Readonly<Record<string, () => object>> = {
  object: () => ({ a: 1 }),
  'empty object': () => ({}),
  array: () => [1, 2],
  map: () => new Map([['a', 1]]),
  set: () => new Set([1]),
  date: () => new Date(5),
  expression: () => /a/g,
  error: () => new Error('e'),
  url: () => new URL('http://a/b'),
  number: () => Object(5),
  text: () => Object('abc'),
  'large integer': () => Object(5n),
  flag: () => Object(true),
  bytes: () => new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]),
  floats: () => new Float64Array([1.5]),
  buffer: () => Buffer.from('abcdefgh'),
  'array buffer': () => new ArrayBuffer(8),
  view: () => new DataView(new ArrayBuffer(8)),
  promise: () => Promise.resolve(1),
  'weak map': () => new WeakMap(),
  'weak reference': () => new WeakRef({}),
  listed: () => new Listed(1),
  unlisted: () => new Point(1, 2),
  arguments: () =>
    (function () {
      return arguments;
    })(),
  iterator: () => [1][Symbol.iterator](),
  'map iterator': () => new Map([[1, 2]]).entries(),
  generator: () =>
    (function* () {
      yield 1;
    })(),
};

const PROTOTYPES: Readonly<Record<string, object | null>> = {
  Object: Object.prototype,
  nothing: null,
  Array: Array.prototype,
  Map: Map.prototype,
  Set: Set.prototype,
  Date: Date.prototype,
  RegExp: RegExp.prototype,
  Error: Error.prototype,
  TypeError: TypeError.prototype,
  URL: URL.prototype,
  Number: Number.prototype,
  String: String.prototype,
  Uint8Array: Uint8Array.prototype,
  Float64Array: Float64Array.prototype,
  BigInt64Array: BigInt64Array.prototype,
  Buffer: Buffer.prototype,
  DataView: DataView.prototype,
  ArrayBuffer: ArrayBuffer.prototype,
  Listed: Listed.prototype,
  Point: Point.prototype,
};

const BOOM = (): never => {
  throw new TypeError('boom');
};
const property = (name: PropertyKey, descriptor: PropertyDescriptor) => (value: object) =>
  Object.defineProperty(value, name, { enumerable: true, configurable: true, ...descriptor });

/** What may be done to an object. Some make no difference to some objects. */
const CHANGES: Readonly<Record<string, (value: object) => object>> = {
  'with a property': property('shape', { value: [2, 3] }),
  'with a tag': property(Symbol.toStringTag, { value: 'Map' }),
  'with a hidden property': property('hidden', { value: 1, enumerable: false }),
  'with a symbol for a key': property(Symbol('key'), { value: 1 }),
  'with a getter that throws': property('a', { get: BOOM }),
  'with a getter that counts': (value) => {
    let count = 0;
    return property('a', { get: () => ++count })(value);
  },
  'with toJSON': property('toJSON', { value: BOOM }),
  'with valueOf': property('valueOf', { value: BOOM }),
  'with a constructor': property('constructor', { value: Map }),
  'with __proto__ for a key': property('__proto__', { value: { polluted: true } }),
  'with a stack that throws': property('stack', { get: BOOM }),
  'with a length': (value) => {
    Reflect.set(value, 'length', 7);
    return value;
  },
  'with a text for lastIndex': (value) => {
    Reflect.set(value, 'lastIndex', '5');
    return value;
  },
  frozen: (value) => (ArrayBuffer.isView(value) ? value : Object.freeze(value)),
  'in a Proxy': (value) => new Proxy(value, {}),
  'in a Proxy that throws': (value) => new Proxy(value, { ownKeys: BOOM, get: BOOM, getPrototypeOf: BOOM }),
  'below a Proxy that throws': (value) => disguised(value, new Proxy({}, { get: BOOM, getPrototypeOf: BOOM })),
  'inherited from': (value) => Object.create(value),
};

const detached = (): ArrayBuffer => {
  const buffer = new ArrayBuffer(8);
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
};
const detachedView = (): Uint8Array => {
  const view = new Uint8Array(8);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
};
const resizable = (): ArrayBuffer => Reflect.construct(ArrayBuffer, [8, { maxByteLength: 16 }]);
const changing = (values: readonly unknown[]): unknown[] => {
  let index = 0;
  const array: unknown[] = [0];
  return Object.defineProperty(array, 0, { enumerable: true, get: () => values[index++ % values.length] });
};

/** Values that are hostile in a way of their own. */
const SINGLE: Readonly<Record<string, () => unknown>> = {
  'detached memory': detached,
  'a view of detached memory': detachedView,
  'shared memory': () => new SharedArrayBuffer(8),
  'a view of shared memory': () => new Uint8Array(new SharedArrayBuffer(8)),
  'resizable memory': resizable,
  'a view of resizable memory': () => new Uint8Array(resizable()),
  'a long text': () => 'x'.repeat(5_000_000),
  'a long text that is not well formed': () => `${'x'.repeat(100_000)}\ud800`,
  'an item that changes to a function': () => changing([1, BOOM]),
  'an item that changes to a date': () => changing([1, new Date(5)]),
  'an item that throws': () => property(0, { get: BOOM })([1]),
  'an item that is hidden': () => Object.defineProperty([1, 2], 0, { enumerable: false }),
  'a template list': () => ((texts: TemplateStringsArray) => texts)`ab`,
  'an error with a cause that throws': () => new Error('e', { cause: new Proxy({}, { getPrototypeOf: BOOM }) }),
  'a symbol': () => Symbol('s'),
  'a function': () => BOOM,
  'an expression far in its text': () => Object.assign(/a/g, { lastIndex: 2 ** 53 }),
  'an expression before its text': () => Object.assign(/a/y, { lastIndex: -0 }),
  globalThis: () => globalThis,
  Math: () => Math,
  'a module': () => import.meta,
};

export interface HostileValue {
  readonly name: string;
  readonly value: unknown;
}

const attempt = (name: string, make: () => unknown): readonly HostileValue[] => {
  try {
    return [{ name, value: make() }];
  } catch {
    // the language forbids it
    return [];
  }
};

/** Each kind of object with each prototype and each change. */
export function hostileValues(): readonly HostileValue[] {
  const objects = Object.entries(OBJECTS);
  return [
    ...Object.entries(SINGLE).flatMap(([name, make]) => attempt(name, make)),
    ...objects.flatMap(([name, make]) => [
      ...Object.entries(PROTOTYPES).flatMap(([of, prototype]) =>
        attempt(`${name} with the prototype of ${of}`, () => disguised(make(), prototype)),
      ),
      ...['Object', 'nothing'].flatMap((of) =>
        attempt(`${name} with the prototype of ${of}, with a property`, () =>
          property('shape', { value: [2, 3] })(disguised(make(), PROTOTYPES[of] ?? null)),
        ),
      ),
      ...Object.entries(CHANGES).flatMap(([how, change]) => attempt(`${name} ${how}`, () => change(make()))),
    ]),
  ];
}

const within: readonly (readonly [string, (value: unknown) => unknown])[] = [
  ['alone', (value) => value],
  ['in an object', (value) => ({ value })],
  ['in an array', (value) => [1, value]],
  ['in a map', (value) => new Map([['key', value]])],
  ['in a set', (value) => new Set([value])],
  ['in an error', (value) => new Error('e', { cause: value })],
  ['in an instance', (value) => new Listed(value)],
  [
    'in a cycle',
    (value) => {
      const cycle: unknown[] = [value];
      cycle.push(cycle);
      return cycle;
    },
  ],
];

/** A hostile value in a place. It says the same each time it is read, so that it can be compared. */
export function anyHostile(): fc.Arbitrary<HostileValue> {
  const values = hostileValues().filter(({ name }) => !name.startsWith('an item that changes'));
  return fc
    .tuple(fc.constantFrom(...values), fc.constantFrom(...within), fc.constantFrom(...within))
    .map(([{ name, value }, [where, wrap], [around, wrapAgain]]) => ({
      name: `${name}, ${where}, ${around}`,
      value: wrapAgain(wrap(value)),
    }));
}
