import { compressRecord } from '../entries/compression.js';
import type { EntryBatch } from './entry-batch.js';
import type { StorageFault } from './environment.js';
import type { StoredRecord } from './lane-rules.js';
import type { QueuedChange } from './write-queue.js';

/** An entry waiting to be written; its bytes are compressed meanwhile, off the caller's path. */
export class QueuedPut implements QueuedChange {
  readonly isRemoval = false;
  readonly standsAlone = false;
  readonly sizeBytes: number;
  ready: Promise<void> | undefined;
  private bytes: Uint8Array;

  constructor(
    private readonly record: StoredRecord,
    compressFrom: number | undefined,
    private readonly write: (batch: EntryBatch, record: StoredRecord, bytes: Uint8Array) => void,
    private readonly settled?: (fault: StorageFault | undefined) => void,
  ) {
    this.bytes = record.bytes;
    this.sizeBytes = record.bytes.length;
    if (compressFrom !== undefined && record.bytes.length >= compressFrom) this.ready = this.compress(compressFrom);
  }

  apply(batch: EntryBatch): boolean {
    this.write(batch, this.record, this.bytes);
    return false;
  }

  settle(fault: StorageFault | undefined): void {
    this.settled?.(fault);
  }

  /** A record that cannot be compressed is stored as it is. */
  private async compress(minBytes: number): Promise<void> {
    try {
      this.bytes = await compressRecord(this.record.bytes, minBytes);
    } catch {
      this.bytes = this.record.bytes;
    }
    this.ready = undefined;
  }
}
