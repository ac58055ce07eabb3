import { compressRecord } from '../entries/codec/compression.js';
import type { EntryBatch } from './entry-batch.js';
import type { StorageFault } from './environment.js';
import type { StoredRecord } from './lane-rules.js';
import type { LaneWriter } from './lane-writer.js';
import type { QueuedChange } from './write-queue.js';

/** Up to this, compressing takes a fraction of a millisecond and is done when the batch is filled, which is sliced. */
const COMPRESS_LATE_BYTES = 32 * 1024;

/** An entry waiting to be written; it is compressed on the way, off the caller's path. */
export class QueuedPut implements QueuedChange {
  readonly isRemoval = false;
  readonly standsAlone = false;
  readonly sizeBytes: number;
  ready: Promise<void> | undefined;
  private bytes: Uint8Array;
  private compressLate: number | undefined;
  private isPut = false;

  constructor(
    private readonly record: StoredRecord,
    private readonly writer: LaneWriter,
    private readonly settled?: (fault: StorageFault | undefined) => void,
  ) {
    this.bytes = record.bytes;
    this.sizeBytes = record.bytes.length;
    const { compressFrom } = writer;
    if (compressFrom === undefined || this.sizeBytes < compressFrom) return;
    if (this.sizeBytes <= COMPRESS_LATE_BYTES) this.compressLate = compressFrom;
    else this.ready = this.compressAhead(compressFrom);
  }

  apply(batch: EntryBatch): boolean {
    if (!this.isPut) {
      if (this.compressLate !== undefined) this.compressNow(this.compressLate);
      this.writer.put(batch, this.record, this.bytes);
      this.isPut = true;
    }
    return this.writer.evict(batch);
  }

  settle(fault: StorageFault | undefined): void {
    this.settled?.(fault);
  }

  private compressNow(minBytes: number): void {
    try {
      const compressed = compressRecord(this.bytes, minBytes);
      if (compressed instanceof Uint8Array) this.bytes = compressed;
    } catch {
      // a record that cannot be compressed is stored as it is
    }
  }

  private async compressAhead(minBytes: number): Promise<void> {
    try {
      this.bytes = await compressRecord(this.bytes, minBytes);
    } catch {
      // a record that cannot be compressed is stored as it is
    }
    this.ready = undefined;
  }
}
