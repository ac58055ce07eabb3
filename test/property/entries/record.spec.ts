import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  compressRecord,
  decodeRecord,
  RecordDamaged,
  encodeRecord,
  type RecordFields,
} from '../../../lib/entries/record.js';
import { recordFields } from '../../support/record-fields.js';
import { anyText } from '../../support/storable-values.js';

const anyFields = (): fc.Arbitrary<RecordFields> =>
  fc.record({
    key: anyText(),
    tags: fc.array(anyText(), { maxLength: 5 }),
    birth: fc.nat(),
    storedAt: fc.maxSafeNat(),
    expiresAt: fc.double({ noNaN: true }),
    staleUntil: fc.maxSafeNat(),
    computeMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
    appVersion: anyText(),
    schemaVersion: fc.double({ noNaN: true }),
    value: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  });

describe('a record', () => {
  it('is decoded with every field, compressed or not, whatever the texts are', async () => {
    await fc.assert(
      fc.asyncProperty(anyFields(), async (fields) => {
        const bytes = encodeRecord(fields);
        expect(decodeRecord(bytes)).toEqual({ ...fields, bytes });
        const compressed = await compressRecord(bytes, { codec: 'brotli', minBytes: 1 });
        expect(decodeRecord(compressed)).toEqual({ ...fields, bytes: compressed });
      }),
    );
  });

  it('is damaged when any bit of it is flipped', async () => {
    const value = Buffer.from('compressible '.repeat(20));
    for (const record of [
      encodeRecord(recordFields()),
      await compressRecord(encodeRecord(recordFields({ value })), { codec: 'brotli', minBytes: 1 }),
    ]) {
      for (let bit = 0; bit < record.length * 8; bit += 1) {
        const flipped = Buffer.from(record);
        flipped[bit >> 3] = flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7));
        expect(() => decodeRecord(flipped)).toThrow(RecordDamaged);
      }
    }
  });

  it('is damaged when it is cut off anywhere', () => {
    const record = encodeRecord(recordFields());
    for (let length = 0; length < record.length; length += 1)
      expect(() => decodeRecord(record.subarray(0, length))).toThrow(RecordDamaged);
  });

  it('is damaged when several bytes of it are changed', () => {
    fc.assert(
      fc.property(
        anyFields(),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 9 }),
        (fields, changes) => {
          const record = encodeRecord(fields);
          const changed = Buffer.from(record);
          for (const [at, byte] of changes) changed[at % changed.length] = byte;
          fc.pre(!changed.equals(record));
          expect(() => decodeRecord(changed)).toThrow(RecordDamaged);
        },
      ),
    );
  });
});
