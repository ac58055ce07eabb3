import { createHash } from 'node:crypto';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import type { CheckpointRecord } from './checkpoint-store.js';

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

/** The state as its caller declares it. Rejects with `CHECKPOINT_INVALID` what is sound but cannot be rebuilt by this app. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- declared by the caller of a restore
export function decodeState<T>(codec: ValueCodec, { id, version }: CheckpointRecord, bytes: Uint8Array): T {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what was saved is the caller's to know
    return codec.decode(bytes) as T;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it cannot be decoded';
    throw new LaneCacheError(
      'CHECKPOINT_INVALID',
      `Version ${version} of checkpoint '${id}' is intact, but this app cannot rebuild its state: ${why} List the class under 'types' as it was when the state was saved, or give it a 'migrate'.`,
      { key: id, field: 'state', cause },
    );
  }
}

/** What was noted, or undefined where this app cannot rebuild it: a listing must not fail for one of its items. */
export function decodeMetadata(codec: ValueCodec, encoded: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const metadata = codec.decode(Buffer.from(encoded, 'base64'));
    return isRecord(metadata) ? metadata : undefined;
  } catch {
    return undefined;
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
