import { describe, expect, it } from '@jest/globals';
import { EncodedValue } from '../../../lib/cache/encoded-value.js';
import { ValueCodec } from '../../../lib/entries/codec/value-codec.js';
import { decodeRecord, encodeRecord } from '../../../lib/entries/record.js';
import { recordFields } from '../../support/record-fields.js';

const context = { lane: 'docs', codec: new ValueCodec() };
const TEXT = 'x'.repeat(200_000);

const encodedOf = (value: unknown): { readonly encoded: EncodedValue; readonly bytes: Uint8Array } => {
  const encoded = EncodedValue.of(context, value, 'frozen');
  if (encoded.bytes === undefined) throw new Error(encoded.unstorable);
  return { encoded, bytes: encoded.bytes };
};

describe('the records of one large value', () => {
  it('share its memory with one of them alone, so that none is written over by a later one', () => {
    const { encoded, bytes: value } = encodedOf(TEXT);
    const keys = ['first', 'second', 'a key that is longer than the others'];
    const records = keys.map((key) => encodeRecord({ ...recordFields({ key }), value }, encoded.takeRoom()));
    expect(records.map((record) => decodeRecord(record).key)).toEqual(keys);
    expect(records.map((record) => record.buffer === value.buffer)).toEqual([true, false, false]);
    expect(encoded.valueFor('clone')).toBe(TEXT);
  });
});

describe('the record of a small value', () => {
  it('has memory of its own', () => {
    const { encoded, bytes: value } = encodedOf({ small: 1 });
    expect(encoded.takeRoom()).toBe(0);
    const record = encodeRecord({ ...recordFields({}), value }, encoded.takeRoom());
    expect(context.codec.decode(decodeRecord(record).value)).toEqual({ small: 1 });
  });
});
