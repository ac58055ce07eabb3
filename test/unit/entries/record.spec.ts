import { types } from 'node:util';
import { brotliCompressSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import {
  compressRecord,
  decodeRecord,
  decodeRecordAsync,
  RecordDamaged,
  RecordUnknown,
  encodeRecord,
} from '../../../lib/entries/record.js';
import { forged, recordFields } from '../../support/record-fields.js';

const text = (bytes: number): Buffer => Buffer.from('# Title\n\nSome words. '.repeat(bytes / 20)).subarray(0, bytes);

describe('an encoded record', () => {
  it('is decoded with every field', () => {
    const fields = recordFields();
    const bytes = encodeRecord(fields);
    expect(decodeRecord(bytes)).toEqual({ ...fields, bytes });
  });

  it('is decoded from the middle of a larger buffer', () => {
    const fields = recordFields({ key: 'käse', tags: [] });
    const bytes = encodeRecord(fields);
    const larger = new Uint8Array(bytes.length + 20);
    larger.set(bytes, 7);
    expect(decodeRecord(larger.subarray(7, 7 + bytes.length))).toMatchObject(fields);
  });

  it('keeps an infinite expiry', () => {
    const fields = recordFields({ expiresAt: Infinity, staleUntil: Infinity });
    expect(decodeRecord(encodeRecord(fields))).toMatchObject(fields);
  });

  it('is damaged when a byte is missing or too many', () => {
    const bytes = encodeRecord(recordFields());
    expect(() => decodeRecord(bytes.subarray(0, -1))).toThrow(RecordDamaged);
    expect(() => decodeRecord(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(RecordDamaged);
    expect(() => decodeRecord(Buffer.alloc(0))).toThrow(RecordDamaged);
  });

  it('is damaged when its parts are longer than itself, even if the checksum holds', () => {
    const bytes = encodeRecord(recordFields());
    expect(() => decodeRecord(forged(bytes, 14, 0xff))).toThrow(RecordDamaged);
    expect(() => decodeRecord(forged(bytes, 22, 9))).toThrow(RecordDamaged);
    expect(() => decodeRecord(forged(bytes, 24, 9))).toThrow(RecordDamaged);
  });

  it('is unknown, not damaged, when a newer version wrote it', () => {
    expect(() => decodeRecord(forged(encodeRecord(recordFields()), 2, 2))).toThrow(RecordUnknown);
  });
});

describe('compressing a record', () => {
  it('changes nothing but the bytes', async () => {
    const fields = recordFields({ value: text(20_000) });
    const bytes = await compressRecord(encodeRecord(fields), { codec: 'brotli', minBytes: 1024 });
    expect(bytes.length).toBeLessThan(2_000);
    expect(decodeRecord(bytes)).toEqual({ ...fields, bytes });
  });

  it('is done at once for small values, and in the thread pool for large ones', async () => {
    const small = compressRecord(encodeRecord(recordFields({ value: text(32_000) })), {
      codec: 'brotli',
      minBytes: 1024,
    });
    expect(small).toBeInstanceOf(Uint8Array);
    const fields = recordFields({ value: text(400_000) });
    const large = compressRecord(encodeRecord(fields), { codec: 'brotli', minBytes: 1024 });
    expect(types.isPromise(large)).toBe(true);
    const bytes = await large;
    const opened = decodeRecordAsync(bytes);
    expect(types.isPromise(opened)).toBe(true);
    expect(await opened).toEqual({ ...fields, bytes });
    expect(decodeRecord(bytes)).toEqual({ ...fields, bytes });
  });

  it('is skipped where it saves less than a tenth', async () => {
    const short = encodeRecord(recordFields({ value: text(1_000) }));
    expect(compressRecord(short, { codec: 'brotli', minBytes: 1024 })).toBe(short);
    const noise = encodeRecord(
      recordFields({
        value: brotliCompressSync(Buffer.from(Array.from({ length: 9_000 }, (_, i) => (i * i * 7919) % 251))),
      }),
    );
    expect(compressRecord(noise, { codec: 'brotli', minBytes: 10 })).toBe(noise);
    const once = await compressRecord(encodeRecord(recordFields({ value: text(5_000) })), {
      codec: 'brotli',
      minBytes: 1024,
    });
    expect(compressRecord(once, { codec: 'brotli', minBytes: 1024 })).toBe(once);
  });

  it('needs no promise for decoding small or uncompressed values', async () => {
    const plain = encodeRecord(recordFields({ value: text(400_000) }));
    const small = await compressRecord(encodeRecord(recordFields({ value: text(40_000) })), {
      codec: 'brotli',
      minBytes: 1,
    });
    expect([plain, small].map((bytes) => types.isPromise(decodeRecordAsync(bytes)))).toEqual([false, false]);
  });

  it('never expands beyond the limit, nor beyond the size in the record', async () => {
    const bytes = await compressRecord(encodeRecord(recordFields({ value: text(400_000) })), {
      codec: 'brotli',
      minBytes: 1024,
    });
    expect(() => decodeRecord(bytes, 300_000)).toThrow(RecordDamaged);
    expect(() => decodeRecordAsync(bytes, 300_000)).toThrow(RecordDamaged);
    const lie = Buffer.from(bytes);
    lie.writeDoubleLE(300_000, 24);
    const forgedLength = forged(lie, 3, lie.readUInt8(3));
    expect(() => decodeRecord(forgedLength)).toThrow(RecordDamaged);
    await expect(Promise.resolve(decodeRecordAsync(forgedLength))).rejects.toThrow(RecordDamaged);
  });
});
