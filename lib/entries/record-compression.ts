import { promisify } from 'node:util';
import { brotliCompress, brotliCompressSync, brotliDecompress, brotliDecompressSync, constants } from 'node:zlib';

/** Up to this, expanding takes about a millisecond at worst, less than a way through the thread pool under load. */
export const EXPAND_AT_ONCE_BYTES = 256 * 1024;

const compressParameters = (bytes: Uint8Array): { readonly params: Record<number, number> } => ({
  params: { [constants.BROTLI_PARAM_QUALITY]: 1, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.byteLength },
});

export const compress = (bytes: Uint8Array): Buffer => brotliCompressSync(bytes, compressParameters(bytes));

// Node's own promises are not those of a realm of its own, such as a test runner's, where `instanceof Promise` says no of
// them: an async function makes one of ours.

export const compressOnPool = async (bytes: Uint8Array): Promise<Buffer> =>
  promisify<Uint8Array, object, Buffer>(brotliCompress)(bytes, compressParameters(bytes));

/** Throws when the result would be longer than `length`, before making it. */
export const expand = (bytes: Uint8Array, length: number): Buffer =>
  brotliDecompressSync(bytes, { maxOutputLength: Math.max(length, 1) });

export const expandOnPool = async (bytes: Uint8Array, length: number): Promise<Buffer> =>
  promisify<Uint8Array, object, Buffer>(brotliDecompress)(bytes, { maxOutputLength: Math.max(length, 1) });
