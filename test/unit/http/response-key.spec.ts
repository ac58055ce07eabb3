import { describe, expect, it } from '@jest/globals';
import { canonicalUrl, responseKey, type KeyParts } from '../../../lib/http/response-key.js';

describe('canonicalUrl', () => {
  it.each([
    ['/a', '/a'],
    ['/a?', '/a'],
    ['/a?&&', '/a'],
    ['/a?b=2&a=1', '/a?a=1&b=2'],
    ['/a?b&a&&c=', '/a?a&b&c='],
    ['/a?a=2&b=0&a=1', '/a?a=2&a=1&b=0'],
    ['/a?a[]=2&a=1&a%5B%5D=0', '/a?a[]=2&a=1&a%5B%5D=0'],
    ['/a?q=b=1&p=?', '/a?p=?&q=b=1'],
    ['/A/%2F?x', '/A/%2F?x'],
    ['/a?b=0&a=2&%61=1', '/a?a=2&%61=1&b=0'],
    ['/a?b=0&a+b=2&a%20b=1', '/a?a+b=2&a%20b=1&b=0'],
    ['/a?b=0&%E0=2&%E0=1', '/a?%E0=2&%E0=1&b=0'],
  ])('makes %s into %s', (url, canonical) => {
    expect(canonicalUrl(url)).toBe(canonical);
  });
});

describe('responseKey', () => {
  const parts: KeyParts = { handler: 'A.b', host: 'h', url: '/x?b=1&a=2', varyBy: [], headers: [] };

  it('contains what the answer depends on', () => {
    expect(responseKey(parts)).toBe('http:A.b:h/x?a=2&b=1');
    expect(responseKey({ ...parts, varyBy: ['ann', 'de'] })).toBe('http:A.b:h/x?a=2&b=1 ["ann","de"]');
  });

  it('differs wherever the parts do, and shows no header', () => {
    const others = [
      { varyBy: ['ab'] },
      { varyBy: ['a', 'b'] },
      { headers: ['ab'] },
      { headers: ['a', 'b'] },
      { headers: ['', 'ab'] },
      { host: 'other' },
      { handler: 'A.c' },
    ];
    const keys = [responseKey(parts), ...others.map((other) => responseKey({ ...parts, ...other }))];
    expect(new Set(keys).size).toBe(keys.length);
    expect(responseKey({ ...parts, headers: ['Bearer secret'] })).not.toContain('secret');
  });

  it('shows short names and URLs, and distinguishes long ones', () => {
    const [name, url] = ['n'.repeat(64), `/${'u'.repeat(8_191)}`];
    expect(responseKey({ ...parts, varyBy: [name], url })).toBe(`http:A.b:h${url} ["${name}"]`);
    const keys = ['1', '2'].flatMap((end) => [
      responseKey({ ...parts, varyBy: [name + end] }),
      responseKey({ ...parts, url: url + end }),
    ]);
    expect(new Set(keys).size).toBe(4);
    for (const key of keys) expect(key.length).toBeLessThan(200);
  });
});
