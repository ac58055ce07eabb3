import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ValueCodec } from '../../../../lib/entries/codec/value-codec.js';
import { roundsOf } from '../../../support/fault-table.js';
import { anyStorable, plainTree } from '../../../support/storable-values.js';
import { isSameInOrder } from '../../../support/same-in-order.js';
import { differences } from '../../../support/same-kinds.js';

const codec = new ValueCodec();

function roundTrip(value: unknown): unknown {
  const encoded = codec.encode(value);
  if (!encoded.storable) throw new Error(encoded.reason);
  return codec.decode(encoded.bytes);
}

describe('a value that was encoded', () => {
  it('comes back equal in value and type when it is a plain tree', () => {
    fc.assert(
      fc.property(plainTree(), (value) => expect(differences(roundTrip(value), value)).toEqual([])),
      { numRuns: roundsOf(300, 1_000) },
    );
  });

  it('comes back equal in value and type, whatever types it nests', () => {
    fc.assert(
      fc.property(anyStorable(), (value) => expect(differences(roundTrip(value), value)).toEqual([])),
      { numRuns: roundsOf(300, 1_000) },
    );
  });

  it('is read in place as it is decoded, frozen, from anywhere in a larger buffer, when it is a plain tree', () => {
    let read = 0;
    fc.assert(
      fc.property(plainTree(), fc.nat(20), (value, before) => {
        const encoded = codec.encode({ value });
        if (!encoded.storable) throw new Error(encoded.reason);
        const end = before + encoded.bytes.length;
        const larger = Buffer.alloc(end + 20, 0xff);
        larger.set(encoded.bytes, before);
        const inPlace = codec.decodeTree(larger, before, end);
        if (inPlace === undefined) return;
        read++;
        expect(differences(inPlace, codec.decode(encoded.bytes))).toEqual([]);
        expect(isDeeplyFrozen(inPlace)).toBe(true);
      }),
      { numRuns: roundsOf(300, 1_000) },
    );
    expect(read).toBeGreaterThan(100);
  });

  it('is equal after any number of round trips', () => {
    fc.assert(
      fc.property(anyStorable(), (value) => expect(differences(roundTrip(roundTrip(value)), value)).toEqual([])),
    );
  });
});

describe('encoding', () => {
  it('never throws, and never stores a value that cannot be decoded', () => {
    fc.assert(
      fc.property(anything(), (value) => {
        const encoded = codec.encode(value);
        const restored = encoded.storable ? codec.decode(encoded.bytes) : value;
        expect(isSameInOrder(restored, value)).toBe(true);
      }),
      { numRuns: roundsOf(300, 1_000) },
    );
  });
});

describe('reading in place', () => {
  it('reads numbers of every width, texts of every length, and large arrays and objects', () => {
    const widths = [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, -1, -32, -33, -129, -32_769, -(2 ** 31), 0.1];
    const texts = [1, 16, 17, 31, 32, 255, 256, 65_536].map((length) => 'x'.repeat(length));
    const names = Object.fromEntries([...texts, 'ü', '\u{1F600}'].map((text, index) => [text, index]));
    const value = {
      widths,
      texts,
      names,
      other: ['ü', '', null, true, false],
      many: Array.from({ length: 70_000 }, () => 1),
    };
    expect(readInPlace(value)).toEqual(value);
    expect(readInPlace(value)).toEqual(value);
  });

  it('leaves what is no such tree to the decoder', () => {
    for (const value of [{ at: new Date(0) }, { bytes: Buffer.from('a') }, { big: 1n }, [undefined], -0]) {
      expect(readInPlace(value)).toBeUndefined();
    }
    const disguised = Buffer.concat([Buffer.from([1, 0x81, 0xa9]), Buffer.from('__proto__'), Buffer.from([0x80])]);
    expect(codec.decodeTree(disguised, 0, disguised.length)).toBeUndefined();
  });

  it('throws nothing and ends soon, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (rest) => {
        codec.decodeTree(Buffer.from([1, ...rest]), 0, rest.length + 1);
        expect(Reflect.ownKeys(Object.prototype)).toEqual(objectPrototypeKeys);
      }),
      { numRuns: roundsOf(1_000, 3_000) },
    );
    // Each of these arrays claims to be as long as all that is left.
    const nested = Buffer.alloc(1 + 5 * 100_000);
    nested[0] = 1;
    for (let at = 1; at < nested.length; at += 5) {
      nested[at] = 0xdd;
      nested.writeUInt32BE(nested.length - at - 5, at + 1);
    }
    expect(codec.decodeTree(nested, 0, nested.length)).toBeUndefined();
  });

  it('reads nothing of a tree that is cut off, or followed by more', () => {
    const encoded = codec.encode({ list: [1, 'two', { three: [3.5, null] }], last: '' });
    if (!encoded.storable) throw new Error(encoded.reason);
    const bytes = Buffer.concat([encoded.bytes, Buffer.alloc(1)]);
    for (let end = 1; end <= bytes.length; end++) {
      expect(codec.decodeTree(bytes, 0, end) === undefined).toBe(end !== encoded.bytes.length);
    }
  });
});

function readInPlace(value: unknown): unknown {
  const encoded = codec.encode(value);
  if (!encoded.storable) throw new Error(encoded.reason);
  return codec.decodeTree(Buffer.from(encoded.bytes), 0, encoded.bytes.length);
}

const isDeeplyFrozen = (value: unknown): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (Object.isFrozen(value) && Object.values(value).every((item) => isDeeplyFrozen(item)));

describe('decoding bytes that are not an encoded value', () => {
  it('returns a value or throws a known error, for random bytes', () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 2, 3), fc.uint8Array({ maxLength: 200 }), (first, rest) => {
        expect(outcomeOf(Buffer.from([first, ...rest]))).toMatch(/^(value|MalformedValue|StaleType)$/);
      }),
      { numRuns: roundsOf(1_000, 3_000) },
    );
  });

  it('returns a value or throws a known error, for bytes changed in one place or cut off', () => {
    fc.assert(
      fc.property(anyStorable(), fc.nat(), fc.nat(255), (value, at, byte) => {
        const encoded = codec.encode(value);
        if (!encoded.storable) throw new Error(encoded.reason);
        const bytes = Buffer.from(encoded.bytes);
        expect(outcomeOf(bytes.subarray(0, at % bytes.length))).toBe('MalformedValue');
        bytes[at % bytes.length] = byte;
        expect(outcomeOf(bytes)).toMatch(/^(value|MalformedValue|StaleType)$/);
        expect(Reflect.ownKeys(Object.prototype)).toEqual(objectPrototypeKeys);
      }),
      { numRuns: roundsOf(500, 2_000) },
    );
  });
});

const objectPrototypeKeys = Reflect.ownKeys(Object.prototype);

function outcomeOf(bytes: Uint8Array): string {
  try {
    codec.decode(bytes);
    return 'value';
  } catch (error) {
    return error instanceof Error ? error.name : 'no error';
  }
}

const anything = (): fc.Arbitrary<unknown> =>
  fc.anything({
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withObjectString: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
  });
