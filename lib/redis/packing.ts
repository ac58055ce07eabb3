import { compressRecord } from '../entries/codec/compression.js';
import { openRecordAsync, readHeader, type OpenedRecord } from '../entries/record.js';
import type { RecordSeal } from './record-seal.js';

/** What of a lane's policy its entries on the server follow. */
export interface SharedLane {
  /** Values of so many bytes are compressed; undefined if none are. */
  readonly compressFrom: number | undefined;
  /** No value is longer; one that says it is was not written by us. */
  readonly maxEntryBytes: number;
}

/** How records travel: compressed where the lane asks for it, and sealed. What comes from the server is not trusted. */
export class Packing {
  constructor(
    private readonly lanes: ReadonlyMap<string, SharedLane>,
    private readonly seal: RecordSeal,
  ) {}

  /** Large values are compressed on a thread of the pool; only those are awaited. */
  pack(lane: string, record: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const compressFrom = this.lanes.get(lane)?.compressFrom;
    const packed = compressFrom === undefined ? record : compressRecord(record, compressFrom);
    if (packed instanceof Uint8Array) return this.seal.seal(lane, packed);
    return packed.then((bytes) => this.seal.seal(lane, bytes));
  }

  /** Where nothing can be awaited, a large value goes as it is. */
  packNow(lane: string, record: Uint8Array): Uint8Array {
    const packed = this.pack(lane, record);
    return packed instanceof Uint8Array ? packed : this.seal.seal(lane, record);
  }

  /** Undefined for what was not sealed with our key. Throws, or rejects with, what opening a record does. */
  unpack(lane: string, sealed: Buffer): OpenedRecord | Promise<OpenedRecord> | undefined {
    const record = this.seal.open(lane, sealed);
    return record && openRecordAsync(record, this.lanes.get(lane)?.maxEntryBytes);
  }

  /** Key and tags; undefined for what cannot be read. */
  header(lane: string, sealed: Buffer): { readonly key: string; readonly tags: readonly string[] } | undefined {
    try {
      const record = this.seal.open(lane, sealed);
      return record && readHeader(record);
    } catch {
      return undefined;
    }
  }
}
