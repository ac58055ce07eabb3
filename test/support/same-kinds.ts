import { isDeepStrictEqual } from 'node:util';
import { isSameInOrder } from './same-in-order.js';

/**
 * The places where `actual` differs from `expected`. Stricter than deep equality: prototypes, names and enumerability of
 * own properties, also hidden ones, and the addresses of URLs must be the same at every level.
 */
export function differences(actual: unknown, expected: unknown): readonly string[] {
  const found = isSameInOrder(actual, expected) ? [] : ['not deeply equal'];
  compare(actual, expected, 'value', found, new Set());
  return found;
}

function compare(actual: unknown, expected: unknown, path: string, found: string[], seen: Set<object>): void {
  if (typeof expected !== 'object' || expected === null || typeof actual !== 'object' || actual === null) {
    if (!Object.is(actual, expected)) found.push(`${path} is another primitive`);
    return;
  }
  if (seen.has(expected)) return;
  seen.add(expected);
  if (Object.getPrototypeOf(actual) !== Object.getPrototypeOf(expected)) found.push(`${path} has another prototype`);
  if (ArrayBuffer.isView(expected)) return;
  compareContent(actual, expected, path, found, seen);
  const properties = Object.getOwnPropertyDescriptors(expected);
  const restored = Object.getOwnPropertyDescriptors(actual);
  if (!isDeepStrictEqual(Reflect.ownKeys(restored), Reflect.ownKeys(properties))) found.push(`${path} has other keys`);
  for (const [name, property] of Object.entries(properties)) {
    const step = `${path}[${JSON.stringify(name)}]`;
    if (restored[name]?.enumerable !== property.enumerable) found.push(`${step} shows or hides otherwise`);
    // Read, because Node 24 shows the stack of an error as an accessor.
    compare(Reflect.get(actual, name), Reflect.get(expected, name), step, found, seen);
  }
}

function compareContent(actual: object, expected: object, path: string, found: string[], seen: Set<object>): void {
  if (expected instanceof Map && actual instanceof Map)
    compare([...actual.entries()], [...expected.entries()], `${path}<entries>`, found, seen);
  if (expected instanceof Set && actual instanceof Set)
    compare([...actual], [...expected], `${path}<members>`, found, seen);
  if (expected instanceof URL && actual instanceof URL)
    compare(actual.href, expected.href, `${path}.href`, found, seen);
}
