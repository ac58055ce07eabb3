import { types } from 'node:util';

/** Deeper trees are left to the value table and the general decoder, which do not recurse. */
const MAX_DEPTH = 200;
/** More values may come from a small graph whose nodes are shared; the value table holds each node once. */
const MAX_VALUES = 1_000_000;

const NOT_PLAIN = -1;

/**
 * Whether MessagePack alone restores `value` exactly: a tree of ordinary objects, dense arrays and primitives.
 *
 * The walk runs no getters and no proxies, except getters of array elements: reading their descriptors would take
 * longer than encoding them. It throws what such a getter throws.
 */
export function isPlain(value: unknown): boolean {
  return budgetAfter(value, MAX_DEPTH, MAX_VALUES) !== NOT_PLAIN;
}

/** The number of values that may still follow `value`, or NOT_PLAIN. */
function budgetAfter(value: unknown, depth: number, budget: number): number {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? budget : NOT_PLAIN;
    case 'number':
      return Object.is(value, -0) ? NOT_PLAIN : budget;
    case 'boolean':
    case 'undefined':
      return budget;
    case 'bigint':
      return isSmallInteger(value) ? budget : NOT_PLAIN;
    case 'object':
      if (value === null) return budget;
      if (depth === 0 || types.isProxy(value)) return NOT_PLAIN;
      return Array.isArray(value)
        ? budgetAfterArray(value, depth - 1, budget)
        : budgetAfterObject(value, depth - 1, budget);
    default:
      return NOT_PLAIN;
  }
}

function budgetAfterArray(array: readonly unknown[], depth: number, budget: number): number {
  const { length } = array;
  let left = budget - length - 1;
  if (left < 0 || Object.getPrototypeOf(array) !== Array.prototype) return NOT_PLAIN;
  if (Object.keys(array).length !== length || Object.getOwnPropertySymbols(array).length > 0) return NOT_PLAIN;
  for (let index = 0; index < length; index += 1) {
    const item = array[index];
    if (item === undefined && !(index in array)) return NOT_PLAIN;
    left = budgetAfter(item, depth, left);
    if (left < 0) return NOT_PLAIN;
  }
  return left;
}

function budgetAfterObject(object: object, depth: number, budget: number): number {
  if (Object.getPrototypeOf(object) !== Object.prototype) return NOT_PLAIN;
  const names = Object.getOwnPropertyNames(object);
  if (names.length === 0 ? hidesData(object) : hidesUntagged(object)) return NOT_PLAIN;
  // One of the language's own objects, whose prototype was changed.
  if (Object.prototype.toString.call(object) !== '[object Object]') return NOT_PLAIN;
  let left = budget - names.length - 1;
  if (left < 0 || Object.getOwnPropertySymbols(object).length > 0) return NOT_PLAIN;
  for (const name of names) {
    const property = Object.getOwnPropertyDescriptor(object, name);
    if (property === undefined || !property.enumerable || property.get !== undefined || property.set !== undefined)
      return NOT_PLAIN;
    // msgpackr treats an own `constructor` specially and renames `__proto__`
    if (name === '__proto__' || name === 'constructor' || !name.isWellFormed()) return NOT_PLAIN;
    left = budgetAfter(property.value, depth, left);
    if (left < 0) return NOT_PLAIN;
  }
  return left;
}

/** Whether `value` keeps data outside its own fields, as instances of a subclass of `Map` do. */
export function hidesData(value: object): boolean {
  return (
    hidesUntagged(value) ||
    Array.isArray(value) ||
    types.isDate(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value) ||
    types.isBoxedPrimitive(value) ||
    types.isArgumentsObject(value) ||
    value instanceof WeakRef ||
    typeof value === 'function'
  );
}

