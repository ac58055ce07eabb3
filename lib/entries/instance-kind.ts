import { types } from 'node:util';
import { hidesData, StaleType, type ListedType } from './cacheable-type.js';
import { fillError, lowerError, nativeError } from './error-kinds.js';
import { MalformedValue, type Cells, type CellWriter, type Kind } from './kind.js';
import { fillProperties, lowerProperties } from './property-cells.js';

const PREFIX = 'class ';

/** Whether a stored kind is that of a class, listed today or not. */
export const isClassKind = (name: string): boolean => name.startsWith(PREFIX);

/**
 * Instances of one listed class. Cells: the own fields, and last the version.
 *
 * Instances come back by `Object.create`: no constructor runs. Private fields (`#x`) are not own fields and are lost.
 */
export function instanceKind(type: ListedType): Kind {
  const isError = type.prototype instanceof Error;
  return {
    name: PREFIX + type.name,
    prototype: type.prototype,
    isReal: (value): value is object => (isError ? types.isNativeError(value) : !hidesData(value)),
    lower: (value, writer) => [...lowerFields(value, writer), type.version],
    shell: (cells) => {
      if (versionOf(cells) !== type.version) return {};
      if (isError) return nativeError(type.prototype);
      const instance: object = Object.create(type.prototype);
      return instance;
    },
    fill: (shell, cells) => {
      if (isError) fillError(shell, cells);
      else fillProperties(shell, cells, 0, cells.length, 'shown');
    },
    replacement: (cells) => {
      const version = versionOf(cells);
      return version === type.version ? undefined : (fields) => migrate(type, fields, version);
    },
  };
}

const lowerFields = (value: object, writer: CellWriter): unknown[] =>
  value instanceof Error ? lowerError(value, writer) : lowerProperties(value, writer);

function versionOf(cells: Cells): number {
  if (cells.length === 0) throw new MalformedValue('An instance has no version.');
  return cells.number(cells.length - 1);
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
