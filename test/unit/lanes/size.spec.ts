import { describe, expect, it } from '@jest/globals';
import { parseSize } from '../../../lib/lanes/units.js';

describe('parseSize', () => {
  it.each([
    [0, 0],
    [1_500, 1_500],
    ['512', 512],
    ['512B', 512],
    ['1KB', 1_024],
    ['1.5 kb', 1_536],
    ['64MB', 67_108_864],
    ['2Gb', 2_147_483_648],
  ])('reads %p as %p bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each([-1, Number.NaN, Infinity, '', '1TB', '-1MB', 'big', '9007199254740992B'])('refuses %p', (text) => {
    expect(() => parseSize(text)).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringContaining("'512MB'") }),
    );
  });
});
