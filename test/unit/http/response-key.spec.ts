import { describe, expect, it } from '@jest/globals';
import { responseKey, validHost, type KeyParts } from '../../../lib/http/response-key.js';

const parts: KeyParts = {
  handler: 'A.b',
  subject: '/x',
  host: 'h',
  params: undefined,
  query: undefined,
  version: undefined,
  names: undefined,
  headers: [],
};
const keyOf = (other: Partial<KeyParts>): string => responseKey({ ...parts, ...other });

describe('responseKey', () => {
  it('contains what the answer depends on', () => {
    expect(keyOf({})).toBe('http:A.b:/x {"host":"h"}');
    expect(keyOf({ query: { b: '1', a: ['2', '3'] }, names: ['ann', 7], version: '2' })).toBe(
      'http:A.b:/x {"host":"h","query":{"a":["2","3"],"b":"1"},"version":"2","by":["ann",7]}',
    );
  });

  it('differs wherever the parts do, and shows no header', () => {
    const others: readonly Partial<KeyParts>[] = [
      {},
      { names: ['ab'] },
      { names: ['a', 'b'] },
      { names: ['a,b'] },
      { names: ['1'] },
      { names: [1] },
      { names: ['true'] },
      { names: [true] },
      { names: ['n'.repeat(36)] },
      { names: ['n'.repeat(37)] },
      { names: ['\ud800'] },
      { names: ['\ud801'] },
      { headers: [''] },
      { headers: [undefined] },
      { headers: ['ab'] },
      { headers: ['a', 'b'] },
      { headers: ['', 'ab'] },
      { host: 'other' },
      { host: undefined },
      { handler: 'A.c' },
      { query: { a: '1' } },
      { params: { a: '1' } },
      { query: { a: ['1'] } },
      { query: { a: { b: '1' } } },
      { query: JSON.parse('{"__proto__":"1"}') },
      { query: 'a=1' },
      { version: '1' },
      { subject: '/x {"host":"h"}' },
      { subject: `/${'u'.repeat(5_000)}1` },
      { subject: `/${'u'.repeat(5_000)}2` },
      { query: { a: 'u'.repeat(9_000) } },
      { query: { a: 'v'.repeat(9_000) } },
    ];
    const keys = others.map(keyOf);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keyOf({ headers: ['Bearer secret'] })).not.toContain('secret');
    for (const key of keys) expect(key.length).toBeLessThan(300);
  });

  it('is the same for names in any order, and for none', () => {
    expect(keyOf({ query: { b: { d: '1', c: '2' }, a: '3' } })).toBe(
      keyOf({ query: { a: '3', b: { c: '2', d: '1' } } }),
    );
    expect(keyOf({ query: {}, params: Object.create(null) })).toBe(keyOf({}));
  });

  it('has no form for what is no plain data', () => {
    for (const query of [{ a: new Map() }, { a: () => 1 }, { a: Number.NaN }, { a: 1n }]) {
      expect(() => keyOf({ query })).toThrow('no plain data');
    }
  });
});

describe('validHost', () => {
  it.each([
    ['a.example', 'a.example'],
    ['A.Example:8080', 'a.example:8080'],
    ['a_b-c.example.', 'a_b-c.example.'],
    ['localhost', 'localhost'],
    ['127.0.0.1:1', '127.0.0.1:1'],
    ['[::1]:80', '[::1]:80'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
  ])('reads %s', (host, read) => {
    expect(validHost(host)).toBe(read);
  });

  it.each([
    'good.example:x@evil.example',
    'good.example:99999',
    'good.example:',
    'good.example/path',
    'good.example, evil.example',
    'a b',
    'a..b',
    '-a',
    'a-.b',
    '[::1',
    '::1',
    '',
    'ü.example',
    'a'.repeat(300),
    undefined,
    ['a'],
  ])('refuses %p', (host) => {
    expect(validHost(host)).toBeUndefined();
  });
});
