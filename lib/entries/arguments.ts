import { createHash } from 'node:crypto';
import { types } from 'node:util';
import { BYTE_KINDS } from './codec/built-in-kinds.js';

/** Longer encodings are hashed. */
const MAX_KEY_LENGTH = 512;
/** Deeper arguments have no encoding, and so neither have cycles. */
const MAX_DEPTH = 500;
/** Arguments with a longer encoding have none: hashing megabytes at every call would take too long. */
const MAX_ENCODED_LENGTH = 4 * 1024 * 1024;

/**
 * The key of a call without a `key` option: `prefix:` and the encoded arguments, or `prefix:#` and their SHA-256 when
 * they are long. `undefined` if an argument has no encoding.
 */
export function defaultKey(prefix: string, args: readonly unknown[]): string | undefined {
  const encoded = canonicalArguments(args);
  if (encoded === undefined) return undefined;
  // no encoding of an argument begins with '#'
  if (encoded.length <= MAX_KEY_LENGTH) return `${prefix}:${encoded}`;
  return `${prefix}:#${createHash('sha256').update(encoded, 'utf16le').digest('hex')}`;
}

/**
 * Encodes arguments as a text, so that different lists of arguments have different texts.
 *
 * Types count (`1` and `'1'`, a `Date` and its text, a hole and `undefined`, `-0` and `0`), and so do trailing
 * `undefined` and the order in a `Map` or `Set`; the order of an object's keys does not. Returns `undefined` if there
 * is anything but plain data, Date, Map, Set, RegExp, URL and bytes (such as functions, symbols, class instances or
 * accessors), a cycle, more than 500 levels of nesting, or an encoding of over 4 million characters.
 */
export function canonicalArguments(args: readonly unknown[]): string | undefined {
  if (args.length === 1) {
    const [only] = args;
    if (typeof only === 'string') return text(only);
    if (typeof only === 'number') return number(only);
  }
  try {
    let encoded = '';
    for (const argument of args) {
      encoded += encode(argument, MAX_DEPTH);
      if (encoded.length > MAX_ENCODED_LENGTH) return undefined;
    }
    return encoded;
  } catch {
    // Unencodable, or thrown by an accessor of a built-in object
    return undefined;
  }
}

class Unencodable extends Error {
  override readonly name = 'Unencodable';
}

// Every encoding starts with its own letter and marks its end, so no two lists of them are alike.

const text = (value: string): string => `s${value.length}:${value}`;

const number = (value: number): string => (Object.is(value, -0) ? 'n-0;' : `n${value};`);

function encode(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return text(value);
    case 'number':
      return number(value);
    case 'boolean':
      return value ? 't' : 'f';
    case 'undefined':
      return 'u';
    case 'bigint':
      return `i${value};`;
    case 'object':
      if (value === null) return 'z';
      if (depth > 0 && !types.isProxy(value)) return encodeObject(value, depth - 1);
  }
  throw new Unencodable();
}

function encodeObject(object: object, depth: number): string {
  if (Array.isArray(object)) return encodeArray(object, depth);
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype === Object.prototype) return `o${encodeProperties(object, depth)}`;
  if (prototype === null) return `p${encodeProperties(object, depth)}`;
  if (ArrayBuffer.isView(object) || types.isArrayBuffer(object)) return encodeBytes(object, prototype);
  if (Reflect.ownKeys(object).length > (types.isRegExp(object) ? 1 : 0)) throw new Unencodable();
  if (prototype === Date.prototype && types.isDate(object)) return `d${object.getTime()};`;
  if (prototype === Map.prototype && types.isMap(object)) return encodeMap(object, depth);
  if (prototype === Set.prototype && types.isSet(object)) return `e${object.size}:${encodeEach(object, depth)}`;
  if (prototype === RegExp.prototype && types.isRegExp(object))
    return `r${text(object.source)}${text(object.flags)}${number(object.lastIndex)}`;
  if (prototype === URL.prototype && object instanceof URL) return `l${text(object.href)}`;
  throw new Unencodable();
}

function encodeEach(values: Iterable<unknown>, depth: number): string {
  let encoded = '';
  for (const value of values) encoded = append(encoded, encode(value, depth));
  return encoded;
}

function encodeArray(array: readonly unknown[], depth: number): string {
  if (Object.getPrototypeOf(array) !== Array.prototype || array.length > MAX_ENCODED_LENGTH) throw new Unencodable();
  let encoded = `a${array.length}:`;
  let present = 0;
  for (let index = 0; index < array.length; index += 1) {
    if (Object.hasOwn(array, index)) present += 1;
    encoded = append(encoded, Object.hasOwn(array, index) ? encode(array[index], depth) : 'h');
  }
  if (Object.keys(array).length !== present || Object.getOwnPropertySymbols(array).length > 0) throw new Unencodable();
  return encoded;
}

function encodeMap(map: ReadonlyMap<unknown, unknown>, depth: number): string {
  let encoded = `m${map.size}:`;
  for (const [key, value] of map) encoded = append(encoded, encode(key, depth) + encode(value, depth));
  return encoded;
}

function encodeProperties(object: object, depth: number): string {
  const names = Object.getOwnPropertyNames(object);
  if (Object.getOwnPropertySymbols(object).length > 0) throw new Unencodable();
  let encoded = `${names.length}:`;
  for (const name of names.toSorted()) {
    const property = Object.getOwnPropertyDescriptor(object, name);
    if (property === undefined || !property.enumerable || property.get !== undefined || property.set !== undefined)
      throw new Unencodable();
    encoded = append(encoded, text(name) + encode(property.value, depth));
  }
  return encoded;
}

/** Encodes views and buffers of the language and of Node, but not of subclasses. */
function encodeBytes(object: ArrayBufferLike | ArrayBufferView, prototype: unknown): string {
  const kind = BYTE_KINDS.find((candidate) => candidate.prototype === prototype);
  if (kind === undefined || object.byteLength > MAX_ENCODED_LENGTH) throw new Unencodable();
  const bytes = ArrayBuffer.isView(object)
    ? Buffer.from(object.buffer, object.byteOffset, object.byteLength)
    : Buffer.from(object);
  return `y${text(kind.name)}${text(bytes.toString('base64'))}`;
}

function append(encoded: string, next: string): string {
  if (encoded.length + next.length > MAX_ENCODED_LENGTH) throw new Unencodable();
  return encoded + next;
}
