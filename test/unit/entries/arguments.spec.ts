import { describe, expect, it } from '@jest/globals';
import { canonicalArguments, defaultKey } from '../../../lib/entries/arguments.js';

const moment = new Date(1_700_000_000_000);
const nested = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level += 1) value = [value];
  return value;
};

describe('default keys', () => {
  it('differ wherever the arguments do', () => {
    const lists: readonly (readonly unknown[])[] = [
      [],
      [undefined],
      [undefined, undefined],
      [null],
      ['a', 'bc'],
      ['ab', 'c'],
      ['abc'],
      [['a', 'bc']],
      [['a'], 'bc'],
      [1],
      ['1'],
      [1n],
      [true],
      ['true'],
      [0],
      [-0],
      [NaN],
      ['NaN'],
      [{}],
      [[]],
      [{ a: 1 }],
      [{ a: 1, b: undefined }],
      [{ a: '1' }],
      [new Map([['a', 1]])],
      [new Map([[1, 'a']])],
      [
        new Map<string, number>([
          ['a', 1],
          ['b', 2],
        ]),
      ],
      [
        new Map<string, number>([
          ['b', 2],
          ['a', 1],
        ]),
      ],
      [new Set(['a', 1])],
      [new Set([1, 'a'])],
      [moment],
      [moment.toISOString()],
      [moment.getTime()],
      [new Date(NaN)],
      [/a/],
      [/a/g],
      ['/a/'],
      [new URL('https://example.com/')],
      ['https://example.com/'],
      [[undefined]],
      [Array(1)],
      [Array(2)],
      [new Uint8Array([1, 2])],
      [new Int8Array([1, 2])],
      [new Uint16Array([513])],
      [Buffer.from([1, 2])],
      [[1, 2]],
      ['s1:a'],
      ['\ud800'],
      ['\ufffd'],
      [nested(40)],
      [nested(41)],
      [JSON.parse('{"__proto__":1}')],
    ];
    const keys = lists.map((list) => defaultKey('Docs.render', list));
    expect(keys).not.toContain(undefined);
    expect(new Set(keys).size).toBe(lists.length);
  });

  it('do not depend on whether plain data has a prototype', () => {
    // as the query parser of Fastify makes its objects
    const bare = Object.assign(Object.create(null), { a: 1, b: ['x'] });
    const parsed = Object.assign(Object.create(Object.create(null)), { a: 1, b: ['x'] });
    const key = defaultKey('Docs.render', [{ a: 1, b: ['x'] }]);
    expect(key).toBeDefined();
    expect(defaultKey('Docs.render', [bare])).toBe(key);
    expect(defaultKey('Docs.render', [parsed])).toBe(key);
  });

  it('do not depend on the order of the keys of objects', () => {
    expect(defaultKey('p', [{ a: 1, b: [{ c: 2, d: 3 }] }])).toBe(defaultKey('p', [{ b: [{ d: 3, c: 2 }], a: 1 }]));
  });

  it('are hashed when long, and never equal a key that is not hashed', () => {
    expect(defaultKey('p', ['x'.repeat(500)])).toBe(`p:s500:${'x'.repeat(500)}`);
    const long = defaultKey('p', ['x'.repeat(600)]);
    expect(long).toMatch(/^p:#[0-9a-f]{64}$/);
    expect(defaultKey('p', [String(long).slice(2)])).not.toBe(long);
    expect(defaultKey('p', [`${'x'.repeat(600)}\ud800`])).not.toBe(defaultKey('p', [`${'x'.repeat(600)}\ud801`]));
  });

  class Request {
    readonly url = '/';
  }
  const cycle: unknown[] = [];
  cycle.push(cycle);
  it.each([
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['an instance', new Request()],
    ['an error', new Error('x')],
    ['a promise', Promise.resolve()],
    ['a cycle', cycle],
    ['10,000 levels', nested(10_000)],
    ['a symbol key', { [Symbol('x')]: 1 }],
    ['an accessor', Object.defineProperty({}, 'a', { get: () => 1, enumerable: true })],
    ['a Proxy', new Proxy({}, {})],
    ['a subclass of a built-in', new (class extends Map {})()],
    ['an array with a name on it', Object.assign([1], { total: 1 })],
    ['a Map with a name on it', Object.assign(new Map(), { total: 1 })],
    ['an array of four billion holes', Array(4_000_000_000)],
    ['16 MB', 'x'.repeat(16_000_000).split('', 2).concat('x'.repeat(16_000_000))],
  ])('are not made from %s', (_, argument) => {
    expect(canonicalArguments(['a', argument])).toBeUndefined();
    expect(canonicalArguments(['a', { inner: [argument] }])).toBeUndefined();
  });
});
