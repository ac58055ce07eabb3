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
export function defaultKey(
  prefix: string,
  args: readonly unknown[],
  listed: ListedClasses = NO_CLASSES,
): string | undefined {
  const encoded = canonicalArguments(args, listed);
  if (encoded === undefined) return undefined;
  // no encoding of an argument begins with '#'
  if (encoded.length <= MAX_KEY_LENGTH) return `${prefix}:${encoded}`;
  return `${prefix}:#${createHash('sha256').update(encoded, 'utf16le').digest('hex')}`;
}

/**
 * Encodes arguments as a text, so that different lists of arguments have different texts.
 *
 * Types count (`1` and `'1'`, a `Date` and its text, a hole and `undefined`, `-0` and `0`), and so do trailing
 * `undefined` and the order in a `Map` or `Set`; the order of an object's keys does not, nor whether a plain object has
 * a prototype. Plain data, Date, Map, Set, RegExp, URL, bytes and instances of `listed` classes can be encoded. Returns
 * `undefined` for anything else (such as functions, symbols, other instances or accessors), for a cycle, for more than
 * 500 levels of nesting, and for an encoding of over 4 million characters.
 */
export function canonicalArguments(args: readonly unknown[], listed: ListedClasses = NO_CLASSES): string | undefined {
  if (args.length === 1) {
    const [only] = args;
    if (typeof only === 'string') return text(only);
    if (typeof only === 'number') return number(only);
  }
  try {
    let encoded = '';
    for (const argument of args) {
      encoded += encode(argument, MAX_DEPTH, listed);
      if (encoded.length > MAX_ENCODED_LENGTH) return undefined;
    }
    return encoded;
  } catch {
    // Unencodable, or thrown by an accessor of a built-in object
    return undefined;
  }
}

/** The classes whose instances have an encoding: their own fields, under the name of the class. */
export interface ListedClasses {
  /** The stored name of the class of `object`; undefined if it is not listed, or hides its data. */
  readonly classNameOf: (object: object) => string | undefined;
}

export const NO_CLASSES: ListedClasses = { classNameOf: () => undefined };

/** The part of the arguments that has no encoding, as a sentence: `argument 0, at .owner, is an instance of User.` */
export function unencodablePart(args: readonly unknown[], listed: ListedClasses = NO_CLASSES): string {
  const argument = args.findIndex((each) => canonicalArguments([each], listed) === undefined);
  if (argument < 0) return 'the arguments are too large together.';
  const { path, value } = culpritIn(args[argument], listed, '', LONGEST_PATH);
  const kind = kindInWords(value);
  const more = kind === 'a list' || kind === 'an object' ? UNCLEAR : '';
  return `argument ${argument}${path === '' ? '' : `, at ${path},`} is ${kind}${more}.`;
}

const UNCLEAR = ' that is too large, or has a cycle, accessors, symbols as keys or other uncommon properties';

/** Parts further inside are not named. */
const LONGEST_PATH = 8;

interface Culprit {
  readonly path: string;
  readonly value: unknown;
}

function culpritIn(value: unknown, listed: ListedClasses, path: string, depth: number): Culprit {
  for (const [step, part] of depth === 0 ? [] : partsOf(value)) {
    if (canonicalArguments([part], listed) === undefined) return culpritIn(part, listed, `${path}${step}`, depth - 1);
  }
  return { path, value };
}

/** The parts of plain data, with how they are reached. Runs no code of the data. */
function* partsOf(value: unknown): Iterable<readonly [string, unknown]> {
  if (typeof value !== 'object' || value === null || types.isProxy(value)) return;
  if (types.isMap(value)) for (const entry of Map.prototype.entries.call(value)) yield ['[…]', entry];
  else if (types.isSet(value)) for (const part of Set.prototype.values.call(value)) yield ['[…]', part];
  else if (Array.isArray(value) || isPlainPrototype(Object.getPrototypeOf(value))) {
    for (const [name, { value: part }] of Object.entries(Object.getOwnPropertyDescriptors(value))) {
      yield [Array.isArray(value) ? `[${name}]` : `.${name}`, part];
    }
  }
}

/** What kind of value it is, for errors and warnings: `an instance of User`. Runs no code of the value. */
export function kindInWords(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (value === '') return 'an empty string';
  if (typeof value !== 'object') return `a ${typeof value}`;
  if (types.isProxy(value)) return 'a Proxy';
  if (Array.isArray(value)) return 'a list';
  return isPlainPrototype(Object.getPrototypeOf(value)) ? 'an object' : `an instance of ${classNameOf(value)}`;
}

