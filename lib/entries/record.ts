import type { RecordFields } from './record-fields.js';
import {
  checkedRecord,
  isCompressed,
  readFields,
  RecordDamaged,
  storedValueOf,
  valueLengthOf,
  type OpenedRecord,
} from './record-header.js';
import { expand, expandOnPool, EXPAND_AT_ONCE_BYTES } from './value-compression.js';
import { signRecord } from './record-checksum.js';
import {
  AT_APP_VERSION_LENGTH,
  AT_BIRTH,
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
  FORMAT,
  MAGIC,
  WIDE_TEXT,
} from './record-layout.js';
import { isWellFormed } from './well-formed.js';

export type { RecordFields } from './record-fields.js';
export { readHeader, RecordDamaged, RecordUnknown, type OpenedRecord } from './record-header.js';

/** The record of an entry: the same bytes for every tier. */
export function sealRecord(fields: RecordFields): Uint8Array {
  const { key, tags, appVersion, value } = fields;
  const isWide = !(isWellFormed(key) && isWellFormed(appVersion) && tags.every(isWellFormed));
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
  writeNumbers(record, fields);
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

function writeNumbers(record: Buffer, fields: RecordFields): void {
  record.writeDoubleLE(fields.birth, AT_BIRTH);
  record.writeDoubleLE(fields.landedAt, AT_LANDED);
  record.writeDoubleLE(fields.expiresAt, AT_EXPIRES);
  record.writeDoubleLE(fields.staleUntil, AT_STALE_UNTIL);
  record.writeDoubleLE(fields.computeMs, AT_COMPUTE_MS);
  record.writeDoubleLE(fields.schemaVersion, AT_SCHEMA_VERSION);
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
