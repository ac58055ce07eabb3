import { decodeSequence, encodeSequence } from './entry-row.js';
import { StorageFault, type Table, type Transaction } from './environment.js';

/** Beside the lanes, whose keys are strings. */
const SEEN = 0;
const ROW_BYTES = 24;

/** What a lane holds, and the last sequence it has given out. */
export interface LaneCount {
  entries: number;
  sizeBytes: number;
  sequence: number;
}

/** The counts of all lanes, stored with the entries they count, so that opening needs no scan. */
export class LaneUsage {
  private readonly counts = new Map<string, LaneCount>();
  private readonly changed = new Set<string>();

  /** The latest time at which an earlier opener wrote; 0 for none. */
  readonly seenAt: number;

  constructor(private readonly table: Table) {
    const seen = table.get(SEEN);
    this.seenAt = seen === undefined ? 0 : decodeSequence(seen);
    for (const { key, value } of table.range()) if (typeof key === 'string') this.counts.set(key, decodeCount(value));
  }

  /** The lane's counts, to be changed in place by whoever calls `note` as well. */
  of(lane: string): LaneCount {
    let count = this.counts.get(lane);
    if (count === undefined) this.counts.set(lane, (count = { entries: 0, sizeBytes: 0, sequence: 0 }));
    return count;
  }

  /** Lanes that have ever held something here. */
  lanes(): readonly string[] {
    return [...this.counts.keys()];
  }

  note(lane: string): void {
    this.changed.add(lane);
  }

  writeTo(transaction: Transaction, now: number): void {
    transaction.put(this.table, SEEN, encodeSequence(now));
    for (const lane of this.changed) transaction.put(this.table, lane, encodeCount(this.of(lane)));
    this.changed.clear();
  }
}

function encodeCount(count: LaneCount): Uint8Array {
  const bytes = Buffer.allocUnsafe(ROW_BYTES);
  bytes.writeDoubleLE(count.entries, 0);
  bytes.writeDoubleLE(count.sizeBytes, 8);
  bytes.writeDoubleLE(count.sequence, 16);
  return bytes;
}

function decodeCount(row: Uint8Array): LaneCount {
  if (row.length !== ROW_BYTES) throw new StorageFault('damaged', 'the counts of a lane cannot be read');
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  return { entries: bytes.readDoubleLE(0), sizeBytes: bytes.readDoubleLE(8), sequence: bytes.readDoubleLE(16) };
}
