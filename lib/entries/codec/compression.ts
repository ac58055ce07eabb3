import {
  signRecord,
  checkedRecord,
  isCompressed,
  storedValueOf,
  valueLengthOf,
  AT_FLAGS,
  AT_LENGTH,
  COMPRESSED,
} from '../record.js';
import { compress, compressOnPool } from '../record-compression.js';

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
  const record = checkedRecord(bytes);
  const length = valueLengthOf(record);
  if (isCompressed(record) || length < minBytes) return bytes;
  const value = storedValueOf(record);
  const shorter = (compressed: Buffer): Uint8Array => {
    const isWorthwhile = compressed.length <= value.length * WORTHWHILE_SHARE;
    return isWorthwhile ? withValue(record.subarray(0, record.length - value.length), compressed) : bytes;
  };
  return length <= COMPRESS_AT_ONCE_BYTES ? shorter(compress(value)) : compressOnPool(value).then(shorter);
}

function withValue(head: Buffer, compressed: Buffer): Uint8Array {
  const record = Buffer.concat([head, compressed]);
  record.writeUInt8(record.readUInt8(AT_FLAGS) | COMPRESSED, AT_FLAGS);
  record.writeUInt32LE(record.length, AT_LENGTH);
  signRecord(record);
  return record;
}
