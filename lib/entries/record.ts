import { expand, expandOnPool, EXPAND_AT_ONCE_BYTES } from './record-compression.js';
import { crc32 } from 'node:zlib';

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
  if (valueStart(record) > record.length)
    throw new RecordDamaged('The parts of the record are longer than the record.');
  return record;
}

export const isCompressed = (record: Buffer): boolean => (record.readUInt8(AT_FLAGS) & COMPRESSED) !== 0;

/** Bytes of the value before compression. */
export const valueLengthOf = (record: Buffer): number => record.readDoubleLE(AT_VALUE_LENGTH);

/** As it is stored; a view. */
export const storedValueOf = (record: Buffer): Buffer => record.subarray(valueStart(record));

/** What a checked record says, with its value as it was before compression. */
function readFields(record: Buffer, value: Uint8Array): OpenedRecord {
  const encoding = (record.readUInt8(AT_FLAGS) & WIDE_TEXT) === 0 ? 'utf8' : 'utf16le';
  const keyAt = AT_TEXTS + record.readUInt16LE(AT_APP_VERSION_LENGTH);
  const tagsAt = keyAt + record.readUInt32LE(AT_KEY_LENGTH);
  return {
    key: record.toString(encoding, keyAt, tagsAt),
    tags: readTags(record, tagsAt, valueStart(record), encoding),
    birth: record.readDoubleLE(AT_BIRTH),
    storedAt: record.readDoubleLE(AT_STORED),
    expiresAt: record.readDoubleLE(AT_EXPIRES),
    staleUntil: record.readDoubleLE(AT_STALE_UNTIL),
    computeMs: record.readDoubleLE(AT_COMPUTE_MS),
    appVersion: keyAt === AT_TEXTS ? '' : record.toString(encoding, AT_TEXTS, keyAt),
    schemaVersion: record.readDoubleLE(AT_SCHEMA_VERSION),
    value,
    bytes: record,
  };
}

const valueStart = (record: Buffer): number =>
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
const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The record of an entry: the same bytes for every tier. */
export function sealRecord(fields: RecordFields): Uint8Array {
  const { key, tags, appVersion, value } = fields;
  const isWide = !(key.isWellFormed() && appVersion.isWellFormed() && tags.every((tag) => tag.isWellFormed()));
  const encoding = isWide ? 'utf16le' : 'utf8';
  const keyLength = Buffer.byteLength(key, encoding);
  const appVersionLength = Buffer.byteLength(appVersion, encoding);
  let tagsLength = 0;
  for (const tag of tags) tagsLength += 2 + Buffer.byteLength(tag, encoding);
  const valueAt = AT_TEXTS + appVersionLength + keyLength + tagsLength;

  const record = Buffer.allocUnsafe(valueAt + value.byteLength);
  record.writeUInt16LE(MAGIC, 0);
  record[AT_FORMAT] = FORMAT;
  record[AT_FLAGS] = isWide ? WIDE_TEXT : 0;
  record.writeUInt32LE(record.length, AT_LENGTH);
  record.writeUInt32LE(keyLength, AT_KEY_LENGTH);
  record.writeUInt32LE(tagsLength, AT_TAGS_LENGTH);
  record.writeUInt16LE(appVersionLength, AT_APP_VERSION_LENGTH);
  record.writeUInt16LE(tags.length, AT_TAG_COUNT);
  record.writeDoubleLE(value.byteLength, AT_VALUE_LENGTH);
  record.writeDoubleLE(fields.birth, AT_BIRTH);
  record.writeDoubleLE(fields.storedAt, AT_STORED);
  record.writeDoubleLE(fields.expiresAt, AT_EXPIRES);
  record.writeDoubleLE(fields.staleUntil, AT_STALE_UNTIL);
  record.writeDoubleLE(fields.computeMs, AT_COMPUTE_MS);
  record.writeDoubleLE(fields.schemaVersion, AT_SCHEMA_VERSION);
  let at = AT_TEXTS + record.write(appVersion, AT_TEXTS, encoding);
  at += record.write(key, at, encoding);
  for (const tag of tags) {
    const length = record.write(tag, at + 2, encoding);
    record.writeUInt16LE(length, at);
    at += 2 + length;
  }
  record.set(value, valueAt);
  signRecord(record);
  return record;
}

/** Values larger than this before compression are not expanded: nothing that is written is. */
const MAX_VALUE_BYTES = 1024 ** 3;

/**
 * Checks and reads a record. Throws RecordDamaged or RecordUnknown, also for a compressed value that says it would take
 * more than `maxValueBytes` (default 1 GB).
 */
