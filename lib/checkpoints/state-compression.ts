import { promisify } from 'node:util';
import { brotliCompress, brotliCompressSync, brotliDecompress, constants } from 'node:zlib';
import type { CheckpointRecord } from './checkpoint-store.js';

/** Compressing this much takes a fraction of a millisecond; more is compressed in the thread pool. */
const AT_ONCE_BYTES = 32 * 1024;
/** A state that does not shrink by a tenth is stored as it is. */
const WORTHWHILE_SHARE = 0.9;

/** The state as it is stored, at once where that is quick. Undefined if it is stored as it is. */
export function compressState(
  state: Uint8Array,
  fromBytes: number | undefined,
): Uint8Array | undefined | Promise<Uint8Array | undefined> {
  if (fromBytes === undefined || state.length < fromBytes) return undefined;
  const shorter = (compressed: Uint8Array): Uint8Array | undefined =>
    compressed.length <= state.length * WORTHWHILE_SHARE ? compressed : undefined;
  if (state.length <= AT_ONCE_BYTES) return shorter(brotliCompressSync(state, optionsFor(state)));
  return compressInPool(state).then(shorter);
}

// Promises of `promisify` belong to Node's own realm; those of an async function belong to this one.
const compressInPool = async (state: Uint8Array): Promise<Uint8Array> =>
  promisify<Uint8Array, object, Uint8Array>(brotliCompress)(state, optionsFor(state));

const optionsFor = (state: Uint8Array): { readonly params: Record<number, number> } => ({
  params: { [constants.BROTLI_PARAM_QUALITY]: 1, [constants.BROTLI_PARAM_SIZE_HINT]: state.byteLength },
});

/** The state as it was encoded. Undefined if the stored bytes cannot be expanded to its size. */
export async function expandState(
  { sizeBytes, storedBytes }: CheckpointRecord,
  stored: Uint8Array,
): Promise<Uint8Array | undefined> {
  if (storedBytes === undefined) return stored;
  const options = { maxOutputLength: Math.max(sizeBytes, 1) };
  try {
    const state = await promisify<Uint8Array, object, Uint8Array>(brotliDecompress)(stored, options);
    return state.length === sizeBytes ? state : undefined;
  } catch {
    return undefined;
  }
}
