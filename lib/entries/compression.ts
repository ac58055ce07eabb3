import { signRecord } from './record-checksum.js';
import { asBuffer, readHeader, type RecordHeader } from './record-header.js';
import { AT_FLAGS, AT_LENGTH, COMPRESSED } from './record-layout.js';
import { compress, compressOnPool } from './value-compression.js';

/** Up to this, compressing takes a fraction of a millisecond; more goes to a thread of the pool. */
const COMPRESS_AT_ONCE_BYTES = 32 * 1024;
/** A compressed value must not be longer than this share of the original to be worth expanding at every read. */
const WORTHWHILE_SHARE = 0.9;

/**
 * The record with its value compressed, or the same bytes where the value is shorter than `minBytes`, is compressed
 * already, or would not shrink by a tenth. Values over 32 KB are compressed on the thread pool. Throws, or rejects
 * with, what `openRecord` throws.
 */
export function compressRecord(bytes: Uint8Array, minBytes: number): Uint8Array | Promise<Uint8Array> {
  const header = readHeader(bytes);
  if (header.isCompressed || header.valueLength < minBytes) return bytes;
  return header.valueLength <= COMPRESS_AT_ONCE_BYTES
    ? withValue(header, compress(header.storedValue))
    : compressOnPool(header.storedValue).then((compressed) => withValue(header, compressed));
}

function withValue({ bytes, storedValue }: RecordHeader, compressed: Buffer): Uint8Array {
  if (compressed.length > storedValue.length * WORTHWHILE_SHARE) return bytes;
  const head = asBuffer(bytes).subarray(0, bytes.byteLength - storedValue.length);
  const record = Buffer.concat([head, compressed]);
  record.writeUInt8(record.readUInt8(AT_FLAGS) | COMPRESSED, AT_FLAGS);
  record.writeUInt32LE(record.length, AT_LENGTH);
  signRecord(record);
  return record;
}
