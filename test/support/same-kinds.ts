import { expect } from '@jest/globals';

/** Beyond deep equality: the same prototypes, own property names and enumerability, hidden ones too, all the way down. */
export function sameKinds(actual: unknown, expected: unknown, seen = new Map<object, object>()): void {
  if (typeof expected !== 'object' || expected === null || typeof actual !== 'object' || actual === null) {
    expect(Object.is(actual, expected)).toBe(true);
    return;
  }
  if (seen.has(expected)) return;
  seen.set(expected, actual);
  expect(Object.getPrototypeOf(actual)).toBe(Object.getPrototypeOf(expected));
  if (ArrayBuffer.isView(expected)) return;
  if (expected instanceof Map && actual instanceof Map) {
    sameKinds([...actual.entries()], [...expected.entries()], seen);
  }
  if (expected instanceof Set && actual instanceof Set) sameKinds([...actual], [...expected], seen);
  if (expected instanceof URL && actual instanceof URL) expect(actual.href).toBe(expected.href);
  const properties = Object.getOwnPropertyDescriptors(expected);
  const restored = Object.getOwnPropertyDescriptors(actual);
  expect(Reflect.ownKeys(restored)).toEqual(Reflect.ownKeys(properties));
  for (const [name, property] of Object.entries(properties)) {
    expect(restored[name]?.enumerable).toBe(property.enumerable);
    sameKinds(restored[name]?.value, property.value, seen);
  }
}
