import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { plausibleMs } from '../clock/clock.js';
import type { ValueCodec } from './codec/value-codec.js';
import { algorithmOf, compress, type Compression, type CompressionCodec } from './compression.js';

/*
 * A record is an entry as bytes, the same in every tier (numbers are little-endian):
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
 * |  80 |       | app version, key, tags (each after its length in 2 bytes), value |
 *
 * Magic, format version and checksum keep their places in every later format.
 */
const MAGIC = 0x434c;
const FORMAT = 1;

const AT_FORMAT = 2;
const AT_FLAGS = 3;
const AT_CHECKSUM = 4;
const AT_LENGTH = 8;
const AT_KEY_LENGTH = 12;
const AT_TAGS_LENGTH = 16;
const AT_APP_VERSION_LENGTH = 20;
const AT_TAG_COUNT = 22;
const AT_VALUE_LENGTH = 24;
const AT_BIRTH = 32;
const AT_STORED_AT = 40;
const AT_EXPIRES = 48;
const AT_STALE_UNTIL = 56;
const AT_COMPUTE_MS = 64;
const AT_SCHEMA_VERSION = 72;
const AT_TEXTS = 80;

/** Flag: all texts are UTF-16, because one of them is not well formed. */
const WIDE_TEXT = 1;
/** Flag: the value is compressed, by brotli. */
const COMPRESSED = 2;
/** Flag, beside COMPRESSED: by zstd. */
const ZSTD = 4;

/** The content of a record. */
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
  /** How long the computation of the value took. */
  readonly computeMs: number;
  /** The app's `version` option. */
  readonly appVersion: string;
  /** The call's `version` option. */
  readonly schemaVersion: number;
  /** The encoded value. */
  readonly value: Uint8Array;
}

/** A record whose checksum is correct. `value` is expanded; it may be a view of `bytes`. */
export interface DecodedRecord extends RecordFields {
  readonly bytes: Uint8Array;
}

/**
 * A record of another process or of the server as this process keeps it: with a birth of this process, and a life that may
 * be shorter. Its bytes are built when a tier asks for them.
 */
export class LocalRecord implements DecodedRecord {
  readonly key: string;
  readonly tags: readonly string[];
  readonly storedAt: number;
  readonly expiresAt: number;
  readonly staleUntil: number;
  readonly computeMs: number;
  readonly appVersion: string;
  readonly schemaVersion: number;
  readonly value: Uint8Array;
  private encoded: Uint8Array | undefined;

  /** It expires, and is too stale, `earlierMs` before `record` is. */
  constructor(
    record: DecodedRecord,
    readonly birth: number,
    earlierMs: number,
  ) {
    this.key = record.key;
    this.tags = record.tags;
    this.storedAt = record.storedAt;
    this.expiresAt = record.expiresAt - earlierMs;
    this.staleUntil = record.staleUntil - earlierMs;
    this.computeMs = record.computeMs;
    this.appVersion = record.appVersion;
    this.schemaVersion = record.schemaVersion;
    this.value = record.value;
  }

  get bytes(): Uint8Array {
    this.encoded ??= encodeRecord(this);
    return this.encoded;
  }
}

/** The bytes are not a record, or are not as they were written. */
export class RecordDamaged extends Error {
  override readonly name = 'RecordDamaged';
}

/** The checksum is correct, but only a newer version of the library, or of Node, reads the record. It is a miss, and no damage. */
export class RecordUnknown extends Error {
  override readonly name = 'RecordUnknown';
}

/** What `open` reads. Undefined for a record that is unknown here. */
export function ifKnown<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (error instanceof RecordUnknown) return undefined;
    throw error;
  }
}

/**
 * `room` is the number of bytes right before the value that this record may use. If its other fields fit there, the record is made
 * around the value, which is not copied.
 */
