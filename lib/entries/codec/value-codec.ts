import { byteKinds, containerKinds, errorKinds, scalarKinds } from './built-in-kinds.js';
import { listTypes, StaleType, type TypeEntry, instanceKind } from './class-kinds.js';
import { MalformedValue, Unstorable, type Kind } from './kinds.js';
import { toTable, type ValueTable, fromTable } from './object-table.js';
import { Packr, RESERVE_START_SPACE } from 'msgpackr';
import { types as utilTypes } from 'node:util';

/** First bytes of an encoded value. */
const PLAIN = 0x01;
const TABLE = 0x02;

const BUILT_IN = [...containerKinds, ...scalarKinds, ...byteKinds, ...errorKinds];

/** A value as bytes (which may lie in a larger buffer), or why it has none. */
type Encoded =
  | { readonly storable: true; readonly bytes: Uint8Array }
  | {
      readonly storable: false;
      /** Names the place in the value and what is there: `value.items[3].stream is a function`. */
      readonly reason: string;
    };

/** Whether what was encoded is a tree of ordinary objects, arrays and primitives, and nothing else. */
export const isTree = (bytes: Uint8Array): boolean => bytes[0] === PLAIN;

/**
 * Values as bytes and back, equal in value and type (`util.isDeepStrictEqual`), or not at all.
 *
 * A tree of ordinary objects, arrays and primitives is MessagePack; everything else goes through a table of objects
 * that keeps kinds, cycles and shared references. (Within such a plain tree an object that occurs twice comes back as
 * two equal ones.) Decoding runs no code but the `migrate` of listed types, and makes no instances of others.
 */
export class ValueCodec {
  private readonly messages = new MessagePack();
  private readonly byPrototype: ReadonlyMap<object | null, Kind>;
  private readonly byName: ReadonlyMap<string, Kind>;

  /** `types` are the classes whose instances may be stored. Throws LaneCacheError OPTIONS_INVALID. */
  constructor(types: readonly TypeEntry[] = []) {
    const kinds = [...BUILT_IN, ...listTypes(types).map(instanceKind)];
    this.byPrototype = new Map(kinds.map((kind) => [kind.prototype, kind]));
    this.byName = new Map(kinds.map((kind) => [kind.name, kind]));
  }

  /** Never throws. */
  encode(value: unknown): Encoded {
    try {
      if (isPlain(value)) return { storable: true, bytes: this.messages.pack(value, PLAIN) };
      const { root, rows } = toTable(value, this.byPrototype);
      return { storable: true, bytes: this.messages.pack([root, rows], TABLE) };
    } catch (error) {
      return { storable: false, reason: reasonOf(error) };
    }
  }

  /**
   * A new value, sharing nothing with `bytes`. Throws MalformedValue if `bytes` are no encoded value, and StaleType if
   * they hold an instance of a class or version that is no longer known.
   */
  decode(bytes: Uint8Array): unknown {
    const content = bytes.byteLength > 0 ? this.messages.unpack(bytes) : undefined;
    if (bytes[0] === PLAIN) return content;
    if (bytes[0] !== TABLE) throw new MalformedValue('The value is of no known encoding.');
    try {
      return fromTable(asTable(content), this.byName);
    } catch (error) {
      if (error instanceof StaleType || error instanceof MalformedValue) throw error;
      throw new MalformedValue('The value cannot be put together.', { cause: error });
    }
  }
}

function asTable(content: unknown): ValueTable {
  if (!Array.isArray(content) || content.length !== 2) throw new MalformedValue('The value has no table.');
  const [root, rows]: readonly unknown[] = content;
  if (!Array.isArray(rows) || !rows.every((row): row is unknown[] => Array.isArray(row)))
    throw new MalformedValue('The value has no rows.');
  return { root, rows };
}

function reasonOf(error: unknown): string {
  if (error instanceof Unstorable) return error.message;
  return `value cannot be read: ${describe(error)}`;
}

function describe(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return 'reading it threw something that has no text';
  }
}

/**
 * MessagePack for plain trees of objects, arrays, primitives and byte strings, each message complete in itself.
 *
 * What is decoded may come from anybody who can write to the store, so every message is checked to be such a tree
 * before a decoder sees it: no extensions (which could compile record readers), no lengths beyond the bytes there are.
 */
class MessagePack {
  private readonly packr = new Packr({ useRecords: false, variableMapSize: true });
  /** msgpackr keeps a view with each buffer that it reads, and reads small messages twice as fast where it has one. */
  private readonly desk = Buffer.alloc(DESK_BYTES);

  /** The message behind one byte that is the caller's to use. The result may be part of a larger buffer. */
  pack(value: unknown, firstByte: number): Uint8Array {
    const bytes = this.packr.pack(value, RESERVE_START_SPACE | 1);
    bytes[0] = firstByte;
    return bytes;
  }

  /**
   * Reads the message behind the first byte. Byte strings in it are views of `bytes`, or of what the next message
   * overwrites. Throws MalformedValue.
   */
  unpack(bytes: Uint8Array): unknown {
    const isSmall = bytes.byteLength <= DESK_BYTES;
    if (isSmall) this.desk.set(bytes);
    const message = isSmall ? this.desk : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    checkMessage(message, bytes.byteLength);
    try {
      return this.packr.unpack(message, new MessageSpan(bytes.byteLength));
    } catch (cause) {
      throw new MalformedValue('The value cannot be read.', { cause });
    }
  }
}

