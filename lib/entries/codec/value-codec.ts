import { Packr, RESERVE_START_SPACE } from 'msgpackr';
import { BUILT_IN_KINDS } from './built-in-kinds.js';
import { classKinds, type MigrateFailed, StaleType, type TypeEntry } from './class-kinds.js';
import { type Kind, MalformedValue, Unstorable } from './kinds.js';
import { type DecodedTable, deserializeTable, serializeToTable, type ValueTable } from './object-table.js';
import { isPlain, TreeReader } from './trees.js';

/** The first byte of an encoded value: the rest is the value in MessagePack, or its value table in MessagePack. */
const PLAIN = 0x01;
const TABLE = 0x02;

/** Encoded bytes (perhaps a view of a larger buffer), or the reason why the value cannot be stored. */
type Encoded =
  | {
      readonly storable: true;
      readonly bytes: Uint8Array;
      /** How many bytes right before `bytes`, in the same memory, are free for the head of a record. */
      readonly room: number;
    }
  | {
      readonly storable: false;
      /** Names the place in the value and what is there: `value.items[3].stream is a function`. */
      readonly reason: string;
    };

/** Whether the encoded value is a tree of ordinary objects, arrays and primitives, and nothing else. */
export const isTree = (bytes: Uint8Array): boolean => bytes[0] === PLAIN;

/**
 * Encodes values as bytes and decodes them equal in value and type (`util.isDeepStrictEqual`), or refuses them.
 *
 * A tree of ordinary objects, arrays and primitives is stored as plain MessagePack; an object that occurs twice in it
 * is decoded as two equal objects. Every other value is stored as a value table, which keeps kinds, cycles and shared
 * references. Decoding runs no code except the `migrate` of listed types, and creates instances of listed types only.
 */
export class ValueCodec {
  private readonly messages = new MessagePack();
  private readonly trees = new TreeReader();
  private readonly byPrototype: ReadonlyMap<object | null, Kind>;
  private readonly byName: ReadonlyMap<string, Kind>;

  /** `types` are the classes whose instances may be stored. Reports what their `migrate` fails with. Throws LaneCacheError OPTIONS_INVALID. */
  constructor(types: readonly TypeEntry[] = [], migrateFailed: MigrateFailed = () => undefined) {
    const kinds = [...BUILT_IN_KINDS, ...classKinds(types, migrateFailed)];
    this.byPrototype = new Map(kinds.map((kind) => [kind.prototype, kind]));
    this.byName = new Map(kinds.map((kind) => [kind.name, kind]));
  }

  /** The stored name of the listed class of `object`; undefined if it is no such instance, or cannot be stored whole. */
  readonly classNameOf = (object: object): string | undefined => {
    const kind = this.byPrototype.get(Object.getPrototypeOf(object));
    return kind?.className !== undefined && kind.matches(object) ? kind.className : undefined;
  };

  /** Never throws. */
  encode(value: unknown): Encoded {
    try {
      const bytes = isPlain(value) ? this.messages.pack(value, PLAIN) : this.packTable(value);
      return { storable: true, bytes, room: roomBefore(bytes) };
    } catch (error) {
      return { storable: false, reason: reasonOf(error) };
    }
  }

  /** The same, for bytes that are acknowledged without being decoded: what cannot be decoded is not storable. */
  encodeChecked(value: unknown): Encoded {
    const encoded = this.encode(value);
    if (!encoded.storable) return encoded;
    const { bytes } = encoded;
    try {
      if (isTree(bytes)) this.messages.check(bytes);
      else this.decode(bytes);
      return encoded;
    } catch (error) {
      return { storable: false, reason: notRestorable(error) };
    }
  }

  /**
   * A new value that shares no memory with `bytes`. Throws MalformedValue if `bytes` are not an encoded value, and
   * StaleType if they hold an instance of a class or version that is no longer known.
   */
  decode(bytes: Uint8Array): unknown {
    return bytes[0] === PLAIN ? this.messages.unpack(bytes) : this.decodeTable(bytes).value;
  }

  /**
   * As `decode`, of an encoded value from `start` to `end`, frozen. Undefined unless it is a tree of ordinary objects, arrays
   * and primitives: then `decode` reads it, or says what is wrong with it. It runs none of the app's code.
   */
  decodeTree(bytes: Uint8Array, start: number, end: number): unknown {
    if (bytes[start] !== PLAIN) return undefined;
    const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return this.trees.read(buffer, start + 1, end);
  }

  /**
   * What stored bytes hold, with bytes for which `decode` runs none of the app's code: what another version of a class
   * stored is encoded anew, so that its `migrate` runs once and not for each copy. Throws what `decode` throws.
   */
  open(bytes: Uint8Array): { readonly value: unknown; readonly bytes: Uint8Array } {
    if (bytes[0] === PLAIN) return { value: this.messages.unpack(bytes), bytes };
    const { value, isMigrated } = this.decodeTable(bytes);
    if (!isMigrated) return { value, bytes };
    const encoded = this.encode(value);
    if (!encoded.storable) throw new StaleType(`What migrate returned cannot be stored: ${encoded.reason}.`);
    return { value: this.decode(encoded.bytes), bytes: encoded.bytes };
  }

