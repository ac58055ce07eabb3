import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { freezeCopy } from '../../../lib/entries/isolation.js';

function frozen<T>(value: T): T {
  expect(freezeCopy(value, 'docs')).toEqual({ shareable: true, value });
  return value;
}

const make = (): unknown => ({
  map: new Map([[{ k: 1 }, new Set([new Date(5)])]]),
  bare: Object.assign(Object.create(null), { n: 1 }),
});

describe('a frozen copy', () => {
  it('cannot be changed anywhere, however deep', () => {
    const value = frozen({
      list: [{ a: 1 }],
      when: new Map([['k', { inner: [1] }]]),
      why: new Error('x', { cause: { n: 1 } }),
    });
    const inner: unknown = value.when.get('k')?.inner;
    expect([value, value.list, value.list[0], inner, value.why, value.why.cause].every(Object.isFrozen)).toBe(true);
  });

  it('throws when its Map, Set or Date is changed, with the remedy in the text', () => {
    const value = frozen({ map: new Map([['a', 1]]), set: new Set([1]), date: new Date(5) });
    const changes: readonly (() => unknown)[] = [
      () => value.map.set('b', 2),
      () => value.map.delete('a'),
      () => value.map.clear(),
      () => value.set.add(2),
      () => value.set.delete(1),
      () => value.set.clear(),
      () => value.date.setTime(1),
      () => value.date.setFullYear(2000),
      () => value.date.setUTCMilliseconds(1),
    ];
    for (const change of changes) expect(change).toThrow(/lane 'docs'.*isolation: 'clone'/);
    expect([...value.map, ...value.set, value.date.getTime()]).toEqual([['a', 1], 1, 5]);
  });

  it('equals the original, and shows no added methods', () => {
    const value = frozen(make());
    expect(isDeepStrictEqual(value, make())).toBe(true);
    expect(Object.keys(new Map([[1, frozen(new Map())]]).get(1) ?? {})).toEqual([]);
  });

  it.each([1, 'text', null, undefined, 5n, true])('is the value itself for %p', (value) => {
    expect(freezeCopy(value, 'docs')).toEqual({ shareable: true, value });
  });

  it('may contain itself, and be nested 100,000 levels deep', () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = new Map([[cycle, cycle]]);
    expect(Object.isFrozen(frozen(cycle))).toBe(true);
    let deep: unknown[] = [];
    for (let level = 0; level < 100_000; level += 1) deep = [deep];
    expect(freezeCopy(deep, 'docs').shareable).toBe(true);
  });
});

describe('a value that freezing does not protect', () => {
  class Money {
    readonly amount = 1;
  }
  class Failed extends Error {}
  it.each([
    ['a Buffer', Buffer.alloc(1)],
    ['a typed array', new Float64Array(1)],
    ['an ArrayBuffer', new ArrayBuffer(1)],
    ['a DataView', new DataView(new ArrayBuffer(1))],
    ['an expression', /a/g],
    ['a URL', new URL('https://example.com')],
    ['an instance', new Money()],
    ['an instance of an error class', new Failed()],
  ])('is left as it is: %s', (_, part) => {
    const value = { before: { a: 1 }, parts: new Map([['k', [part]]]) };
    expect(freezeCopy(value, 'docs')).toEqual({ shareable: false });
    expect(Object.isFrozen(value.before)).toBe(false);
    expect(value.parts.set('more', []).size).toBe(2);
  });
});