export function encodeRecord(fields: RecordFields, room = 0): Uint8Array {
  const { key, tags, appVersion, value } = fields;
  const isWide = !(key.isWellFormed() && appVersion.isWellFormed() && tags.every((tag) => tag.isWellFormed()));
  const encoding = isWide ? 'utf16le' : 'utf8';
  const keyLength = Buffer.byteLength(key, encoding);
  const appVersionLength = Buffer.byteLength(appVersion, encoding);
  let tagsLength = 0;
  for (const tag of tags) tagsLength += 2 + Buffer.byteLength(tag, encoding);
  const valueAt = AT_TEXTS + appVersionLength + keyLength + tagsLength;

  const isInPlace = room >= valueAt;
  const record = isInPlace
    ? Buffer.from(value.buffer, value.byteOffset - valueAt, valueAt + value.byteLength)
    : Buffer.allocUnsafe(valueAt + value.byteLength);
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
  record.writeDoubleLE(fields.storedAt, AT_STORED_AT);
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
  if (!isInPlace) record.set(value, valueAt);
  record.writeUInt32LE(checksumOf(record), AT_CHECKSUM);
  return record;
}

/** Covers the whole record except the checksum: the bytes before it are the seed for the bytes after it. */
const checksumOf = (record: Buffer): number => crc32(record.subarray(AT_LENGTH), record.readUInt32LE(0));

/** No record with a larger value is written. */
const MAX_VALUE_BYTES = 1024 ** 3;
/** Expanding this much takes about a millisecond at most, less than a turn in the thread pool under load. */
const EXPAND_AT_ONCE_BYTES = 256 * 1024;

/**
 * Checks and reads a record. Throws RecordDamaged or RecordUnknown. A compressed value that claims to take more than
 * `maxValueBytes` (default 1 GB) is damaged too.
 */
export function decodeRecord(bytes: Uint8Array, maxValueBytes = MAX_VALUE_BYTES): DecodedRecord {
  const record = checkedRecord(bytes);
  return isCompressed(record)
    ? expand(record, expansionOptions(record, maxValueBytes))
    : withValue(record, storedValue(record));
}

/** Like `decodeRecord`, but expands large values (over 256 KB) in the thread pool and returns a promise for them. */
export function decodeRecordAsync(
  bytes: Uint8Array,
  maxValueBytes = MAX_VALUE_BYTES,
): DecodedRecord | Promise<DecodedRecord> {
  const record = checkedRecord(bytes);
  if (!isCompressed(record)) return withValue(record, storedValue(record));
  const options = expansionOptions(record, maxValueBytes);
  return valueLengthOf(record) <= EXPAND_AT_ONCE_BYTES ? expand(record, options) : expandInPool(record, options);
}

/** Reads everything except the value, after checking every byte. Throws RecordDamaged or RecordUnknown. */
export function readHeader(bytes: Uint8Array): Omit<RecordFields, 'value'> {
  const record = checkedRecord(bytes);
  return readFields(record, storedValue(record));
}

/** The same memory as a Buffer, after checking every byte. Throws RecordDamaged or RecordUnknown. */
export function checkedRecord(bytes: Uint8Array): Buffer {
  const record = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (record.length < AT_TEXTS) throw new RecordDamaged('The record is shorter than the shortest record.');
  if (record.readUInt16LE(0) !== MAGIC) throw new RecordDamaged('The bytes are not a record.');
  if (record.readUInt32LE(AT_CHECKSUM) !== checksumOf(record)) throw new RecordDamaged('The checksum is wrong.');
  const format = record.readUInt8(AT_FORMAT);
  if (format !== FORMAT) throw new RecordUnknown(`The record has format ${format}; this version reads ${FORMAT}.`);
  if (record.readUInt32LE(AT_LENGTH) !== record.length)
    throw new RecordDamaged('The length of the record differs from its header.');
  if (valueStart(record) > record.length)
    throw new RecordDamaged('The parts of the record are longer than the record.');
  return record;
}

export const isCompressed = (record: Buffer): boolean => (record.readUInt8(AT_FLAGS) & COMPRESSED) !== 0;

