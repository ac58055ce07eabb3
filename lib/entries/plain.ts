import { types } from 'node:util';
import { isWellFormed } from './well-formed.js';

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
export function isPlain(value: unknown): boolean {
  return spend(value, MAX_DEPTH, MAX_VALUES) !== NOT_PLAIN;
}

/** What is left of the budget after `value`, or NOT_PLAIN. */
function spend(value: unknown, depth: number, budget: number): number {
  switch (typeof value) {
    case 'string':
      return isWellFormed(value) ? budget : NOT_PLAIN;
    case 'number':
      return Object.is(value, -0) ? NOT_PLAIN : budget;
    case 'boolean':
    case 'undefined':
      return budget;
    case 'bigint':
      return value >= LOWEST_INTEGER && value < BEYOND_INTEGER ? budget : NOT_PLAIN;
    case 'object':
      if (value === null) return budget;
      if (depth === 0 || types.isProxy(value)) return NOT_PLAIN;
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
    if (name === '__proto__' || name === 'constructor' || !isWellFormed(name)) return NOT_PLAIN;
    left = spend(property.value, depth, left);
    if (left < 0) return NOT_PLAIN;
  }
  return left;
}
