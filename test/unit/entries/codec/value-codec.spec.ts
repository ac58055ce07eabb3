import { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import { runInNewContext } from 'node:vm';
import { pack } from 'msgpackr';
import { describe, expect, it } from '@jest/globals';
import { MalformedValue } from '../../../../lib/entries/codec/kinds.js';
import { ValueCodec } from '../../../../lib/entries/codec/value-codec.js';
import { freezeCopy } from '../../../../lib/entries/isolation.js';

const codec = new ValueCodec();

function roundTrip(value: unknown, through = codec): unknown {
  const encoded = through.encode(value);
  if (!encoded.storable) throw new Error(encoded.reason);
  return through.decode(encoded.bytes);
}

function reasonFor(value: unknown, through = codec): string {
  const encoded = through.encode(value);
  return encoded.storable ? 'storable' : encoded.reason;
}

const messageOf = (first: number, content: Uint8Array): Buffer => Buffer.concat([Buffer.from([first]), content]);

describe('encoded values', () => {
  const own = new ValueCodec();
  const bytesOf = (value: unknown): Uint8Array => {
    const encoded = own.encode(value);
    return encoded.storable ? encoded.bytes : Buffer.of();
  };

  it.each(['x'.repeat(65_536), [new Date(0), 'x'.repeat(65_536)], { small: 1 }])(
    'have room before them that no other value uses (%#)',
    (value) => {
      const encoded = [0, 1, 2].map(() => own.encode(value));
      for (const each of encoded) {
        if (!each.storable) throw new Error(each.reason);
        const { buffer, byteOffset } = each.bytes;
        expect(byteOffset).toBeGreaterThanOrEqual(each.room);
        new Uint8Array(buffer, byteOffset - each.room, each.room).fill(0xff);
      }
      for (const each of encoded) expect(each.storable && own.decode(each.bytes)).toEqual(value);
    },
  );

  it.each([1, 2, 3])('make no other large buffer for each text of %i MB', (megabytes) => {
    const text = 'x'.repeat(megabytes * 1024 * 1024);
    const own = new ValueCodec();
    for (let nth = 1; nth <= 3; nth++) own.encode(text);
    const made = Array.from({ length: 6 }, () => {
      const before = process.memoryUsage().arrayBuffers;
      own.encode(text);
      return process.memoryUsage().arrayBuffers - before;
    });
    expect(Math.max(...made)).toBeLessThan(2 * text.length);
  });

  it.each([1, 2])('keep no large buffer alive after a text of %i MB', (megabytes) => {
    const text = 'x'.repeat(megabytes * 1024 * 1024);
    const large = bytesOf(text);
    const small = [bytesOf({ small: 1 }), bytesOf({ small: 2 })];
    const again = bytesOf(text.replaceAll('x', 'y'));
    expect(large.buffer.byteLength).toBeLessThanOrEqual(large.byteLength + 1_024);
    for (const bytes of small) expect(bytes.buffer.byteLength).toBeLessThanOrEqual(64 * 1024);
    // None is written over by those that follow.
    expect(own.decode(large)).toBe(text);
    expect(small.map((bytes) => own.decode(bytes))).toEqual([{ small: 1 }, { small: 2 }]);
    expect(own.decode(again)).toBe('y'.repeat(text.length));
  });
});

describe('a decoded value', () => {
  it('keeps cycles and shared objects', () => {
    const shared = new Date(7);
    const value: Record<string, unknown> = { first: shared, second: shared, list: [] };
    value['self'] = value;
    value['map'] = new Map([[value, new Set([value])]]);
    const restored = roundTrip(value);
    expect(isDeepStrictEqual(restored, value)).toBe(true);
    expect(restored).toHaveProperty('self', restored);
    expect(Reflect.get(Object(restored), 'first')).toBe(Reflect.get(Object(restored), 'second'));
  });

  it('may be nested 1,000 levels deep, and no deeper', () => {
    const nested = (levels: number): unknown => {
      let value: unknown = 'core';
      for (let level = 0; level < levels; level += 1) value = level % 2 === 0 ? [value] : { inner: value };
      return value;
    };
    let restored = roundTrip(nested(1_000));
    let levels = 0;
    for (; typeof restored === 'object' && restored !== null; levels += 1) restored = Object.values(restored)[0];
    expect([levels, restored]).toEqual([1_000, 'core']);
    const refused = codec.encode(nested(1_001));
    expect(refused).toMatchObject({ storable: false, reason: expect.stringContaining('more than 1000 levels deep') });
  });

  it.each<[string, number, (inner: unknown) => unknown]>([
    ['arrays', 1_000_000, (inner) => [inner]],
    ['objects', 1_000_000, (inner) => ({ inner })],
    ['maps', 100_000, (inner) => new Map([['inner', inner]])],
    ['keys of maps', 100_000, (inner) => new Map([[inner, 1]])],
    ['sets', 100_000, (inner) => new Set([inner])],
    ['causes of errors', 10_000, (cause) => new Error('e', { cause })],
    ['errors of several', 10_000, (inner) => new AggregateError([inner])],
  ])('is refused at that depth, and not read to its end: %s', (_, levels, around) => {
    let reads = 0;
    const core = new Proxy({}, { ownKeys: () => (reads++, []) });
    let value: unknown = core;
    for (let level = 0; level < levels; level += 1) value = around(value);
    expect(codec.encode(value)).toMatchObject({
      storable: false,
      reason: expect.stringContaining('more than 1000 levels deep'),
    });
    expect(reads).toBe(0);
  });

  it('is small for a small graph with very many paths through it', () => {
    let value: unknown = { leaf: true };
    for (let level = 0; level < 60; level += 1) value = [value, value];
    const encoded = codec.encode(value);
    expect(encoded.storable && encoded.bytes.length < 5_000).toBe(true);
  });

  it('is small for an array of holes', () => {
    const restored = roundTrip(Object.assign([], { length: 4_000_000_000 }));
    expect(restored).toHaveLength(4_000_000_000);
    expect(Object.keys(Object(restored))).toEqual([]);
  });

  it('keeps an own __proto__ apart from the prototype', () => {
    const value: unknown = JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"name": 1}, "toJSON": 2}');
    const restored = roundTrip(value);
    expect(Object.getPrototypeOf(restored)).toBe(Object.prototype);
    expect(JSON.stringify(restored)).toBe(JSON.stringify(value));
  });

  it('has its own buffers, also for views of larger buffers', () => {
    const pool = Buffer.alloc(1000, 7);
    const encoded = codec.encode({ part: pool.subarray(10, 14) });
    if (!encoded.storable) throw new Error(encoded.reason);
    const first = codec.decode(encoded.bytes);
    const part: unknown = Reflect.get(Object(first), 'part');
    if (!Buffer.isBuffer(part)) throw new Error('no buffer');
    expect(part.buffer.byteLength).toBe(4);
    part.fill(1);
    expect(codec.decode(encoded.bytes)).toEqual({ part: Buffer.alloc(4, 7) });
  });

  it('has errors with their stack, cause, code and changed name', () => {
    const error = Object.assign(new RangeError('too far', { cause: new Error('why') }), { code: 'E_FAR' });
    error.name = 'FarError';
    const restored = roundTrip(error);
    expect(restored).toBeInstanceOf(RangeError);
    expect(restored).toMatchObject({ message: 'too far', name: 'FarError', code: 'E_FAR', stack: error.stack });
    expect(Object.keys(Object(restored))).toEqual(Object.keys(error));
    expect(restored).toHaveProperty('cause.message', 'why');
  });

  it('is not frozen, although a frozen copy was encoded', () => {
    const value = { when: new Date(1), map: new Map([['a', new Set([1])]]) };
    const frozen = freezeCopy(roundTrip(value), 'docs');
    const again = roundTrip(frozen.shareable ? frozen.value : undefined);
    expect(isDeepStrictEqual(again, value)).toBe(true);
    const map: unknown = Reflect.get(Object(again), 'map');
    expect(map instanceof Map && map.set('b', 1).size).toBe(2);
  });

  it('is not affected by later changes of the bytes', () => {
    const first = codec.encode({ text: 'one' });
    codec.encode({ text: 'two' });
    expect(first.storable && codec.decode(first.bytes)).toEqual({ text: 'one' });
  });
});