export function openRecord(bytes: Uint8Array, maxValueBytes = MAX_VALUE_BYTES): OpenedRecord {
  const record = checkedRecord(bytes);
  const stored = storedValueOf(record);
  if (!isCompressed(record)) return opened(record, stored);
  const length = checkedLength(record, maxValueBytes);
  try {
    return opened(record, expand(stored, length));
  } catch (cause) {
    throw notExpandable(cause);
  }
}

/** Like `openRecord`, but expands large values (over 256 KB) on a thread of the pool; only those are awaited. */
export function openRecordAsync(
  bytes: Uint8Array,
  maxValueBytes = MAX_VALUE_BYTES,
): OpenedRecord | Promise<OpenedRecord> {
  const record = checkedRecord(bytes);
  const stored = storedValueOf(record);
  if (!isCompressed(record)) return opened(record, stored);
  if (valueLengthOf(record) <= EXPAND_AT_ONCE_BYTES) return openRecord(bytes, maxValueBytes);
  return expandOnPool(stored, checkedLength(record, maxValueBytes)).then(
    (value) => opened(record, value),
    (cause: unknown) => {
      throw notExpandable(cause);
    },
  );
}

const notExpandable = (cause: unknown): RecordDamaged =>
  new RecordDamaged('The compressed value cannot be expanded.', { cause });

function checkedLength(record: Buffer, maxValueBytes: number): number {
  const length = valueLengthOf(record);
  if (length >= 0 && length <= maxValueBytes) return length;
  throw new RecordDamaged(`The value would take ${length} bytes, more than ${maxValueBytes}.`);
}

function opened(record: Buffer, value: Uint8Array): OpenedRecord {
  if (value.byteLength !== valueLengthOf(record))
    throw new RecordDamaged('The value has another length than the record says.');
  return readFields(record, value);
}

/**
 * A record, byte by byte (little-endian):
 *
 * |  at | bytes | what |
 * | --: | ----: | ---- |
 * |   0 |     2 | magic `LC` |
 * |   2 |     1 | format version |
 * |   3 |     1 | flags |
 * |   4 |     4 | CRC-32 of everything else |
 * |   8 |     4 | length of the whole record |
 * |  12 |     4 | length of the key |
 * |  16 |     4 | length of all tags |
 * |  20 |     2 | length of the app version |
 * |  22 |     2 | number of tags |
 * |  24 |     8 | length of the value before compression |
 * |  32 |    48 | birth, storedAt, expiresAt, staleUntil, computeMs, schemaVersion |
 * |  80 |       | app version, key, tags (each behind its length in 2 bytes), value |
 *
 * Magic, format version and checksum stay where they are in every later format.
 */
const MAGIC = 0x434c;
export const FORMAT = 1;

/** Texts are UTF-16, because one of them is not well formed. */
const WIDE_TEXT = 1;
/** The value is compressed. */
export const COMPRESSED = 2;

const AT_FORMAT = 2;
export const AT_FLAGS = 3;
const AT_CHECKSUM = 4;
export const AT_LENGTH = 8;
const AT_KEY_LENGTH = 12;
const AT_TAGS_LENGTH = 16;
const AT_APP_VERSION_LENGTH = 20;
const AT_TAG_COUNT = 22;
const AT_VALUE_LENGTH = 24;
const AT_BIRTH = 32;
const AT_STORED = 40;
const AT_EXPIRES = 48;
const AT_STALE_UNTIL = 56;
const AT_COMPUTE_MS = 64;
const AT_SCHEMA_VERSION = 72;
const AT_TEXTS = 80;

/** An entry as it is put into bytes. */
export interface RecordFields {
  readonly key: string;
  readonly tags: readonly string[];
  /** Position in the invalidation log at which the computation of the value started. */
  readonly birth: number;
  /** Epoch ms at which the computation ended. */
  readonly storedAt: number;
  /** Epoch ms at which the ttl ends. */
  readonly expiresAt: number;
  /** Epoch ms at which ttl and grace end; never before `expiresAt`. */
  readonly staleUntil: number;
  /** What computing the value took. */
  readonly computeMs: number;
  /** The app's `version` option. */
  readonly appVersion: string;
  /** The call's `version` option. */
  readonly schemaVersion: number;
  /** The encoded value. */
  readonly value: Uint8Array;
}

/** Covers all of a record but the checksum itself: what stands before it is the seed for what stands behind it. */
const checksumOf = (record: Buffer): number => crc32(record.subarray(AT_LENGTH), record.readUInt32LE(0));

/** Sets the checksum when everything else is in place. */
export const signRecord = (record: Buffer): void => {
  record.writeUInt32LE(checksumOf(record), AT_CHECKSUM);
};
