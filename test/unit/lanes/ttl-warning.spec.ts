import { describe, expect, it } from '@jest/globals';
import { looksLikeMilliseconds } from '../../../lib/lanes/units.js';

const FIVE_MINUTES_MS = 300_000;

describe('a ttl that was probably meant in milliseconds', () => {
  it.each([3_000, 60_000, 300_000, 86_401, 100_000.5])('is %p seconds in a lane of five minutes', (ttl) => {
    expect(looksLikeMilliseconds(ttl, FIVE_MINUTES_MS)).toBe(true);
  });

  it.each([0, 60, 2_000, 2_999, 3_600, 86_400 - 1, '300000s', undefined, Number.NaN])('is not %p', (ttl) => {
    expect(looksLikeMilliseconds(ttl, FIVE_MINUTES_MS)).toBe(false);
  });

  it('depends on the ttl of the lane', () => {
    expect(looksLikeMilliseconds(9_000, 900_000)).toBe(true);
    expect(looksLikeMilliseconds(8_000, 900_000)).toBe(false);
  });
});
