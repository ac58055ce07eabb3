import { crc32 } from 'node:zlib';

const CHECK_BYTES = 4;

/** Plain data as bytes that show when they were altered. JSON keeps lone surrogates, as escapes. */
export class SealedRow<T> {
  seal(row: T): Uint8Array {
    const text = Buffer.from(JSON.stringify(row));
    const sealed = Buffer.allocUnsafe(CHECK_BYTES + text.length);
    sealed.writeUInt32LE(crc32(text), 0);
    text.copy(sealed, CHECK_BYTES);
    return sealed;
  }

  /** What was sealed, or undefined when the bytes are not what was written. */
  open(bytes: Uint8Array | undefined): T | undefined {
    if (bytes === undefined || bytes.length <= CHECK_BYTES) return undefined;
    const sealed = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const text = sealed.subarray(CHECK_BYTES);
    if (crc32(text) !== sealed.readUInt32LE(0)) return undefined;
    const row: T = JSON.parse(text.toString());
    return row;
  }
}
