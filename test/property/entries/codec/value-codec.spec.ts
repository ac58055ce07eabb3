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