/** Bytes of the value before compression. */
export const valueLengthOf = (record: Buffer): number => record.readDoubleLE(AT_VALUE_LENGTH);

/** The value as it is stored, perhaps compressed; a view. */
const storedValue = (record: Buffer): Buffer => record.subarray(valueStart(record));

const valueStart = (record: Buffer): number =>
  AT_TEXTS +
  record.readUInt16LE(AT_APP_VERSION_LENGTH) +
  record.readUInt32LE(AT_KEY_LENGTH) +
  record.readUInt32LE(AT_TAGS_LENGTH);

/** The fields of a checked record together with its expanded value. */
function withValue(record: Buffer, value: Uint8Array): DecodedRecord {
  if (value.byteLength !== valueLengthOf(record))
    throw new RecordDamaged('The length of the value differs from the header of the record.');
  return readFields(record, value);
}

function readFields(record: Buffer, value: Uint8Array): DecodedRecord {
  const encoding = (record.readUInt8(AT_FLAGS) & WIDE_TEXT) === 0 ? 'utf8' : 'utf16le';
  const keyAt = AT_TEXTS + record.readUInt16LE(AT_APP_VERSION_LENGTH);
  const tagsAt = keyAt + record.readUInt32LE(AT_KEY_LENGTH);
  return {
    key: record.toString(encoding, keyAt, tagsAt),
    tags: readTags(record, tagsAt, valueStart(record), encoding),
    birth: record.readDoubleLE(AT_BIRTH),
    storedAt: record.readDoubleLE(AT_STORED_AT),
    expiresAt: record.readDoubleLE(AT_EXPIRES),
    staleUntil: record.readDoubleLE(AT_STALE_UNTIL),
    computeMs: plausibleMs(record.readDoubleLE(AT_COMPUTE_MS)),
    appVersion: keyAt === AT_TEXTS ? '' : record.toString(encoding, AT_TEXTS, keyAt),
    schemaVersion: record.readDoubleLE(AT_SCHEMA_VERSION),
    value,
    bytes: record,
  };
}

const NO_TAGS: readonly string[] = Object.freeze([]);

function readTags(record: Buffer, from: number, end: number, encoding: BufferEncoding): readonly string[] {
  const count = record.readUInt16LE(AT_TAG_COUNT);
  if (count === 0) return NO_TAGS;
  const tags: string[] = [];
  let at = from;
  while (tags.length < count) {
    if (at + 2 > end) throw new RecordDamaged('The record has fewer tags than its header counts.');
    const next = at + 2 + record.readUInt16LE(at);
    tags.push(record.toString(encoding, at + 2, next));
    at = next;
  }
  if (at !== end) throw new RecordDamaged('The length of the tags differs from the header of the record.');
  return Object.freeze(tags);
}

function expand(record: Buffer, options: ExpansionOptions): DecodedRecord {
  const algorithm = algorithmFor(record);
  try {
    return withValue(record, algorithm.expandNow(storedValue(record), options));
  } catch (cause) {
    throw notExpandable(cause);
  }
}

function expandInPool(record: Buffer, options: ExpansionOptions): Promise<DecodedRecord> {
  return algorithmFor(record)
    .expandInPool(storedValue(record), options)
    .then((value) => withValue(record, value))
    .catch((cause: unknown) => {
      throw notExpandable(cause);
    });
}

function algorithmFor(record: Buffer): NonNullable<ReturnType<typeof algorithmOf>> {
  const codec = (record.readUInt8(AT_FLAGS) & ZSTD) === 0 ? 'brotli' : 'zstd';
  const algorithm = algorithmOf(codec);
  if (algorithm !== undefined) return algorithm;
  throw new RecordUnknown(`The value is compressed by ${codec}, which Node ${process.versions.node} does not have.`);
}

const notExpandable = (cause: unknown): RecordDamaged =>
  new RecordDamaged('The compressed value cannot be expanded.', { cause });

