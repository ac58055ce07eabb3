import * as zlib from 'node:zlib';
import { randomBytes } from 'node:crypto';
import { types } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { algorithmOf, compress, type CompressionCodec } from '../../../lib/entries/compression.js';
import {
  compressRecord,
  decodeRecord,
  decodeRecordAsync,
  encodeRecord,
  RecordDamaged,
  RecordUnknown,
} from '../../../lib/entries/record.js';
import { resolveLanes } from '../../../lib/lanes/resolve-lanes.js';
import { forged, recordFields } from '../../support/record-fields.js';

const HAS_ZSTD = 'zstdCompressSync' in zlib;
const CODECS: readonly CompressionCodec[] = HAS_ZSTD ? ['brotli', 'zstd'] : ['brotli'];
const AT_FLAGS = 3;
const COMPRESSED_BY_ZSTD = 2 | 4;

const text = (bytes: number): Buffer => Buffer.alloc(bytes, '# Title\n\nSome words that come again. ');

describe.each(CODECS)('a value compressed by %s', (codec) => {
  it.each([2_000, 200_000, 600_000])(
    'of %d bytes is smaller in its record, and comes back unchanged',
    async (bytes) => {
      const fields = recordFields({ value: text(bytes) });
      const packed = await compressRecord(encodeRecord(fields), { codec, minBytes: 1_024 });
      expect(packed.length).toBeLessThan(1_500);
      expect(decodeRecord(packed)).toEqual({ ...fields, bytes: packed });
      expect(await decodeRecordAsync(packed)).toEqual({ ...fields, bytes: packed });
      expect(await compressRecord(packed, { codec: 'brotli', minBytes: 1 })).toBe(packed);
    },
  );

  it.each([1_048_575, 1_048_576, 1_700_000])('of %d bytes that hardly shrinks comes back unchanged', async (bytes) => {
    const value = Buffer.alloc(bytes, randomBytes(60_000).toString('hex'));
    const packed = await compressRecord(encodeRecord(recordFields({ value })), { codec, minBytes: 1_024 });
    expect(packed.length).toBeLessThan(bytes);
    expect(value.equals((await decodeRecordAsync(packed)).value)).toBe(true);
    expect(value.equals(decodeRecord(packed).value)).toBe(true);
  });

  it('stays as it is if it is short, or would not shrink by a tenth', () => {
    expect(compress(text(1_000), { codec, minBytes: 1_024 })).toBeUndefined();
    expect(compress(zlib.deflateRawSync(text(9_000)), { codec, minBytes: 1 })).toBeUndefined();
  });

  it('is as short as brotli makes it where it repeats what lies 200 KB before', () => {
    const part = Buffer.from(randomBytes(150_000).toString('base64'));
    const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT } = zlib.constants;
    const whole = Buffer.concat([part, part, part]);
    const params = { [BROTLI_PARAM_QUALITY]: 1, [BROTLI_PARAM_SIZE_HINT]: whole.length };
    const byDefault = zlib.brotliCompressSync(whole, { params }).length;
    expect(algorithmOf('brotli')?.compressNow(whole).length).toBeLessThanOrEqual(byDefault);
  });

  it('is compressed and expanded in the thread pool if it is long', async () => {
    const packed = compressRecord(encodeRecord(recordFields({ value: text(400_000) })), { codec, minBytes: 1 });
    expect(packed).toBeInstanceOf(Promise);
    const opened = decodeRecordAsync(await packed);
    expect(types.isPromise(opened) && opened instanceof Promise).toBe(true);
    expect((await opened).value).toEqual(text(400_000));
  });

  it('never expands beyond the size in the record', async () => {
    const packed = await compressRecord(encodeRecord(recordFields({ value: text(400_000) })), { codec, minBytes: 1 });
    const lie = Buffer.from(packed);
    lie.writeDoubleLE(300_000, 24);
    const claims = forged(lie, AT_FLAGS, lie.readUInt8(AT_FLAGS));
    expect(() => decodeRecord(claims)).toThrow(RecordDamaged);
    await expect(async () => decodeRecordAsync(claims)).rejects.toThrow(RecordDamaged);
  });
});

describe('zstd', () => {
  const packed = (): Buffer => {
    const record = compressRecord(encodeRecord(recordFields({ value: text(2_000) })), { codec: 'brotli', minBytes: 1 });
    if (!(record instanceof Uint8Array)) throw new Error('a short value was compressed in the pool');
    return forged(record, AT_FLAGS, COMPRESSED_BY_ZSTD);
  };
  const lane = { mine: { compression: { codec: 'zstd' } } } as const;

  it('is not used for a lane that only compresses', () => {
    expect(resolveLanes({ mine: { compression: true } }).get('mine')?.policy.compression.codec).toBe('brotli');
  });

  if (HAS_ZSTD) {
    it('is used for a lane that asks for it', () => {
      expect(resolveLanes(lane).get('mine')?.policy.compression).toMatchObject({ enabled: true, codec: 'zstd' });
    });

    it('is not guessed at: bytes of brotli under its flag are damaged', () => {
      expect(() => decodeRecord(packed())).toThrow(RecordDamaged);
    });
  } else {
    it('is refused for a lane that asks for it, where Node does not have it', () => {
      expect(algorithmOf('zstd')).toBeUndefined();
      expect(() => resolveLanes(lane)).toThrow(
        expect.objectContaining({
          code: 'LANE_INVALID',
          field: 'lanes.mine.compression',
          message: expect.stringContaining('Node 22.15'),
        }),
      );
      expect(() => resolveLanes({ mine: { compression: false }, heir: { extends: 'mine' } })).not.toThrow();
    });

    it('makes a record unknown, and not damaged, where Node does not have it', () => {
      expect(() => decodeRecord(packed())).toThrow(RecordUnknown);
      expect(() => decodeRecordAsync(packed())).toThrow(RecordUnknown);
    });
  }
});
