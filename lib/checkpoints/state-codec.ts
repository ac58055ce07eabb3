import { createHash } from 'node:crypto';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { ValueCodec } from '../entries/codec.js';

export const checksumOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A value as bytes, or `CHECKPOINT_UNSTORABLE` naming what in it cannot be stored faithfully. */
export function encodeOrRefuse(codec: ValueCodec, value: unknown, id: string, field: 'state' | 'metadata'): Uint8Array {
  const encoded = codec.encode(value);
  // undefined is how a restore says that there is nothing
  if (encoded.storable && value !== undefined) return encoded.bytes;
  const reason = encoded.storable ? 'undefined cannot be told from no checkpoint' : encoded.reason;
  throw new LaneCacheError(
    'CHECKPOINT_UNSTORABLE',
    `The ${field} of checkpoint '${id}' cannot be stored faithfully: ${reason}. Save plain data, or list the class under 'types'.`,
    { key: id, field },
  );
}
