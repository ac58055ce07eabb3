/** LMDB hands out the live map for values of 16 MiB and more, so that none may be that long. */
const PART_BYTES = 15 * 1024 * 1024;
/** Shorter than any record, so that the row's length alone tells which it is. */
const REFERENCE_BYTES = 12;

/** Where the parts of a long value lie. */
export interface PartsReference {
  readonly landed: number;
  readonly parts: number;
}

/** How many parts a value of `length` takes; 0 when it fits one row. */
export function countParts(length: number): number {
  return length <= PART_BYTES ? 0 : Math.ceil(length / PART_BYTES);
}

export function part(value: Uint8Array, index: number): Uint8Array {
  return value.subarray(index * PART_BYTES, (index + 1) * PART_BYTES);
}

export function encodeReference(reference: PartsReference): Uint8Array {
  const bytes = Buffer.allocUnsafe(REFERENCE_BYTES);
  bytes.writeDoubleLE(reference.landed, 0);
  bytes.writeUInt32LE(reference.parts, 8);
  return bytes;
}

/** `undefined` when the row is the value itself. */
export function decodeReference(row: Uint8Array): PartsReference | undefined {
  if (row.length !== REFERENCE_BYTES) return undefined;
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  return { landed: bytes.readDoubleLE(0), parts: bytes.readUInt32LE(8) };
}
