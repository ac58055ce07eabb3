import { types } from 'node:util';
import { brotliCompressSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { ValueCodec } from '../../../lib/entries/codec/value-codec.js';
import {
  compressRecord,
  decodeRecord,
  decodeRecordAsync,
  RecordDamaged,
  RecordReader,
  RecordUnknown,
  encodeRecord,
  type RecordFields,
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

  it('is the same around its value as with a copy of it, and writes nothing before its room', () => {
    const fields = recordFields();
    const copied = encodeRecord(fields);
    const head = copied.length - fields.value.length;
    for (const room of [head - 1, head, head + 100]) {
      const memory = Buffer.alloc(200 + room + fields.value.length, 0xaa);
      const value = memory.subarray(200 + room);
      value.set(fields.value);
      const bytes = encodeRecord({ ...fields, value }, room);
      expect(Buffer.compare(bytes, copied)).toBe(0);
      expect(bytes.buffer === memory.buffer).toBe(room >= head);
      const untouched = memory.subarray(0, room >= head ? 200 + room - head : 200 + room);
      expect(untouched.every((byte) => byte === 0xaa)).toBe(true);
      expect(value.equals(fields.value)).toBe(true);
    }
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

describe('a record that is read in place', () => {
  const codec = new ValueCodec();
  const reader = new RecordReader(codec);
  const encoded = (changes: Partial<RecordFields> = {}): Buffer => {
    const value = codec.encode({ title: 'Intro', words: [1, 2] });
    if (!value.storable) throw new Error(value.reason);
    return Buffer.from(encodeRecord(recordFields({ value: value.bytes, ...changes })));
  };

  it('has every field and the value, and makes the same bytes anew', () => {
    const bytes = encoded();
    const record = reader.read(bytes, 'doc:intro');
    const { bytes: _bytes, value: _value, ...fields } = decodeRecord(bytes);
    expect(record).toMatchObject({ ...fields, tree: { title: 'Intro', words: [1, 2] }, recordBytes: bytes.length });
    expect(Buffer.compare(record?.bytes ?? Buffer.alloc(0), bytes)).toBe(0);
  });

  it('keeps nothing of a buffer that is longer than the record, and that later reads overwrite', () => {
    const bytes = encoded({ appVersion: '', tags: [] });
    const buffer = Buffer.concat([bytes, Buffer.alloc(500, 0xff)]);
    Object.defineProperty(buffer, 'length', { value: bytes.length });
    const record = reader.read(buffer, 'doc:intro');
    buffer.fill(0x61);
    expect(record).toMatchObject({ key: 'doc:intro', tags: [], tree: { title: 'Intro', words: [1, 2] } });
  });

  it('is left to the decoder when a bit of it is flipped, it is cut off, or its parts do not fit', () => {
    const bytes = encoded();
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7));
      expect(reader.read(flipped, 'doc:intro')).toBeUndefined();
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(reader.read(bytes.subarray(0, length), 'doc:intro')).toBeUndefined();
    }
    for (const [at, byte] of [
      [14, 0xff],
      [22, 9],
      [24, 9],
      [2, 2],
    ] as const) {
      expect(reader.read(forged(bytes, at, byte), 'doc:intro')).toBeUndefined();
    }
  });

  it('is left to the decoder when it is of another key, compressed, not ASCII, or no plain tree', async () => {
    expect(reader.read(encoded(), 'doc:other')).toBeUndefined();
    expect(reader.read(encoded({ key: 'käse' }), 'käse')).toBeUndefined();
    expect(reader.read(encoded({ key: 'a\ud800' }), 'a\ud800')).toBeUndefined();
    expect(reader.read(encoded({ value: Buffer.from('no value') }), 'doc:intro')).toBeUndefined();
    const long = codec.encode({ text: 'word '.repeat(500) });
    const bytes = encoded({ value: long.storable ? long.bytes : Buffer.alloc(0) });
    const compressed = Buffer.from(await compressRecord(bytes, { codec: 'brotli', minBytes: 1 }));
    expect(compressed.length).toBeLessThan(bytes.length);
    expect(reader.read(compressed, 'doc:intro')).toBeUndefined();
  });

  it('has the version of its own app, whichever was read before', () => {
    const versions = ['1.4', '1.5', '', 'ü', '1.4'];
    for (const appVersion of versions) {
      expect(reader.read(encoded({ appVersion }), 'doc:intro')?.appVersion).toBe(appVersion);
    }
  });
});