interface ExpansionOptions {
  readonly maxOutputLength: number;
}

/** Expanding stops before it makes more bytes than the header of the record announces. Throws RecordDamaged. */
function expansionOptions(record: Buffer, maxValueBytes: number): ExpansionOptions {
  const length = valueLengthOf(record);
  if (length >= 0 && length <= maxValueBytes) return { maxOutputLength: Math.max(length, 1) };
  throw new RecordDamaged(`The value would take ${length} bytes, more than ${maxValueBytes}.`);
}

/**
 * The record with its value compressed. Returns the same bytes when the value is already compressed, or stays as it is.
 * Values over 32 KB are compressed in the thread pool. Throws RecordDamaged or RecordUnknown.
 */
export function compressRecord(bytes: Uint8Array, compression: Compression): Uint8Array | Promise<Uint8Array> {
  const record = checkedRecord(bytes);
  if (isCompressed(record)) return bytes;
  const value = storedValue(record);
  const head = record.subarray(0, record.length - value.length);
  const packed = (compressed: Uint8Array | undefined): Uint8Array =>
    compressed === undefined ? bytes : compressedRecord(head, compressed, compression.codec);
  const compressed = compress(value, compression);
  return compressed instanceof Promise ? compressed.then(packed) : packed(compressed);
}

function compressedRecord(head: Buffer, compressedValue: Uint8Array, codec: CompressionCodec): Buffer {
  const record = Buffer.concat([head, compressedValue]);
  const flags = codec === 'zstd' ? COMPRESSED | ZSTD : COMPRESSED;
  record.writeUInt8(record.readUInt8(AT_FLAGS) | flags, AT_FLAGS);
  record.writeUInt32LE(record.length, AT_LENGTH);
  record.writeUInt32LE(checksumOf(record), AT_CHECKSUM);
  return record;
}

/** How values are turned into bytes and back, in records that are read in place. */
type TreeCodec = Pick<ValueCodec, 'encode' | 'decodeTree'>;

/** A record that was read where it lies, with its value decoded and frozen. Its bytes are made anew when they are wanted. */
export class TreeRecord implements DecodedRecord {
  constructor(
    private readonly codec: TreeCodec,
    readonly key: string,
    readonly tags: readonly string[],
    readonly appVersion: string,
    readonly birth: number,
    readonly storedAt: number,
    readonly expiresAt: number,
    readonly staleUntil: number,
    readonly computeMs: number,
    readonly schemaVersion: number,
    /** The value: a tree of ordinary objects, arrays and primitives. */
    readonly tree: unknown,
    /** Bytes of the encoded value, and of the whole record. */
    readonly valueBytes: number,
    readonly recordBytes: number,
  ) {}

  /** The same with another birth, and a life that ends earlier. */
  reborn(birth: number, earlierMs: number): TreeRecord {
    return new TreeRecord(
      this.codec,
      this.key,
      this.tags,
      this.appVersion,
      birth,
      this.storedAt,
      this.expiresAt - earlierMs,
      this.staleUntil - earlierMs,
      this.computeMs,
      this.schemaVersion,
      this.tree,
      this.valueBytes,
      this.recordBytes,
    );
  }

  get value(): Uint8Array {
    const encoded = this.codec.encode(this.tree);
    if (!encoded.storable) throw new RecordDamaged(encoded.reason);
    return encoded.bytes;
  }

  get bytes(): Uint8Array {
    return encodeRecord(this);
  }
}

/** Bytes of the whole record. */
export const recordBytesOf = (record: DecodedRecord): number =>
  record instanceof TreeRecord ? record.recordBytes : record.bytes.length;

/** The first four bytes of a record without flags. */
const PLAIN_HEAD = MAGIC | (FORMAT << 16);

/** Reads records where they lie. It keeps none of their bytes. */
export class RecordReader {
  private source: Buffer | undefined;
  private view: DataView = new DataView(new ArrayBuffer(0));
  private appVersion = '';

