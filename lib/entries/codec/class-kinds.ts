import { types } from 'node:util';
import { LaneCacheError } from '../../errors/lane-cache.error.js';
import {
  privateMemberOf,
  MalformedValue,
  type Cells,
  type CellWriter,
  type Kind,
  fillProperties,
  writeProperties,
} from './kinds.js';
import { fillError, writeError, nativeError } from './built-in-kinds.js';

/** A class, be its constructor public, private, or abstract. */
export interface ClassOf<T> {
  readonly name: string;
  readonly prototype: T;
}

/** A class whose instances may be stored: their own fields are, and the class is named, never serialised. */
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

/** The value holds an instance of a class in a version that nothing turns into the present one: a miss. */
export class StaleType extends Error {
  override readonly name = 'StaleType';
}

/** A listed class, ready for storing and restoring. */
interface ListedType {
  readonly name: string;
  readonly version: number;
  readonly prototype: object;
  readonly migrate: ((fields: Readonly<Record<string, unknown>>, fromVersion: number) => unknown) | undefined;
  readonly type: ClassOf<unknown>;
  /** One that keeps instances from being stored. */
  readonly privateMember: string | undefined;
}

/** Checks the `types` option. Throws LaneCacheError OPTIONS_INVALID. */
export function listTypes(entries: readonly TypeEntry[]): readonly ListedType[] {
  const names = new Set<string>();
  return entries.map((entry, index) => {
    const listed = listType(entry, `types[${index}]`);
    if (names.has(listed.name)) {
      throw invalid(
        `types[${index}]`,
        `is the second type named '${listed.name}'. Give one of them another name: { type, name }.`,
      );
    }
    names.add(listed.name);
    return listed;
  });
}

/** The entry in its long form. */
export const asCacheableType = (entry: TypeEntry): CacheableType =>
  typeof entry === 'object' && entry !== null && 'type' in entry ? entry : { type: entry };

function listType(entry: TypeEntry, field: string): ListedType {
  const { type, name, version = 1, migrate } = asCacheableType(entry);
  const prototype: unknown = typeof type === 'function' ? type.prototype : undefined;
  if (typeof type !== 'function' || typeof prototype !== 'object' || prototype === null) {
    throw invalid(field, 'is no class. List the class itself, or { type: TheClass, … }.');
  }
  const storedName = name ?? type.name;
  if (typeof storedName !== 'string' || storedName === '') {
    throw invalid(field, `needs a name: the class has none. Write { type, name: '…' }.`);
  }
  if (!Number.isSafeInteger(version) || version < 0) {
    throw invalid(field, `has version ${String(version)}; versions are whole numbers from 0 on.`);
  }
  if (migrate !== undefined && typeof migrate !== 'function')
    throw invalid(field, 'has a migrate that is no function.');
  return { name: storedName, version, type, prototype, migrate, privateMember: privateMemberOf(type) };
}

function invalid(field: string, problem: string): LaneCacheError {
  return new LaneCacheError('OPTIONS_INVALID', `'${field}' ${problem}`, { field });
}

/** Whether `value` keeps its data where own fields don't show it, as instances of a subclass of `Map` do. */
function hidesData(value: object): boolean {
  return (
    Array.isArray(value) ||
    ArrayBuffer.isView(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isDate(value) ||
    types.isRegExp(value) ||
    types.isPromise(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isBoxedPrimitive(value) ||
    types.isGeneratorObject(value) ||
    typeof value === 'function'
  );
}

const PREFIX = 'class ';

/** Whether a stored kind is that of a class, listed today or not. */
export const isClassKind = (name: string): boolean => name.startsWith(PREFIX);

/**
 * Instances of one listed class. Cells: the own fields, the version, and `true` if the class itself is a field of the
 * instance, its `constructor`, as libraries of numbers have it.
 *
 * Instances come back by `Object.create`: no constructor runs. Those with private members (`#x`) are refused, since these
 * would be lost.
 */
export function instanceKind(type: ListedType): Kind {
  const isError = type.prototype instanceof Error;
  return {
    name: PREFIX + type.name,
    prototype: type.prototype,
    isReal: (value): value is object => (isError ? types.isNativeError(value) : !hidesData(value)),
    write: (value, writer) => {
      if (type.privateMember !== undefined) writer.refuse(hiddenIn(type.name, type.privateMember));
      if (value instanceof Error) return [...writeError(value, writer), type.version];
      return writeInstance(value, type, writer);
    },
    shell: (cells) => {
      if (versionOf(cells) !== type.version) return {};
      if (isError) return nativeError(type.prototype);
      const instance: object = Object.create(type.prototype);
      return instance;
    },
    fill: (shell, cells) => {
      if (isError) fillError(shell, cells);
      else fillInstance(shell, type, cells);
    },
    replacement: (cells) => {
      const version = versionOf(cells);
      return version === type.version ? undefined : (fields) => migratedFields(type, fields, version);
    },
  };
}

const hiddenIn = (name: string, member: string): string =>
  `is an instance of ${name}, whose ${member} nobody else can read or restore (a field that is private to TypeScript alone can be)`;

function writeInstance(value: object, { type, version }: ListedType, writer: CellWriter): unknown[] {
  const own = Object.getOwnPropertyDescriptor(value, 'constructor');
  if (own?.value !== type || !own.enumerable) return [...writeProperties(value, writer), version];
  return [...writeProperties(value, writer, 'constructor'), version, true];
}

function fillInstance(shell: object, { type }: ListedType, cells: Cells): void {
  fillProperties(shell, cells, 0, versionAt(cells), 'shown');
  if (!namesItsClass(cells)) return;
  Object.defineProperty(shell, 'constructor', { value: type, enumerable: true, writable: true, configurable: true });
}

/** Fields are pairs, so the version is the odd one, unless something follows it. */
const namesItsClass = (cells: Cells): boolean => cells.length % 2 === 0;

const versionAt = (cells: Cells): number => cells.length - (namesItsClass(cells) ? 2 : 1);

function versionOf(cells: Cells): number {
  if (cells.length === 0) throw new MalformedValue('An instance has no version.');
  return cells.number(versionAt(cells));
}

function migratedFields(type: ListedType, fields: object, version: number): object {
  const stale = `A stored '${type.name}' has version ${version}, the class is at ${type.version}`;
  if (type.migrate === undefined) throw new StaleType(`${stale}, and it has no migrate.`);
  let migrated: unknown;
  try {
    migrated = type.migrate({ ...fields }, version);
  } catch (cause) {
    throw new StaleType(`${stale}, and its migrate threw.`, { cause });
  }
  if (typeof migrated !== 'object' || migrated === null)
    throw new StaleType(`${stale}, and its migrate returned no instance.`);
  return migrated;
}
