import { isDeepStrictEqual, types } from 'node:util';

/**
 * `isDeepStrictEqual` pairs the members of Sets and the keys of Maps in the order in which it finds them. Of two equal
 * keys it may take the wrong one, and call equal Maps different. Then they are compared in their order.
 */
export function isSameInOrder(actual: unknown, expected: unknown): boolean {
  return isDeepStrictEqual(actual, expected) || isDeepStrictEqual(inOrder(actual), inOrder(expected));
}

/** Of a kind that the language tells apart by more than the prototype, which may have been changed. */
export const isHidden = (value: object): boolean =>
  types.isMap(value) ||
  types.isSet(value) ||
  types.isPromise(value) ||
  types.isAnyArrayBuffer(value) ||
  types.isWeakMap(value) ||
  types.isGeneratorObject(value) ||
  types.isMapIterator(value) ||
  types.isDate(value);

/** Sets and Maps as lists. */
function inOrder(value: unknown, seen = new Map<unknown, unknown>()): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  // Node 20 calls two invalid dates different
  if (value instanceof Date) return ['date', value.getTime()];
  const isPlain = [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null) && !isHidden(value);
  if (!(value instanceof Map || value instanceof Set || Array.isArray(value) || isPlain)) return value;
  const list: unknown[] = [];
  seen.set(value, list);
  const parts: Iterable<unknown> = value instanceof Map || value instanceof Set ? value : Object.entries(value).flat();
  list.push(Object.prototype.toString.call(value), isPlain ? Object.getPrototypeOf(value) === null : false);
  for (const part of parts) list.push(inOrder(part, seen));
  return list;
}