  constructor(private readonly codec: TreeCodec) {}

  /**
   * The record of `key`, if its texts are ASCII and its value is a tree that is not compressed. Undefined for everything
   * else, damage included: then `decodeRecord` decides what it is. The buffer may be longer than its `length`.
   */
  read(record: Buffer, key: string): TreeRecord | undefined {
    const { length } = record;
    if (length < AT_TEXTS) return undefined;
    if (record !== this.source) {
      this.source = record;
      this.view = new DataView(record.buffer, record.byteOffset, record.byteLength);
    }
    const { view } = this;
    // Magic, format, and no flags.
    if (view.getUint32(0, true) !== PLAIN_HEAD || view.getUint32(AT_LENGTH, true) !== length) return undefined;
    const rest = new Uint8Array(record.buffer, record.byteOffset + AT_LENGTH, length - AT_LENGTH);
    if (crc32(rest, PLAIN_HEAD) !== view.getUint32(AT_CHECKSUM, true)) return undefined;
    const keyAt = AT_TEXTS + view.getUint16(AT_APP_VERSION_LENGTH, true);
    const tagsAt = keyAt + view.getUint32(AT_KEY_LENGTH, true);
    const valueAt = tagsAt + view.getUint32(AT_TAGS_LENGTH, true);
    if (valueAt > length || length - valueAt !== view.getFloat64(AT_VALUE_LENGTH, true)) return undefined;
    if (!holdsText(record, keyAt, tagsAt, key)) return undefined;
    const tags = tagsIn(record, tagsAt, valueAt);
    const tree = tags === undefined ? undefined : this.codec.decodeTree(record, valueAt, length);
    if (tags === undefined || tree === undefined) return undefined;
    return new TreeRecord(
      this.codec,
      key,
      tags,
      this.appVersionOf(record, keyAt),
      view.getFloat64(AT_BIRTH, true),
      view.getFloat64(AT_STORED_AT, true),
      view.getFloat64(AT_EXPIRES, true),
      view.getFloat64(AT_STALE_UNTIL, true),
      plausibleMs(view.getFloat64(AT_COMPUTE_MS, true)),
      view.getFloat64(AT_SCHEMA_VERSION, true),
      tree,
      length - valueAt,
      length,
    );
  }

  /** As a rule the same as that of the record before. */
  private appVersionOf(record: Buffer, end: number): string {
    if (!holdsText(record, AT_TEXTS, end, this.appVersion)) {
      this.appVersion = record.toString('utf8', AT_TEXTS, end);
    }
    return this.appVersion;
  }
}

function tagsIn(record: Buffer, from: number, end: number): readonly string[] | undefined {
  try {
    return readTags(record, from, end, 'utf8');
  } catch {
    return undefined;
  }
}

/** Whether the bytes are `text`, which is ASCII then. */
function holdsText(bytes: Buffer, from: number, end: number, text: string): boolean {
  if (end - from !== text.length) return false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > LAST_ASCII || bytes[from + index] !== code) return false;
  }
  return true;
}

const LAST_ASCII = 0x7f;

/** The longest key that LMDB accepts, with room to spare. */
const MAX_PHYSICAL_BYTES = 1_900;
/** A UTF-16 unit takes at most this many bytes in UTF-8. */
const MAX_UNIT_BYTES = 3;

/**
 * The form of a key in a store that takes short, well-formed keys only: `lane:key`, or else `lane#` and a hash.
 * Two keys may, in theory, share a hash, so a reader must compare the full key in the record.
 */
export function physicalKey(lane: string, key: string): string {
  const direct = `${lane}:${key}`;
  const fits = direct.length * MAX_UNIT_BYTES <= MAX_PHYSICAL_BYTES || Buffer.byteLength(direct) <= MAX_PHYSICAL_BYTES;
  if (fits && key.isWellFormed()) return direct;
  return `${lane}#${createHash('sha256').update(key, 'utf16le').digest('hex')}`;
}
