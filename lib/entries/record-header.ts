import type { RecordFields } from './record-fields.js';
import { checksumOf } from './record-checksum.js';
import {
  AT_APP_VERSION_LENGTH,
  AT_BIRTH,
  AT_CHECKSUM,
  AT_COMPUTE_MS,
  AT_EXPIRES,
  AT_FLAGS,
  AT_FORMAT,
  AT_KEY_LENGTH,
  AT_LANDED,
  AT_LENGTH,
  AT_SCHEMA_VERSION,
  AT_STALE_UNTIL,
  AT_TAG_COUNT,
  AT_TAGS_LENGTH,
  AT_TEXTS,
  AT_VALUE_LENGTH,
  COMPRESSED,
  FORMAT,
  MAGIC,
  WIDE_TEXT,
} from './record-layout.js';

/** A record whose checksum holds. `value` is as it was before compression; it may be a view of `bytes`. */
export interface OpenedRecord extends RecordFields {
  readonly bytes: Uint8Array;
}

/** The bytes are no record, or not as they were written. */
export class RecordDamaged extends Error {
  override readonly name = 'RecordDamaged';
}

/** The record is sound, but of a format that only a newer version of the library reads. */
export class RecordUnknown extends Error {
  override readonly name = 'RecordUnknown';
}

/** Reads all but the value, after checking every byte. Throws RecordDamaged or RecordUnknown. */
export function readHeader(bytes: Uint8Array): Omit<RecordFields, 'value'> {
  const record = checkedRecord(bytes);
  return readFields(record, storedValueOf(record));
}

/** The same memory, every byte of which has been checked. Throws RecordDamaged or RecordUnknown. */
export function checkedRecord(bytes: Uint8Array): Buffer {
  const record = asBuffer(bytes);
  checkIntegrity(record);
  if (valueAt(record) > record.length) throw new RecordDamaged('The parts of the record are longer than the record.');
  return record;
}

export const isCompressed = (record: Buffer): boolean => (record.readUInt8(AT_FLAGS) & COMPRESSED) !== 0;

/** Bytes of the value before compression. */
export const valueLengthOf = (record: Buffer): number => record.readDoubleLE(AT_VALUE_LENGTH);

/** As it is stored; a view. */
export const storedValueOf = (record: Buffer): Buffer => record.subarray(valueAt(record));

/** What a checked record says, with its value as it was before compression. */
export function readFields(record: Buffer, value: Uint8Array): OpenedRecord {
  const encoding = (record.readUInt8(AT_FLAGS) & WIDE_TEXT) === 0 ? 'utf8' : 'utf16le';
  const keyAt = AT_TEXTS + record.readUInt16LE(AT_APP_VERSION_LENGTH);
  const tagsAt = keyAt + record.readUInt32LE(AT_KEY_LENGTH);
  return {
    key: record.toString(encoding, keyAt, tagsAt),
    tags: readTags(record, tagsAt, valueAt(record), encoding),
    birth: record.readDoubleLE(AT_BIRTH),
    landedAt: record.readDoubleLE(AT_LANDED),
    expiresAt: record.readDoubleLE(AT_EXPIRES),
    staleUntil: record.readDoubleLE(AT_STALE_UNTIL),
    computeMs: record.readDoubleLE(AT_COMPUTE_MS),
    appVersion: keyAt === AT_TEXTS ? '' : record.toString(encoding, AT_TEXTS, keyAt),
    schemaVersion: record.readDoubleLE(AT_SCHEMA_VERSION),
    value,
    bytes: record,
  };
}

const valueAt = (record: Buffer): number =>
  AT_TEXTS +
  record.readUInt16LE(AT_APP_VERSION_LENGTH) +
  record.readUInt32LE(AT_KEY_LENGTH) +
  record.readUInt32LE(AT_TAGS_LENGTH);

const NO_TAGS: readonly string[] = Object.freeze([]);

function readTags(record: Buffer, from: number, end: number, encoding: BufferEncoding): readonly string[] {
  const count = record.readUInt16LE(AT_TAG_COUNT);
  if (count === 0) return NO_TAGS;
  const tags: string[] = [];
  let at = from;
  while (tags.length < count) {
    if (at + 2 > end) throw new RecordDamaged('The record has fewer tags than it says.');
    const next = at + 2 + record.readUInt16LE(at);
    tags.push(record.toString(encoding, at + 2, next));
    at = next;
  }
  if (at !== end) throw new RecordDamaged('The tags of the record have another length than it says.');
  return Object.freeze(tags);
}

function checkIntegrity(record: Buffer): void {
  if (record.length < AT_TEXTS) throw new RecordDamaged('The record is shorter than any record.');
  if (record.readUInt16LE(0) !== MAGIC) throw new RecordDamaged('The bytes are no record.');
  if (record.readUInt32LE(AT_CHECKSUM) !== checksumOf(record)) throw new RecordDamaged('The checksum does not hold.');
  const format = record.readUInt8(AT_FORMAT);
  if (format !== FORMAT) throw new RecordUnknown(`The record has format ${format}; this version reads ${FORMAT}.`);
  if (record.readUInt32LE(AT_LENGTH) !== record.length)
    throw new RecordDamaged('The record has another length than it says.');
}

/** The same memory as a Buffer. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