describe('a value that cannot be stored', () => {
  class Money {
    constructor(readonly amount: number) {}
  }
  const cases: readonly (readonly [string, () => unknown, string])[] = [
    ['a function', () => ({ items: [0, { stream: () => 1 }] }), 'value.items[1].stream is a function'],
    ['a symbol', () => ({ 'odd key': Symbol('x') }), 'value["odd key"] is a symbol'],
    ['a symbol key', () => ({ [Symbol('secret')]: 1 }), 'value[Symbol(secret)] has a symbol for a key'],
    [
      'a symbol key on an array',
      () => Object.assign([1], { [Symbol('s')]: 1 }),
      'value[Symbol(s)] has a symbol for a key',
    ],
    [
      'an accessor',
      () => Object.defineProperty({}, 'now', { get: () => 1, enumerable: true }),
      'value.now is an accessor',
    ],
    ['a hidden property', () => Object.defineProperty({}, 'id', { value: 1 }), 'value.id is not enumerable'],
    ['a named property on an array', () => Object.assign([1, 2], { total: 3 }), 'value.total is a property added'],
    ['a negative index', () => Object.assign(Array(2), { '-1': 3 }), 'value["-1"] is a property added'],
    ['a named property on a Map', () => Object.assign(new Map(), { total: 3 }), 'value.total is a property added'],
    ['a class', () => ({ price: new Money(1) }), "value.price is an instance of Money, which is not listed in 'types'"],
    ['a subclass of a built-in', () => [new (class Index extends Map {})()], 'value[0] is an instance of Index'],
    ['a Promise', () => ({ later: Promise.resolve(1) }), 'value.later is a Promise'],
    ['a WeakMap', () => new Map([['w', new WeakMap()]]), 'value<entry 0> is an instance of WeakMap'],
    ['a stream', () => ({ body: Readable.from([]) }), 'value.body is a stream (Readable)'],
    ['a web stream', () => new Set([new ReadableStream()]), 'value<member 0> is a stream (ReadableStream)'],
    ['a Proxy', () => ({ p: new Proxy({}, {}) }), 'value.p is a Proxy'],
    ['shared memory', () => new Uint8Array(new SharedArrayBuffer(4)), 'value lies in memory shared between threads'],
    ['another realm', () => runInNewContext('({ a: 1 })'), 'value is an Object of another realm'],
    ['something with a forged prototype', () => Object.create(Map.prototype), 'value is an instance of Map'],
  ];

  it.each(cases)('is refused with its place and kind: %s', (_, make, reason) => {
    expect(reasonFor(make())).toContain(reason);
  });

  it.each<[string, object]>([
    ['a Map', new Map([['hidden', 1]])],
    ['a Date', new Date(0)],
  ])('is refused if it has the prototype and the fields of a plain object: %s', (_, object) => {
    Object.setPrototypeOf(object, Object.prototype);
    expect(reasonFor(Object.assign(object, { field: 1 }))).toContain('of a changed prototype');
  });

  it('is refused when reading it throws', () => {
    const list = [1];
    Object.defineProperty(list, 0, {
      enumerable: true,
      get: () => {
        throw new Error('not today');
      },
    });
    expect(reasonFor(list)).toBe('value cannot be read: not today');
  });
});

