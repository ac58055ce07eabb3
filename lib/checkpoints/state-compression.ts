import { algorithmOf, compress } from '../entries/compression.js';
import type { CheckpointRecord } from './checkpoint-store.js';

/** Whatever the lane asks for: a state must be readable by every Node, because it exists nowhere else. */
const CODEC = 'brotli';

/** The state as it is stored, at once where that is quick. Undefined if it is stored as it is. */
export function compressState(state: Uint8Array, fromBytes: number | undefined): ReturnType<typeof compress> {
  return fromBytes === undefined ? undefined : compress(state, { codec: CODEC, minBytes: fromBytes });
}

/** The state as it was encoded. Undefined if the stored bytes cannot be expanded to its size. */
export async function expandState(
  { sizeBytes, storedBytes }: CheckpointRecord,
  stored: Uint8Array,
): Promise<Uint8Array | undefined> {
  if (storedBytes === undefined) return stored;
  try {
    const state = await algorithmOf(CODEC)?.expandInPool(stored, { maxOutputLength: Math.max(sizeBytes, 1) });
    return state?.length === sizeBytes ? state : undefined;
  } catch {
    return undefined;
  }
}
