/** What the store knows of an entry without touching its bytes. */
export interface EntryRow {
  readonly key: string;
  readonly tags: readonly string[];
  /** Bytes of the record as stored, compressed if it was worth it. */
  readonly sizeBytes: number;
  /** Position in the invalidation log at which the computation started. */
  readonly birth: number;
  readonly computeMs: number;
  /** Epoch ms at which the entry came into this store. */
  readonly landedAt: number;
  /** Epoch ms from which the record is of no use at all. */
  readonly expiresAt: number;
  /** Epoch ms at which a use was last noted. */
  readonly touchedAt: number;
  readonly accessCount: number;
  /** The sequence at which the entry landed: names these bytes for as long as they are stored. */
  readonly landed: number;
  /** The sequence of its last use: its place in the order of recency. */
  readonly sequence: number;
  /** How many rows of the parts table hold the bytes; 0 when the entry's own row does. */
  readonly parts: number;
}

const NUMBER_BYTES = 8;
const HEADER_BYTES = 9 * NUMBER_BYTES;

/** The row as stored under `[lane, sequence]`; the sequence itself is in the key. */
export function encodeEntryRow(row: EntryRow): Uint8Array {
  const text = JSON.stringify([row.key, ...row.tags]);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + Buffer.byteLength(text));
  let offset = bytes.writeDoubleLE(row.sizeBytes, 0);
  offset = bytes.writeDoubleLE(row.birth, offset);
  offset = bytes.writeDoubleLE(row.computeMs, offset);
  offset = bytes.writeDoubleLE(row.landedAt, offset);
  offset = bytes.writeDoubleLE(row.expiresAt, offset);
  offset = bytes.writeDoubleLE(row.touchedAt, offset);
  offset = bytes.writeDoubleLE(row.accessCount, offset);
  offset = bytes.writeDoubleLE(row.landed, offset);
  offset = bytes.writeDoubleLE(row.parts, offset);
  bytes.write(text, offset);
  return bytes;
}

/** Throws on bytes that `encodeEntryRow` did not write. */
export function decodeEntryRow(bytes: Uint8Array, sequence: number): EntryRow {
  const row = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [key, ...tags]: string[] = JSON.parse(row.toString('utf8', HEADER_BYTES));
  if (key === undefined) throw new RangeError('an index row without a key');
  const number = (index: number): number => row.readDoubleLE(index * NUMBER_BYTES);
  return {
    key,
    tags,
    sizeBytes: number(0),
    birth: number(1),
    computeMs: number(2),
    landedAt: number(3),
    expiresAt: number(4),
    touchedAt: number(5),
    accessCount: number(6),
    landed: number(7),
    sequence,
    parts: number(8),
  };
}

export function encodeSequence(sequence: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(NUMBER_BYTES);
  bytes.writeDoubleLE(sequence, 0);
  return bytes;
}

export function decodeSequence(bytes: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readDoubleLE(0);
}

/** As JSON, which keeps lone surrogates that UTF-8 would lose. */
export function encodeKey(key: string): Uint8Array {
  return Buffer.from(JSON.stringify(key));
}

export function decodeKey(bytes: Uint8Array): string {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
}
