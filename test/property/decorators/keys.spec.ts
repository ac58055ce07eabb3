import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { inspect, isDeepStrictEqual } from 'node:util';
import { defaultKey } from '../../../lib/entries/arguments.js';
import { seededRandom } from '../../../lib/testing/seeded-random.js';
import { roundsOf } from '../../support/fault-table.js';
import { anyStorable } from '../../support/storable-values.js';

const LISTS = roundsOf(30_000, 100_000);

const keyOf = (...args: readonly unknown[]): string | undefined => defaultKey('Class.method', args);

const nested = (depth: number, innermost: unknown): unknown =>
  depth === 0 ? innermost : { below: [nested(depth - 1, innermost)] };

describe('the default key of a call', () => {
  it('is never shared by two random lists of arguments', () => {
    const random = seededRandom(4_100);
    const samples = [...fc.sample(plain(), Math.ceil(LISTS / 50)), ...fc.sample(anyStorable(), Math.ceil(LISTS / 200))];
    // a plain object has the same key with and without a prototype
    const isBare = (value: unknown): boolean => inspect(value, { depth: Infinity }).includes('null prototype');
    const values = samples.filter((value) => keyOf(value) && !isBare(value));
    const pick = (): unknown => values[Math.floor(random() * values.length)];
    const byKey = new Map<string, readonly unknown[]>();
    const shared: unknown[] = [];
    for (let run = 0; run < LISTS; run++) {
      const list = Array.from({ length: 1 + (run % 4) }, pick);
      const key = keyOf(...list) ?? '';
      const earlier = byKey.get(key);
      if (earlier === undefined) byKey.set(key, list);
      // the same list may come twice
      else if (!isDeepStrictEqual(earlier, list)) shared.push({ key, earlier, list });
    }
    expect(shared).toEqual([]);
    expect(byKey.size).toBeGreaterThan(LISTS / 2);
  });

  it.each<[string, readonly unknown[], readonly unknown[]]>([
    ['where one argument ends', ['a', 'bc'], ['ab', 'c']],
    ['a number and its text', [1], ['1']],
    ['an absent property and undefined', [{ a: 1 }], [{ a: 1, b: undefined }]],
    ['an absent argument and undefined', [1], [1, undefined]],
    ['a date and its text', [new Date(0)], [new Date(0).toISOString()]],
    ['a date and its number', [new Date(0)], [0]],
    ['a map and an object', [new Map([['a', 1]])], [{ a: 1 }]],
    ['a map and its pairs', [new Map([['a', 1]])], [[['a', 1]]]],
    ['a set and its members', [new Set([1, 2])], [[1, 2]]],
    ['arrays nested otherwise', [[1, [2]]], [[[1], 2]]],
    ['arguments and an array of them', [1, 2], [[1, 2]]],
    ['deep down', [nested(80, 1)], [nested(80, '1')]],
    ['one level deeper', [nested(80, 1)], [nested(81, 1)]],
    ['null and undefined', [null], [undefined]],
    ['zero and minus zero', [0], [-0]],
    ['a big integer and a number', [1n], [1]],
    ['true and its text', [true], ['true']],
    ['bytes of other kinds', [new Uint8Array([1])], [new Int8Array([1])]],
    ['a hole and undefined', [Array(1)], [[undefined]]],
    ['an expression and its text', [/a/], ['/a/']],
    ['no argument and an empty text', [], ['']],
    ['text that looks like an encoding', ['s1:a'], ['a']],
    ['a key with a dot', [{ 'a.b': 1 }], [{ a: { b: 1 } }]],
  ])('distinguishes %s', (_, one, other) => {
    expect(keyOf(...one)).toEqual(expect.any(String));
    expect(keyOf(...other)).toEqual(expect.any(String));
    expect(keyOf(...one)).not.toBe(keyOf(...other));
  });

  it('does not depend on the order of an object’s keys', () => {
    expect(keyOf({ a: 1, b: { c: 2, d: 3 } })).toBe(keyOf({ b: { d: 3, c: 2 }, a: 1 }));
  });

  it('is short however long the arguments are', () => {
    expect(keyOf('x'.repeat(100_000))?.length).toBeLessThan(200);
  });

  it('does not exist for arguments that their content cannot distinguish', () => {
    class Request {
      readonly url = '/';
    }
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    for (const argument of [() => 1, Symbol('s'), new Request(), cycle, new WeakMap(), Promise.resolve(1)]) {
      expect(keyOf(argument)).toBeUndefined();
      expect(keyOf('first', { deep: [argument] })).toBeUndefined();
    }
  });
});

/** Small values, so that many lists differ in only one place. */
function plain(): fc.Arbitrary<unknown> {
  return fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(0, 1, -1, '', 'a', 'b', 'ab', '1', ':', 's1:a', null, undefined, true, 1n, new Date(0)),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', '1', ''), tie('value'), { maxKeys: 3, noNullPrototype: true }),
      fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 2 }).map((pairs) => new Map(pairs)),
      fc.array(tie('value'), { maxLength: 2 }).map((members) => new Set(members)),
    ),
  })).value;
}