const DESK_BYTES = 32 * 1024;

/** Where a message lies that has one byte before it. */
class MessageSpan {
  readonly start = 1;

  constructor(readonly end: number) {}
}

/**
 * Walks over the tokens of the message, behind the first byte and before `end`, without building anything. A token that
 * reaches beyond the end is told by where it leads.
 */
function checkMessage(message: Buffer, end: number): void {
  let position = 1;
  for (let pending = 1; pending > 0; pending -= 1) {
    // every value takes a byte at least, so a length that promises more values than bytes is a lie
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
  if (position !== end) throw new MalformedValue('The value has another length than its bytes.');
}

interface TokenStep {
  /** How many bytes belong to the token itself. */
  readonly bytes: number;
  /** How many values follow as its content. */
  readonly values: number;
}

const leaf = (bytes: number): TokenStep => ({ bytes, values: 0 });

function longToken(message: Buffer, token: number, position: number): TokenStep {
  switch (token) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return leaf(0);
    case 0xc4: // byte strings and texts, by the width of their length
    case 0xd9:
      return leaf(1 + sizeAt(message, position, 1));
    case 0xc5:
    case 0xda:
      return leaf(2 + sizeAt(message, position, 2));
    case 0xc6:
    case 0xdb:
      return leaf(4 + sizeAt(message, position, 4));
    case 0xcc: // numbers, by their width
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
    case 0xdc: // arrays
      return { bytes: 2, values: sizeAt(message, position, 2) };
    case 0xdd:
      return { bytes: 4, values: sizeAt(message, position, 4) };
    case 0xde: // objects
      return { bytes: 2, values: sizeAt(message, position, 2) * 2 };
    case 0xdf:
      return { bytes: 4, values: sizeAt(message, position, 4) * 2 };
  }
  throw new MalformedValue(`The value holds the token ${token}, which is never written.`);
}

function sizeAt(message: Buffer, position: number, width: number): number {
  if (position + width > message.length) throw new MalformedValue('The value is cut off.');
  return message.readUIntBE(position, width);
}

/** Deeper than this is left to the value table, which does not recurse. */
const MAX_DEPTH = 200;
/** More values than this may be a small graph that shares its nodes; the value table holds each node once. */
const MAX_VALUES = 1_000_000;

const NOT_PLAIN = -1;
const LOWEST_INTEGER = -(2n ** 63n);
const BEYOND_INTEGER = 2n ** 64n;

/**
 * Whether MessagePack alone restores `value` exactly: a tree of ordinary objects, dense arrays and primitives.
 *
 * The walk reads no property through a getter or a proxy, except elements of arrays, whose descriptors would cost more
 * than encoding them. It throws what such an element's getter throws.
 */
function isPlain(value: unknown): boolean {
  return spend(value, MAX_DEPTH, MAX_VALUES) !== NOT_PLAIN;
}

/** What is left of the budget after `value`, or NOT_PLAIN. */
function spend(value: unknown, depth: number, budget: number): number {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? budget : NOT_PLAIN;
    case 'number':
      return Object.is(value, -0) ? NOT_PLAIN : budget;
    case 'boolean':
    case 'undefined':
      return budget;
    case 'bigint':
      return value >= LOWEST_INTEGER && value < BEYOND_INTEGER ? budget : NOT_PLAIN;
    case 'object':
      if (value === null) return budget;
      if (depth === 0 || utilTypes.isProxy(value)) return NOT_PLAIN;
      return Array.isArray(value) ? spendArray(value, depth - 1, budget) : spendObject(value, depth - 1, budget);
    default:
      return NOT_PLAIN;
  }
}

function spendArray(array: readonly unknown[], depth: number, budget: number): number {
  const { length } = array;
  let left = budget - length - 1;
  if (left < 0 || Object.getPrototypeOf(array) !== Array.prototype) return NOT_PLAIN;
  if (Object.keys(array).length !== length || Object.getOwnPropertySymbols(array).length > 0) return NOT_PLAIN;
  for (let index = 0; index < length; index += 1) {
    const item = array[index];
    if (item === undefined && !(index in array)) return NOT_PLAIN;
    left = spend(item, depth, left);
    if (left < 0) return NOT_PLAIN;
  }
  return left;
}

function spendObject(object: object, depth: number, budget: number): number {
  if (Object.getPrototypeOf(object) !== Object.prototype) return NOT_PLAIN;
  const names = Object.getOwnPropertyNames(object);
  let left = budget - names.length - 1;
  if (left < 0 || Object.getOwnPropertySymbols(object).length > 0) return NOT_PLAIN;
  for (const name of names) {
    const property = Object.getOwnPropertyDescriptor(object, name);
    if (property === undefined || !property.enumerable || property.get !== undefined || property.set !== undefined)
      return NOT_PLAIN;
    // MessagePack's own implementation looks at `constructor`, and renames `__proto__`
    if (name === '__proto__' || name === 'constructor' || !name.isWellFormed()) return NOT_PLAIN;
    left = spend(property.value, depth, left);
    if (left < 0) return NOT_PLAIN;
  }
  return left;
}