  private packTable(value: unknown): Uint8Array {
    const { root, rows } = serializeToTable(value, this.byPrototype);
    return this.messages.pack([root, rows], TABLE);
  }

  private decodeTable(bytes: Uint8Array): DecodedTable {
    if (bytes[0] !== TABLE) throw new MalformedValue('The value has an unknown encoding.');
    const content = this.messages.unpack(bytes);
    try {
      return deserializeTable(asTable(content), this.byName);
    } catch (error) {
      if (error instanceof StaleType || error instanceof MalformedValue) throw error;
      throw new MalformedValue('The value cannot be restored.', { cause: error });
    }
  }
}

/** Why a value that was encoded is not stored. `error` is what decoding it threw. */
export const notRestorable = (error: unknown): string =>
  `value could not be restored: ${error instanceof Error ? error.message : 'decoding it failed'}`;

function reasonOf(error: unknown): string {
  try {
    if (error instanceof Unstorable) return error.message;
    return `value cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  } catch {
    return 'value cannot be read: what it throws has no text';
  }
}

function asTable(content: unknown): ValueTable {
  if (!Array.isArray(content) || content.length !== 2) throw new MalformedValue('The value has no table.');
  const [root, rows]: readonly unknown[] = content;
  if (!Array.isArray(rows) || !rows.every((row): row is unknown[] => Array.isArray(row)))
    throw new MalformedValue('The value has no rows.');
  return { root, rows };
}

const SCRATCH_BYTES = 32 * 1024;
/** A buffer up to this size may be kept alive by the messages in it. */
const MESSAGES_BYTES = 64 * 1024;
/** A larger buffer is not kept for the next message. */
const LARGEST_KEPT_BYTES = 16 * 1024 * 1024;
/** msgpackr wants up to three bytes free for each byte of a text. A fourth is to spare. */
const ROOM_PER_BYTE = 4;
/** Before a message that is longer than `MESSAGES_BYTES`: the head of its record goes there, so that the message is not copied again. */
const HEAD_BYTES = 1_024;
/** The size of the first buffer of msgpackr. */
const FIRST_MESSAGES_BYTES = 8 * 1024;

/** A longer message never stays in the buffer of msgpackr. */
const roomBefore = ({ byteLength }: Uint8Array): number => (byteLength > MESSAGES_BYTES ? HEAD_BYTES : 0);

/** Whether the buffer in which msgpackr has written the message is kept for the next one. */
const isKept = ({ byteLength, buffer }: Uint8Array): boolean =>
  byteLength > MESSAGES_BYTES && buffer.byteLength <= LARGEST_KEPT_BYTES;

/**
 * The buffer for the next message: `given`, or what msgpackr has made in its place. Where that is too large to be kept, one
 * with room for a message of this size.
 */
const bufferAfter = (bytes: Uint8Array, given: Buffer): Buffer | undefined => {
  if (isKept(bytes)) return bytes.buffer === given.buffer ? given : Buffer.from(bytes.buffer);
  const room = ROOM_PER_BYTE * bytes.byteLength;
  return bytes.byteLength > MESSAGES_BYTES && room <= LARGEST_KEPT_BYTES ? Buffer.allocUnsafeSlow(room) : undefined;
};

/**
 * For a large message msgpackr makes a buffer of a multiple of its size, and goes on with it: a small message after it
 * would keep all of that in memory. So messages are copied out of such a buffer.
 */
const movedOut = (bytes: Uint8Array): Uint8Array => {
  const before = roomBefore(bytes);
  const message = Buffer.allocUnsafe(before + bytes.byteLength).subarray(before);
  message.set(bytes);
  return message;
};

/**
 * MessagePack for plain trees of objects, arrays, primitives and byte strings.
 *
 * Anyone who can write to the store can write a message, so every message is checked before msgpackr decodes it: it
 * must be such a tree, without extensions (which could compile record readers) or lengths beyond its end.
 */
class MessagePack {
  private readonly packr = new Packr({ useRecords: false, variableMapSize: true });
  /** Small messages are copied here: msgpackr keeps a DataView per buffer, and reads twice as fast if it has one. */
  private readonly scratch = Buffer.alloc(SCRATCH_BYTES);

  /** Where messages are written after a large one. They are copied out of it. */
  private large: Buffer | undefined;
  /**
   * What msgpackr made for the first large message. It is only kept: once glibc has freed a block of this size, it gives back
   * no smaller one. Pages that were never written to take no memory.
   */
  private first: ArrayBufferLike | undefined;

  /** `firstByte`, then the message. The result may be a view of a larger buffer. */
  pack(value: unknown, firstByte: number): Uint8Array {
    if (this.large !== undefined) return this.packIn(this.large, value, firstByte);
    const bytes = this.write(value, firstByte);
    if (bytes.buffer.byteLength <= MESSAGES_BYTES) return bytes;
    this.leaveBuffer();
    if (this.first === undefined && isKept(bytes)) this.first = bytes.buffer;
    if (bytes.byteLength > MESSAGES_BYTES) this.large = Buffer.allocUnsafeSlow(FIRST_MESSAGES_BYTES);
    return movedOut(bytes);
  }

  private packIn(large: Buffer, value: unknown, firstByte: number): Uint8Array {
    this.packr.useBuffer(large);
    try {
      const bytes = this.write(value, firstByte);
      this.large = bufferAfter(bytes, large);
      return movedOut(bytes);
    } finally {
      this.leaveBuffer();
    }
  }

  private write(value: unknown, firstByte: number): Uint8Array {
    const bytes = this.packr.pack(value, RESERVE_START_SPACE | 1);
    bytes[0] = firstByte;
    return bytes;
  }

  /**
   * All who use msgpackr in a process write to one buffer, and the messages of others may be views of it. So none that
   * others have seen is written to from its start again, and they never see `large`.
   */
  private leaveBuffer(): void {
    this.packr.useBuffer(Buffer.allocUnsafeSlow(FIRST_MESSAGES_BYTES));
  }

  /** Throws MalformedValue if `unpack` would. */
  check(bytes: Uint8Array): void {
    checkMessage(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), bytes.byteLength);
  }

  /**
   * Reads the message after the first byte. Byte strings in it are views of `bytes`, or of memory that the next call
   * overwrites. Throws MalformedValue.
   */
  unpack(bytes: Uint8Array): unknown {
    const isSmall = bytes.byteLength <= SCRATCH_BYTES;
    if (isSmall) this.scratch.set(bytes);
    const message = isSmall ? this.scratch : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    checkMessage(message, bytes.byteLength);
    try {
      return this.packr.unpack(message, new MessageSpan(bytes.byteLength));
    } catch (cause) {
      throw new MalformedValue('The value cannot be read.', { cause });
    }
  }
}

/** The bounds of a message, as options of msgpackr: one byte precedes it. */
class MessageSpan {
  readonly start = 1;

  constructor(readonly end: number) {}
}

/**
 * Walks the tokens of the message, from the second byte to `end`, without building a value. A token that reaches beyond
 * the end shows in the final position.
 */
function checkMessage(message: Buffer, end: number): void {
  let position = 1;
  for (let pending = 1; pending > 0; pending -= 1) {
    // every value takes at least one byte
    if (pending > end - position) throw new MalformedValue('The value is cut off.');
    const token = message[position] ?? 0xc1;
    position += 1;
    if (token < 0x80 || token >= 0xe0) continue;
    if (token < 0x90) pending += (token & 0x0f) * 2;
    else if (token < 0xa0) pending += token & 0x0f;
    else if (token < 0xc0) position += token & 0x1f;
    else {
      const step = longToken(message, token, position);
      position += step.bytes;
      pending += step.values;
    }
  }
  if (position !== end) throw new MalformedValue('The value does not end where its bytes end.');
}

interface TokenStep {
  /** How many more bytes belong to the token itself. */
  readonly bytes: number;
  /** How many values follow as its elements. */
  readonly values: number;
}

const leaf = (bytes: number): TokenStep => ({ bytes, values: 0 });

function longToken(message: Buffer, token: number, position: number): TokenStep {
  switch (token) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return leaf(0);
    case 0xc4: // byte strings and texts
    case 0xd9:
      return leaf(1 + sizeAt(message, position, 1));
    case 0xc5:
    case 0xda:
      return leaf(2 + sizeAt(message, position, 2));
    case 0xc6:
    case 0xdb:
      return leaf(4 + sizeAt(message, position, 4));
    case 0xcc: // numbers
    case 0xd0:
      return leaf(1);
    case 0xcd:
    case 0xd1:
      return leaf(2);
    case 0xce:
    case 0xd2:
      return leaf(4);
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return leaf(8);
    case 0xd4: // the one extension in use: undefined
      if (message[position] === 0 && message[position + 1] === 0) return leaf(2);
      break;
  }
  return containerToken(message, token, position);
}

function containerToken(message: Buffer, token: number, position: number): TokenStep {
  switch (token) {
    case 0xdc: // arrays
      return { bytes: 2, values: sizeAt(message, position, 2) };
    case 0xdd:
      return { bytes: 4, values: sizeAt(message, position, 4) };
    case 0xde: // objects
      return { bytes: 2, values: sizeAt(message, position, 2) * 2 };
    case 0xdf:
      return { bytes: 4, values: sizeAt(message, position, 4) * 2 };
  }
  throw new MalformedValue(`The value holds the token ${token}, which this library never writes.`);
}

function sizeAt(message: Buffer, position: number, width: number): number {
  if (position + width > message.length) throw new MalformedValue('The value is cut off.');
  return message.readUIntBE(position, width);
}
