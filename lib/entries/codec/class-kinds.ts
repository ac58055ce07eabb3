import { types } from 'node:util';
import { Script } from 'node:vm';
import { ignoreRejection } from '../../clock/promises.js';
import { LaneCacheError } from '../../errors/lane-cache.error.js';
import { fn, nonEmpty, required, whole, defineOptions } from '../../options/options-shape.js';
import { emptyError, populateError, serializeError } from './built-in-kinds.js';
import {
  type CellReader,
  type CellWriter,
  defineProperties,
  type Kind,
  MalformedValue,
  serializeProperties,
} from './kinds.js';
import { hidesData } from './trees.js';

/** A class; its constructor may be public, private, or abstract. */
export interface ClassOf<T> {
  readonly name: string;
  readonly prototype: T;
}

/** A class whose instances may be stored: their own fields are serialized, and the class is referred to by name. */
export interface CacheableType<T = unknown> {
  readonly type: ClassOf<T>;
  /** Stored name. Default: the class name. Two equal names in one app are an error. */
  readonly name?: string;
  /** Default 1. Raise it when the fields change: entries of another version are migrated, or else a miss. */
  readonly version?: number;
  /**
   * Makes an instance from the fields of another version. `undefined`, or throwing, is a miss.
   * Instances of the present version are restored without running any code of the class.
   */
  readonly migrate?: (fields: Readonly<Record<string, unknown>>, fromVersion: number) => T | undefined;
}

/** An entry of the `types` option: the class alone, or with a stored name, a version and a migration. */
export type TypeEntry = ClassOf<unknown> | CacheableType;

/** The value holds an instance of an unlisted class, or of a version that cannot be migrated: a miss. */
export class StaleType extends Error {
  override readonly name = 'StaleType';
}

/** The entry in its long form. */
export const asCacheableType = (entry: TypeEntry): CacheableType =>
  typeof entry === 'object' && entry !== null && 'type' in entry ? entry : { type: entry };

/** Called when a `migrate` threw, or returned neither an instance nor undefined. */
export type MigrateFailed = (type: string, error: unknown) => void;

/** The kinds of the classes in the `types` option. Throws LaneCacheError OPTIONS_INVALID. */
export function classKinds(entries: readonly TypeEntry[], migrateFailed: MigrateFailed): readonly Kind[] {
  const names = new Set<string>();
  return entries.map((entry, index) => {
    const field = `types[${index}]`;
    const listed = listedType(entry, field);
    if (names.has(listed.name)) {
      throw invalid(field, `is the second type named '${listed.name}'. Give one of them another name: { type, name }.`);
    }
    names.add(listed.name);
    return classKind(listed, migrateFailed);
  });
}

/** A validated entry of the `types` option. */
interface ListedType {
  readonly name: string;
  readonly version: number;
  readonly prototype: object;
  readonly migrate: ((fields: Readonly<Record<string, unknown>>, fromVersion: number) => unknown) | undefined;
  readonly type: ClassOf<unknown>;
  /** A private member, which prevents instances from being stored. */
  readonly privateMember: string | undefined;
}

const CACHEABLE_TYPE = defineOptions<CacheableType>('A listed type', {
  type: required(fn),
  name: nonEmpty,
  version: whole,
  migrate: fn,
});

function listedType(entry: TypeEntry, field: string): ListedType {
  const written = asCacheableType(entry);
  const prototype: unknown = typeof written.type === 'function' ? written.type.prototype : undefined;
  if (typeof prototype !== 'object' || prototype === null) {
    throw invalid(field, 'is not a class. List the class itself, or { type: TheClass, … }.');
  }
  const { type, name, version = 1, migrate } = CACHEABLE_TYPE.read(written, { path: field });
  const storedName = name ?? type.name;
  if (typeof storedName !== 'string' || storedName === '') {
    throw invalid(field, `needs a name, because the class has none. Write { type, name: '…' }.`);
  }
  return { name: storedName, version, type, prototype, migrate, privateMember: privateMemberOf(type) };
}

function invalid(field: string, problem: string): LaneCacheError {
  return new LaneCacheError('OPTIONS_INVALID', `'${field}' ${problem}`, { field });
}

const PREFIX = 'class ';

/** Whether a stored kind is that of a class, whether or not it is still listed. */
export const isClassKind = (name: string): boolean => name.startsWith(PREFIX);

/**
 * Instances of one class. Cells: the own fields, the version, and `true` if the class itself is an own field
 * `constructor`, as in some libraries for numbers.
 *
 * Instances are restored with `Object.create`: no constructor runs. Instances with private members (`#x`) are refused,
 * because these would be lost.
 */