describe('classes listed in types', () => {
  class Money {
    constructor(
      readonly amount: number,
      readonly currency: string,
    ) {
      if (currency === undefined) throw new Error('the constructor ran');
    }
    set note(_text: string) {
      throw new Error('the setter ran');
    }
  }
  class Cents extends Money {}
  class Failed extends Error {
    constructor(readonly step: number) {
      super(`step ${step} failed`);
    }
  }

  it('come back as instances, without their constructors running', () => {
    const listed = new ValueCodec([Money, { type: Failed, name: 'failed', version: 3 }]);
    const value = { prices: [new Money(1, 'EUR')], why: new Failed(2) };
    const restored = roundTrip(value, listed);
    expect(isDeepStrictEqual(restored, value)).toBe(true);
    expect(restored).toHaveProperty('why.message', 'step 2 failed');
  });

  it('come back without their setters running', () => {
    const listed = new ValueCodec([Money]);
    const money = Object.defineProperty(new Money(1, 'EUR'), 'note', { value: 'own', enumerable: true });
    expect(isDeepStrictEqual(roundTrip(money, listed), money)).toBe(true);
  });

  it('do not include their subclasses', () => {
    expect(reasonFor(new Cents(1, 'EUR'), new ValueCodec([Money]))).toContain('instance of Cents');
  });

  it('cannot hide data in a built-in base class', () => {
    class Index extends Map<string, number> {}
    expect(reasonFor(new Index([['a', 1]]), new ValueCodec([Index]))).toContain('instance of Index');
  });

  it('are migrated from another version, inner ones before outer ones', () => {
    class Order {
      constructor(
        readonly total: unknown,
        readonly seen: unknown,
      ) {}
    }
    const total = new Money(5, 'EUR');
    const old = new ValueCodec([{ type: Money, version: 1 }, Order]).encode([total, new Order(total, [total])]);
    const now = new ValueCodec([
      {
        type: Money,
        version: 2,
        migrate: ({ amount }, from) => new Money(Number(amount) * 100, `cents since ${from}`),
      },
      { type: Order, version: 2, migrate: ({ total: t, seen }) => new Order([t instanceof Money, t], seen) },
    ]);
    if (!old.storable) throw new Error(old.reason);
    const migrated = new Money(500, 'cents since 1');
    const expected = [migrated, new Order([true, migrated], [migrated])];
    expect(isDeepStrictEqual(now.decode(old.bytes), expected)).toBe(true);
  });

  it('are migrated within a cycle of others, and stale where they are what the cycle leads back to', () => {
    class Order {
      next: unknown;
    }
    const order = new Order();
    const cycle = { order, total: new Money(5, 'EUR') };
    order.next = cycle;
    const old = new ValueCodec([Money, Order]).encode(order);
    if (!old.storable) throw new Error(old.reason);
    const total = { type: Money, version: 2, migrate: () => new Money(6, 'EUR') };
    const migrated = new ValueCodec([total, Order]).decode(old.bytes);
    cycle.total = new Money(6, 'EUR');
    expect(isDeepStrictEqual(migrated, order)).toBe(true);
    const later = new ValueCodec([Money, { type: Order, version: 2, migrate: () => new Order() }]);
    expect(() => later.decode(old.bytes)).toThrow(expect.objectContaining({ name: 'StaleType' }));
  });

  it.each([
    ['there is no migrate', { type: Money, version: 2 }],
    ['migrate gives nothing', { type: Money, version: 2, migrate: () => undefined }],
    [
      'migrate throws',
      {
        type: Money,
        version: 2,
        migrate: () => {
          throw new Error('no');
        },
      },
    ],
    ['the class is no longer listed', Failed],
  ])('are stale when %s', (_, entry) => {
    const old = new ValueCodec([Money]).encode({ price: new Money(1, 'EUR') });
    if (!old.storable) throw new Error(old.reason);
    expect(() => new ValueCodec([entry]).decode(old.bytes)).toThrow(expect.objectContaining({ name: 'StaleType' }));
  });

  it.each([
    ['two of one name', [Money, { type: Cents, name: 'Money' }], /second type named 'Money'/],
    ['no class', [{ type: {} }], /'types\[0\]' is not a class/],
    ['a class without a name', [(() => class extends Money {})()], /needs a name/],
    ['a fractional version', [{ type: Money, version: 1.5 }], /version.*not 1\.5/],
  ])('are refused when invalid: %s', (_, types, message) => {
    expect(() => Reflect.construct(ValueCodec, [types])).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringMatching(message) }),
    );
  });
});

