import { types } from 'node:util';
import { hidesData, StaleType, type ListedType } from './cacheable-type.js';
import { fillError, lowerError, nativeError } from './error-kinds.js';
import { MalformedValue, type Cells, type CellWriter, type Kind } from './kind.js';
import { fillProperties, lowerProperties } from './property-cells.js';

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
    lower: (value, writer) => {
      if (type.privateMember !== undefined) writer.refuse(hiddenIn(type.name, type.privateMember));
      if (value instanceof Error) return [...lowerError(value, writer), type.version];
      return lowerInstance(value, type, writer);
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
      return version === type.version ? undefined : (fields) => migrate(type, fields, version);
    },
  };
}

const hiddenIn = (name: string, member: string): string =>
  `is an instance of ${name}, whose ${member} nobody else can read or restore (a field that is private to TypeScript alone can be)`;

function lowerInstance(value: object, { type, version }: ListedType, writer: CellWriter): unknown[] {
  const own = Object.getOwnPropertyDescriptor(value, 'constructor');
  if (own?.value !== type || !own.enumerable) return [...lowerProperties(value, writer), version];
  return [...lowerProperties(value, writer, 'constructor'), version, true];
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

function migrate(type: ListedType, fields: object, version: number): object {
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
