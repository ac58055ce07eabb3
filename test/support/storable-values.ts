import * as fc from 'fast-check';

/** Any code point. fast-check's own unit 'binary', and its URLs, build a table of all of them first, which takes a second. */
export const codePoint: fc.Arbitrary<string> = fc
  .oneof(fc.integer({ min: 0, max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10_ffff }))
  .map((point) => String.fromCodePoint(point));

/** Any text, also with lone surrogates. */
export const anyText = (): fc.Arbitrary<string> =>
  fc.oneof(
    fc.string({ unit: codePoint, maxLength: 12 }),
    fc.string({ maxLength: 300 }),
    fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 6 }).map((units) => String.fromCharCode(...units)),
    fc.constantFrom('__proto__', 'constructor', 'toJSON', 'length', '0', '-1', '4294967295', '\ud800', '\udc00x'),
  );

const anyNumber = (): fc.Arbitrary<number> =>
  fc.oneof(
    fc.double(),
    fc.integer(),
    fc.constantFrom(
      0,
      -0,
      NaN,
      Infinity,
      -Infinity,
      2 ** 31,
      -(2 ** 31) - 1,
      2 ** 32,
      2 ** 53,
      -(2 ** 53),
      127,
      128,
      -32,
      -33,
    ),
  );

const anyInteger = (): fc.Arbitrary<bigint> =>
  fc.oneof(
    fc.bigInt(),
    fc.bigInt({ min: -(2n ** 600n), max: 2n ** 600n }),
    fc.constantFrom(2n ** 63n, 2n ** 63n - 1n, -(2n ** 63n), -(2n ** 63n) - 1n, 2n ** 64n, 2n ** 64n - 1n, 0n),
  );

/** Objects, arrays and primitives, also primitives that JSON does not have. */
export function plainTree(): fc.Arbitrary<unknown> {
  return fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.oneof(
        anyNumber(),
        anyInteger(),
        fc.string({ unit: 'grapheme' }),
        fc.boolean(),
        fc.constantFrom(null, undefined),
      ),
      fc.array(tie('tree'), { maxLength: 6 }),
      fc.dictionary(fc.string({ unit: 'grapheme' }), tie('tree'), { maxKeys: 6, noNullPrototype: true }),
    ),
  })).tree;
}

const anyBytes = (): fc.Arbitrary<unknown> =>
  fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => bytes.slice().buffer),
    fc.uint8Array({ minLength: 3, maxLength: 20 }).map((bytes) => new DataView(bytes.buffer, 1, bytes.length - 2)),
    fc.uint8Array({ minLength: 8, maxLength: 20 }).map((bytes) => Buffer.from(bytes).subarray(3, 7)),
    fc.int8Array(),
    fc.uint8ClampedArray(),
    fc.int16Array(),
    fc.uint16Array(),
    fc.int32Array(),
    fc.uint32Array(),
    fc.float32Array(),
    fc.float64Array(),
    fc.bigInt64Array(),
    fc.bigUint64Array(),
  );

const anyUrl = (): fc.Arbitrary<URL> =>
  fc
    .tuple(
      fc.constantFrom('http', 'https', 'ftp'),
      fc.webAuthority(),
      fc.array(anyText(), { minLength: 3, maxLength: 3 }),
    )
    .map(([scheme, authority, [path = '', query = '', fragment = '']]) => {
      const url = new URL(`${scheme}://${authority}`);
      return Object.assign(url, { pathname: path, search: query, hash: fragment });
    });

const anyScalar = (): fc.Arbitrary<unknown> =>
  fc.oneof(
    anyText(),
    anyNumber(),
    anyInteger(),
    fc.boolean(),
    fc.constantFrom(null, undefined),
    anyBytes(),
    fc.date({ noInvalidDate: false }),
    fc.constantFrom(8.64e15, -8.64e15, -1, 0.5, -62_135_596_800_001).map((time) => new Date(time)),
    fc
      .tuple(fc.constantFrom('a+', '/', '\\n', '[\\d]{2}(?<x>y)', ''), fc.constantFrom('', 'g', 'giy', 'su'))
      .map(([source, flags]) => new RegExp(source, flags)),
    anyUrl(),
    fc.oneof(anyText(), anyNumber(), anyInteger(), fc.boolean()).map((primitive): unknown => Object(primitive)),
  );

const withProperties = (target: object, entries: readonly (readonly [string, unknown])[]): object => {
  for (const [key, value] of entries)
    Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
  return target;
};

const anyError = (inner: fc.Arbitrary<unknown>): fc.Arbitrary<Error> =>
  fc
    .record({
      make: fc.constantFrom<(message: string, cause: unknown) => Error>(
        (message, cause) => new Error(message, { cause }),
        (message) => new TypeError(message),
        (message, cause) => new RangeError(message, { cause }),
        () => new SyntaxError(),
        (message, cause) => new AggregateError([cause, message], message),
      ),
      message: anyText(),
      cause: inner,
      code: fc.option(anyText()),
      name: fc.option(fc.string()),
    })
    .map(({ make, message, cause, code, name }) => {
      const error = make(message, cause);
      if (code !== null) Object.assign(error, { code });
      if (name !== null) error.name = name;
      return error;
    });

const sparse = (items: readonly (readonly [number, unknown])[], length: number): unknown[] => {
  const array: unknown[] = [];
  for (const [position, item] of items) array[position] = item;
  array.length = Math.max(array.length, length);
  return array;
};

/** Every kind of value that must be restored unchanged, nested in every other. */
export function anyStorable(): fc.Arbitrary<unknown> {
  return fc.letrec<{ value: unknown }>((tie) => {
    const entries = fc.array(fc.tuple(anyText(), tie('value')), { maxLength: 5 });
    return {
      value: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        anyScalar(),
        fc.array(tie('value'), { maxLength: 5 }),
        entries.map((pairs) => withProperties({}, pairs)),
        entries.map((pairs) => withProperties(withoutPrototype(), pairs)),
        fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map((pairs) => new Map(pairs)),
        fc.array(tie('value'), { maxLength: 4 }).map((members) => new Set(members)),
        fc
          .tuple(fc.array(fc.tuple(fc.nat(40), tie('value')), { maxLength: 4 }), fc.nat(50))
          .map(([items, length]) => sparse(items, length)),
        anyError(tie('value')),
      ),
    };
  }).value;
}

const withoutPrototype = (): object => {
  const bare: object = Object.create(null);
  return bare;
};
