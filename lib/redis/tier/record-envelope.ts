import type { Compression } from '../../entries/compression.js';
import { compressRecord, decodeRecordAsync, readHeader, type DecodedRecord } from '../../entries/record.js';
import { createHmac, timingSafeEqual } from 'node:crypto';

/** The parts of a lane's policy that its entries on the server follow. */
export interface SharedLane {
  /** Undefined: nothing is compressed. */
  readonly compression: Compression | undefined;
  /** The longest value. A record with a longer one was not written by the library. */
  readonly maxEntryBytes: number;
  /** One instance at a time computes. */
  readonly coalesces: boolean;
}

/** Packs records for the server: compressed where the lane asks for it, and sealed. Records from the server are not trusted. */
export class RecordEnvelope {
  constructor(
    private readonly lanes: ReadonlyMap<string, SharedLane>,
    private readonly seal: RecordSeal,
  ) {}

  /** Large values are compressed on the thread pool; only those are awaited. */
  pack(lane: string, record: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const compression = this.lanes.get(lane)?.compression;
    const packed = compression === undefined ? record : compressRecord(record, compression);
    if (packed instanceof Uint8Array) return this.seal.seal(lane, packed);
    return packed.then((bytes) => this.seal.seal(lane, bytes));
  }

  /** Where nothing can be awaited, a large value is sent uncompressed. */
  packNow(lane: string, record: Uint8Array): Uint8Array {
    const packed = this.pack(lane, record);
    return packed instanceof Uint8Array ? packed : this.seal.seal(lane, record);
  }

  /** Undefined if it was not sealed with this key. Throws or rejects like opening a record. */
  unpack(lane: string, sealed: Buffer): DecodedRecord | Promise<DecodedRecord> | undefined {
    const record = this.seal.open(lane, sealed);
    return record && decodeRecordAsync(record, this.lanes.get(lane)?.maxEntryBytes);
  }

  /** Key and tags. Undefined if they cannot be read. */
  header(lane: string, sealed: Buffer): { readonly key: string; readonly tags: readonly string[] } | undefined {
    try {
      const record = this.seal.open(lane, sealed);
      return record && readHeader(record);
    } catch {
      return undefined;
    }
  }
}

const SEAL_BYTES = 32;

/**
 * Proves that a record was written by a holder of the key, and for this lane. Without a key nothing is added, and the
 * record's own checksum detects damage only.
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
