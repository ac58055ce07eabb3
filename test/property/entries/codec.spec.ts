import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ValueCodec } from '../../../lib/entries/codec.js';
import { anyStorable, plainTree } from '../../support/storable-values.js';
import { sameKinds } from '../../support/same-kinds.js';

const codec = new ValueCodec();

function roundTrip(value: unknown): unknown {
  const encoded = codec.encode(value);
  if (!encoded.storable) throw new Error(encoded.reason);
  return codec.decode(encoded.bytes);
}

function expectSame(value: unknown): void {
  const restored = roundTrip(value);
  expect(isDeepStrictEqual(restored, value)).toBe(true);
  sameKinds(restored, value);
}

describe('a value that was encoded', () => {
  it('comes back equal in value and type when it is a plain tree', () => {
    fc.assert(
      fc.property(plainTree(), (value) => expectSame(value)),
      { numRuns: 1000 },
    );
  });

  it('comes back equal in value and type whatever kinds it nests', () => {
    fc.assert(
      fc.property(anyStorable(), (value) => expectSame(value)),
      { numRuns: 1000 },
    );
  });

  it('is equal however often it went through', () => {
    fc.assert(fc.property(anyStorable(), (value) => expectSame(roundTrip(roundTrip(value)))));
  });
});

describe('encoding', () => {
  it('never throws, and never stores what does not come back', () => {
    fc.assert(
      fc.property(
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
          withUnicodeString: true,
        }),
        (value) => {
          const encoded = codec.encode(value);
          if (encoded.storable) expect(isDeepStrictEqual(codec.decode(encoded.bytes), value)).toBe(true);
          else expect(encoded.reason).toMatch(/^value/);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('decoding bytes that are no encoded value', () => {
  const decodes = (bytes: Uint8Array): void => {
    try {
      codec.decode(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
    }
    expect(Object.keys(Object.prototype)).toEqual([]);
  };

  it('gives some value or an error, for random bytes', () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 2, 3), fc.uint8Array({ maxLength: 200 }), (first, rest) =>
        decodes(Buffer.from([first, ...rest])),
      ),
      { numRuns: 3000 },
    );
  });

  it('gives some value or an error, for bytes changed in one place or cut off', () => {
    fc.assert(
      fc.property(anyStorable(), fc.nat(), fc.nat(255), (value, at, byte) => {
        const encoded = codec.encode(value);
        if (!encoded.storable) throw new Error(encoded.reason);
        const bytes = Buffer.from(encoded.bytes);
        decodes(bytes.subarray(0, at % bytes.length));
        bytes[at % bytes.length] = byte;
        decodes(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});