/** Those of them that have no tag of their own, so that `Object.prototype.toString` shows them by their prototype. */
function hidesUntagged(value: object): boolean {
  return (
    types.isMap(value) ||
    types.isSet(value) ||
    types.isPromise(value) ||
    ArrayBuffer.isView(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isGeneratorObject(value) ||
    types.isMapIterator(value) ||
    types.isSetIterator(value)
  );
}

const LOWEST_INTEGER = -(2n ** 63n);
const BEYOND_INTEGER = 2n ** 64n;

/** Whether `value` fits into the 64 bits that MessagePack has for a bigint. */
export const isSmallInteger = (value: bigint): boolean => value >= LOWEST_INTEGER && value < BEYOND_INTEGER;

/** Names of properties repeat from value to value. So many are kept, of at most 31 bytes each. */
const NAMES = 512;
/** What msgpackr does not read as an ordinary property. */
const SPECIAL_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor']);

const LAST_ASCII = 0x7f;
/** Up to this length, a text is put together here: a call into the engine takes two or three times as long. */
const SHORT_TEXT = 16;

/**
 * Reads a tree of ordinary objects, arrays and primitives from MessagePack, where it lies, and freezes it, in one walk.
 * Everything that it does not know is left to the general decoder, with the judgement of what is damaged.
 */
export class TreeReader {
  private bytes: Buffer = Buffer.alloc(0);
  private view: DataView = new DataView(new ArrayBuffer(0));
  private position = 0;
  private end = 0;
  /** The characters of a short text, by its length. */
  private readonly codes = Array.from({ length: SHORT_TEXT + 1 }, (_, length) => Array.from({ length }, () => 0));
  private readonly names: (string | undefined)[] = Array.from({ length: NAMES });

  /** Undefined for what is left to the general decoder. The buffer may be longer than its `length`. */
  read(bytes: Buffer, start: number, end: number): unknown {
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.position = start;
    this.end = end;
    const value = this.value(MAX_DEPTH);
    return this.position === end ? value : undefined;
  }

  private value(depth: number): unknown {
    const { position } = this;
    if (this.position >= this.end) return this.giveUp();
    const token = this.bytes[position] ?? 0xc1;
    this.position = position + 1;
    if (token < 0x80) return token;
    if (token >= 0xe0) return token - 0x100;
    if (token >= 0xa0 && token < 0xc0) return this.text(token & 0x1f);
    if (token < 0x90) return this.object(token & 0x0f, depth);
    if (token < 0xa0) return this.array(token & 0x0f, depth);
    return this.longValue(token, depth);
  }

  private longValue(token: number, depth: number): unknown {
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xcb:
        return this.fits(8) ? this.view.getFloat64((this.position += 8) - 8) : undefined;
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.size(token - 0xcc);
      case 0xd0:
        return this.fits(1) ? this.view.getInt8((this.position += 1) - 1) : undefined;
      case 0xd1:
        return this.fits(2) ? this.view.getInt16((this.position += 2) - 2) : undefined;
      case 0xd2:
        return this.fits(4) ? this.view.getInt32((this.position += 4) - 4) : undefined;
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.text(this.size(token - 0xd9));
      case 0xdc:
      case 0xdd:
        return this.array(this.size(token - 0xdb), depth);
      case 0xde:
      case 0xdf:
        return this.object(this.size(token - 0xdd), depth);
      default:
        return this.giveUp();
    }
  }

  /** An unsigned number of one, two or four bytes. */
  private size(exponent: number): number {
    const { position, view } = this;
    const width = 1 << exponent;
    if (!this.fits(width)) return 0;
    this.position = position + width;
    if (exponent === 0) return view.getUint8(position);
    return exponent === 1 ? view.getUint16(position) : view.getUint32(position);
  }

  private text(length: number): string {
    const { position } = this;
    if (!this.fits(length)) return '';
    this.position = position + length;
    const short = length <= SHORT_TEXT ? this.shortText(position, length) : undefined;
    return short ?? this.bytes.toString('utf8', position, position + length);
  }

  /** Undefined unless it is ASCII. */
  private shortText(position: number, length: number): string | undefined {
    const { bytes } = this;
    const codes = this.codes[length] ?? [];
    let all = 0;
    for (let index = 0; index < length; index++) all |= codes[index] = bytes[position + index] ?? 0;
    return all > LAST_ASCII ? undefined : String.fromCharCode(...codes);
  }

  private array(length: number, depth: number): unknown {
    if (depth === 0 || !this.fits(length)) return this.giveUp();
    // oxlint-disable-next-line unicorn/no-new-array -- an array that grows takes room for seventeen at once
    const items = new Array<unknown>(length);
    for (let index = 0; index < length; index++) {
      if (this.position >= this.end) return this.giveUp();
      items[index] = this.value(depth - 1);
    }
    return Object.freeze(items);
  }

  private object(size: number, depth: number): unknown {
    if (depth === 0 || !this.fits(size * 2)) return this.giveUp();
    const object: Record<string, unknown> = {};
    for (let index = 0; index < size; index++) {
      if (this.position >= this.end) return this.giveUp();
      const name = this.name();
      if (name === undefined) return undefined;
      object[name] = this.value(depth - 1);
    }
    return Object.freeze(object);
  }

  private name(): string | undefined {
    const token = this.bytes[this.position++] ?? 0;
    if (token >= 0xa0 && token < 0xc0) return this.knownName(token & 0x1f);
    return token >= 0xd9 && token <= 0xdb ? this.newName(this.size(token - 0xd9)) : this.giveUp();
  }

  private newName(length: number): string | undefined {
    const name = this.text(length);
    return SPECIAL_NAMES.has(name) ? this.giveUp() : name;
  }

  /** From those that were read before, because a new text costs more than comparing. */
  private knownName(length: number): string | undefined {
    const { bytes, position } = this;
    if (!this.fits(length)) return undefined;
    let hash = length;
    for (let at = position; at < position + length; at++) hash = (Math.imul(hash, 31) + (bytes[at] ?? 0)) | 0;
    const slot = hash & (NAMES - 1);
    const known = this.names[slot];
    if (known !== undefined && this.isAt(known, position, length)) {
      this.position = position + length;
      return known;
    }
    const name = this.newName(length);
    if (name !== undefined) this.names[slot] = name;
    return name;
  }

  private isAt(text: string, position: number, length: number): boolean {
    if (text.length !== length) return false;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > LAST_ASCII || code !== this.bytes[position + index]) return false;
    }
    return true;
  }

  /** Whether so many bytes are left. Else nothing can be read any more. */
  private fits(bytes: number): boolean {
    if (bytes <= this.end - this.position) return true;
    this.giveUp();
    return false;
  }

  private giveUp(): undefined {
    this.position = Infinity;
  }
}