function classNameOf(object: object): string {
  const prototype: unknown = Object.getPrototypeOf(object);
  const type: unknown =
    typeof prototype === 'object' && prototype !== null
      ? Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value
      : undefined;
  return typeof type === 'function' && type.name !== '' ? type.name : 'an unnamed class';
}

class Unencodable extends Error {
  override readonly name = 'Unencodable';
}

// Every encoding starts with its own letter and marks its end, so no two lists of them are alike.

const text = (value: string): string => `s${value.length}:${value}`;

const number = (value: number): string => (Object.is(value, -0) ? 'n-0;' : `n${value};`);

function encode(value: unknown, depth: number, listed: ListedClasses): string {
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
      if (depth > 0 && !types.isProxy(value)) return encodeObject(value, depth - 1, listed);
  }
  throw new Unencodable();
}

function encodeObject(object: object, depth: number, listed: ListedClasses): string {
  if (Array.isArray(object)) return encodeArray(object, depth, listed);
  const prototype: object | null = Object.getPrototypeOf(object);
  if (isPlainPrototype(prototype)) return `o${encodeProperties(object, depth, listed)}`;
  const className = listed.classNameOf(object);
  if (className !== undefined) return `c${text(className)}${encodeProperties(object, depth, listed)}`;
  if (ArrayBuffer.isView(object) || types.isArrayBuffer(object)) return encodeBytes(object, prototype);
  if (Reflect.ownKeys(object).length > (types.isRegExp(object) ? 1 : 0)) throw new Unencodable();
  if (prototype === Date.prototype && types.isDate(object)) return `d${object.getTime()};`;
  if (prototype === Map.prototype && types.isMap(object)) return encodeMap(object, depth, listed);
  if (prototype === Set.prototype && types.isSet(object)) return `e${object.size}:${encodeEach(object, depth, listed)}`;
  if (prototype === RegExp.prototype && types.isRegExp(object))
    return `r${text(object.source)}${text(object.flags)}${number(object.lastIndex)}`;
  if (prototype === URL.prototype && object instanceof URL) return `l${text(object.href)}`;
  throw new Unencodable();
}

/**
 * Of an object literal, of an object without prototype, and of the query objects of parsers, which inherit from an empty
 * object without prototype because that is faster to make.
 */
function isPlainPrototype(prototype: object | null): boolean {
  if (prototype === null || prototype === Object.prototype) return true;
  return Object.getPrototypeOf(prototype) === null && Reflect.ownKeys(prototype).length === 0;
}

function encodeEach(values: Iterable<unknown>, depth: number, listed: ListedClasses): string {
  let encoded = '';
  for (const value of values) encoded = append(encoded, encode(value, depth, listed));
  return encoded;
}

function encodeArray(array: readonly unknown[], depth: number, listed: ListedClasses): string {
  if (Object.getPrototypeOf(array) !== Array.prototype || array.length > MAX_ENCODED_LENGTH) throw new Unencodable();
  let encoded = `a${array.length}:`;
  let present = 0;
  for (let index = 0; index < array.length; index += 1) {
    if (Object.hasOwn(array, index)) present += 1;
    encoded = append(encoded, Object.hasOwn(array, index) ? encode(array[index], depth, listed) : 'h');
  }
  if (Object.keys(array).length !== present || Object.getOwnPropertySymbols(array).length > 0) throw new Unencodable();
  return encoded;
}

function encodeMap(map: ReadonlyMap<unknown, unknown>, depth: number, listed: ListedClasses): string {
  let encoded = `m${map.size}:`;
  for (const [key, value] of map) encoded = append(encoded, encode(key, depth, listed) + encode(value, depth, listed));
  return encoded;
}

function encodeProperties(object: object, depth: number, listed: ListedClasses): string {
  const names = Object.getOwnPropertyNames(object);
  if (Object.getOwnPropertySymbols(object).length > 0) throw new Unencodable();
  let encoded = `${names.length}:`;
  for (const name of names.toSorted()) {
    const property = Object.getOwnPropertyDescriptor(object, name);
    if (property === undefined || !property.enumerable || property.get !== undefined || property.set !== undefined)
      throw new Unencodable();
    encoded = append(encoded, text(name) + encode(property.value, depth, listed));
  }
  return encoded;
}

/** Encodes views and buffers of the language and of Node, but not of subclasses. */
function encodeBytes(object: ArrayBufferLike | ArrayBufferView, prototype: object | null): string {
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