describe('decoding bytes of unknown origin', () => {
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['an unknown first byte', messageOf(9, pack(1))],
    ['lengths beyond the bytes', messageOf(1, Buffer.from([0xdd, 0x01, 0xff, 0xff, 0xff]))],
    ['many nested lengths beyond the bytes', messageOf(1, Buffer.from('ddffffff'.repeat(100), 'hex'))],
    ['a record definition', messageOf(1, Buffer.from([0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01]))],
    ['an extension', messageOf(1, pack(new Date()))],
    ['an undefined with content', messageOf(1, Buffer.from([0xd4, 0x00, 0x01]))],
    ['an extension with the content of undefined', messageOf(1, Buffer.from([0xd4, 0x42, 0x00]))],
    ['more than one value', messageOf(1, Buffer.from([1, 2]))],
    ['a table that is none', messageOf(2, pack({}))],
    ['a reference to no row', messageOf(2, pack([[5], []]))],
    ['an unknown kind', messageOf(2, pack([[0], [['Function', 'return 1']]]))],
    ['an item beyond the end of its array', messageOf(2, pack([[0], [['Array', 2, 7, 1]]]))],
    ['an array of impossible length', messageOf(2, pack([[0], [['Array', -1]]]))],
    ['an array that is too long', messageOf(2, pack([[0], [['Array', 2 ** 32]]]))],
    ['an expression that is none', messageOf(2, pack([[0], [['RegExp', '(', '', 0]]]))],
    ['a view of half an item', messageOf(2, pack([[0], [['Float64Array', Buffer.alloc(7)]]]))],
    ['a box of an object', messageOf(2, pack([[0], [['BoxedNumber', [0]]]]))],
  ])('throws on %s', (_, bytes) => {
    expect(() => codec.decode(bytes)).toThrow(MalformedValue);
  });
});
