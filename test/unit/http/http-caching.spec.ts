import { describe, expect, it } from '@jest/globals';
import { allowsStoring, readCacheControl, sharedMaxAge, wantsFresh } from '../../../lib/http/http-caching.js';

describe('readCacheControl', () => {
  it.each<[unknown, [string, string][]]>([
    [
      'public, Max-Age=60',
      [
        ['public', ''],
        ['max-age', '60'],
      ],
    ],
    [
      'private="set-cookie, x", no-cache',
      [
        ['private', 'set-cookie, x'],
        ['no-cache', ''],
      ],
    ],
    [
      ['no-store', 'max-age = 5'],
      [
        ['no-store', ''],
        ['max-age', '5'],
      ],
    ],
    [' ,;, =, ', []],
    [undefined, []],
    [5, []],
  ])('reads %p', (header, directives) => {
    expect([...readCacheControl(header)]).toEqual(directives);
  });
});

describe('Cache-Control', () => {
  it.each([
    ['', true, true],
    ['public, max-age=5', true, true],
    ['private', false, true],
    ['private="x"', false, true],
    ['max-age=5, no-store', false, false],
    ['no-cache', true, true],
  ])('%p lets the server keep an answer for all: %p, for one name: %p', (header, forAll, forOne) => {
    const control = readCacheControl(header);
    expect((['anyone', 'named'] as const).map((kind) => allowsStoring(control, { kind }))).toEqual([forAll, forOne]);
  });

  it.each([
    ['s-maxage=5', 5],
    ['max-age=5', undefined],
    ['max-age=5, s-maxage=9', 9],
    ['s-maxage=-5', undefined],
    ['s-maxage=1e9', undefined],
    ['', undefined],
  ])('%p lets the server keep an answer for %p seconds', (header, seconds) => {
    expect(sharedMaxAge(readCacheControl(header))).toBe(seconds);
  });

  it.each([
    ['no-cache', undefined, true],
    ['max-age=0', undefined, true],
    ['max-age=5', 'no-cache', false],
    ['', 'no-cache', true],
    ['', undefined, false],
  ])('%p with pragma %p asks for a fresh answer: %p', (header, pragma, fresh) => {
    expect(wantsFresh(readCacheControl(header), pragma)).toBe(fresh);
  });
});