function classKind(type: ListedType, migrateFailed: MigrateFailed): Kind {
  const isError = type.prototype instanceof Error;
  return {
    name: PREFIX + type.name,
    prototype: type.prototype,
    ...(isError || type.privateMember !== undefined ? {} : { className: type.name }),
    matches: (value): value is object => (isError ? types.isNativeError(value) : !hidesData(value)),
    serialize: (value, writer) => {
      if (type.privateMember !== undefined) writer.refuse(privateMemberProblem(type.name, type.privateMember));
      if (value instanceof Error) return [...serializeError(value, writer), type.version];
      return serializeInstance(value, type, writer);
    },
    create: (cells) => {
      if (versionOf(cells) !== type.version) return {};
      if (isError) return emptyError(type.prototype);
      const instance: object = Object.create(type.prototype);
      return instance;
    },
    populate: (object, cells) => {
      if (isError) populateError(object, cells);
      else populateInstance(object, type, cells);
    },
    migration: (cells) => {
      const version = versionOf(cells);
      return version === type.version ? undefined : (fields) => migratedFields(type, fields, version, migrateFailed);
    },
  };
}

const privateMemberProblem = (name: string, member: string): string =>
  `is an instance of ${name}, whose ${member} is private to the class, so it can be neither read nor restored (a field that is private only in TypeScript can be)`;

function serializeInstance(value: object, { type, version }: ListedType, writer: CellWriter): unknown[] {
  const own = Object.getOwnPropertyDescriptor(value, 'constructor');
  if (own?.value !== type || !own.enumerable) return [...serializeProperties(value, writer), version];
  return [...serializeProperties(value, writer, 'constructor'), version, true];
}

function populateInstance(object: object, { type }: ListedType, cells: CellReader): void {
  defineProperties(object, cells, 0, versionAt(cells), 'enumerable');
  if (!hasConstructorField(cells)) return;
  Object.defineProperty(object, 'constructor', { value: type, enumerable: true, writable: true, configurable: true });
}

/** Fields take two cells each, so the number of cells is odd unless the version is followed by `true`. */
const hasConstructorField = (cells: CellReader): boolean => cells.length % 2 === 0;

const versionAt = (cells: CellReader): number => cells.length - (hasConstructorField(cells) ? 2 : 1);

function versionOf(cells: CellReader): number {
  if (cells.length === 0) throw new MalformedValue('An instance has no version.');
  return cells.number(versionAt(cells));
}

function migratedFields(type: ListedType, fields: object, version: number, migrateFailed: MigrateFailed): object {
  const stale = `A stored '${type.name}' has version ${version}, the class has version ${type.version}`;
  if (type.migrate === undefined) throw new StaleType(`${stale} and no migrate.`);
  let migrated: unknown;
  try {
    migrated = type.migrate({ ...fields }, version);
  } catch (cause) {
    migrateFailed(type.name, cause);
    throw new StaleType(`${stale}, and its migrate threw.`, { cause });
  }
  if (isInstance(type, migrated)) return migrated;
  ignoreRejection(migrated);
  // undefined says that there is no migration
  if (migrated !== undefined) migrateFailed(type.name, undefined);
  throw new StaleType(`${stale}, and its migrate returned no instance.`);
}

const isInstance = ({ prototype }: ListedType, value: unknown): value is object =>
  Object.prototype.isPrototypeOf.call(prototype, Object(value));

/** A private name in source text. It also matches inside texts and comments. */
const PRIVATE_NAME = /#[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/gu;
/** Private members as compilers write them for older engines. */
const COMPILED = /_+class_?private_?(?:field|method)/i;

/**
 * A private member (`#x`) of the instances of a class or of its base classes; undefined if there is none. Code outside
 * the class cannot read it, nor make an object that has it without running the constructor.
 */
export function privateMemberOf(type: unknown): string | undefined {
  for (let at = type; typeof at === 'function'; at = Object.getPrototypeOf(at)) {
    const source = Function.prototype.toString.call(at);
    if (COMPILED.test(source)) return '#…';
    const found = [...new Set(source.match(PRIVATE_NAME))].find((name) => declares(source, name));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Asks the engine's parser: a class that declares a private name twice does not compile. */
function declares(source: string, name: string): boolean {
  if (new RegExp(`\\bstatic\\s[^;{}=]*${name.replaceAll('$', '\\$')}`, 'u').test(source)) return false;
  return isClass(source) && !isClass(`${source.slice(0, -1)};${name};}`);
}

/** Compiles the source text of a class without running it. */
function isClass(source: string): boolean {
  try {
    return new Script(`(${source})`) instanceof Script;
  } catch {
    return false;
  }
}
