import { describe, expect, it } from '@jest/globals';
import { isShareable, readCacheControl, sharedMaxAge, wantsFresh } from '../../../lib/http/http-caching.js';

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
    ['', true],
    ['public, max-age=5', true],
    ['private', false],
    ['private="x"', false],
    ['max-age=5, no-store', false],
    ['no-cache', false],
  ])('%p may be shared: %p', (header, shareable) => {
    expect(isShareable(readCacheControl(header))).toBe(shareable);
  });

  it.each([
    ['max-age=5', 5],
    ['max-age=5, s-maxage=9', 9],
    ['max-age=-5', undefined],
    ['max-age=1e9', undefined],
    ['', undefined],
  ])('%p lasts %p seconds', (header, seconds) => {
    expect(sharedMaxAge(readCacheControl(header), {}, 0)).toBe(seconds);
  });

  it.each<[string, object, number | undefined]>([
    ['', { expires: '0' }, 0],
    ['', { expires: 'Thu, 01 Jan 1970 00:01:10 GMT' }, 10],
    ['', { expires: 'Thu, 01 Jan 1970 00:00:10 GMT' }, 0],
    ['public', { expires: 'Thu, 01 Jan 1970 00:01:10 GMT' }, 10],
    ['max-age=5', { expires: '0', pragma: 'no-cache' }, 5],
    ['', { pragma: 'no-cache' }, 0],
    ['public', { pragma: 'no-cache' }, undefined],
    ['', { pragma: 'x' }, undefined],
  ])('%p beside %p lasts %p seconds', (header, older, seconds) => {
    expect(sharedMaxAge(readCacheControl(header), older, 60_000)).toBe(seconds);
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
