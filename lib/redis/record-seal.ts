import { createHmac, timingSafeEqual } from 'node:crypto';

const SEAL_BYTES = 32;

/**
 * Shows whether a record was written by somebody who knows the key, and for this lane. Without a key nothing is added,
 * and the record's own checksum shows only damage.
 */
export class RecordSeal {
  constructor(private readonly key: string | Uint8Array | undefined) {}

  seal(lane: string, record: Uint8Array): Uint8Array {
    return this.key === undefined ? record : Buffer.concat([this.sealOf(this.key, lane, record), record]);
  }

  /** The record, or undefined when it was not sealed with this key. */
  open(lane: string, sealed: Buffer): Buffer | undefined {
    if (this.key === undefined) return sealed;
    if (sealed.length < SEAL_BYTES) return undefined;
    const record = sealed.subarray(SEAL_BYTES);
    return timingSafeEqual(sealed.subarray(0, SEAL_BYTES), this.sealOf(this.key, lane, record)) ? record : undefined;
  }

  private sealOf(key: string | Uint8Array, lane: string, record: Uint8Array): Buffer {
    return createHmac('sha256', key).update(`${lane}\0`).update(record).digest();
  }
}
