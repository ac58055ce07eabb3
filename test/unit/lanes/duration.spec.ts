import { describe, expect, it } from '@jest/globals';
import { parseDuration, toMilliseconds, type Duration } from '../../../lib/lanes/units.js';

describe('parseDuration', () => {
  it.each([
    [0, 0],
    [300, 300],
    [0.25, 0.25],
    ['500ms', 0.5],
    ['30s', 30],
    ['10m', 600],
    ['2h', 7_200],
    ['7d', 604_800],
    ['1w', 604_800],
    ['1.5 h', 5_400],
    ['.5s', 0.5],
    ['300', 300],
    [' 5m\n', 300],
  ])('reads %p as %p seconds', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each([-1, Number.NaN, Infinity, '', 'soon', '-5s', '5 minutes', '5M', '1e3s', '5  s', 's', '5s5s'])(
    'refuses %p and lists the accepted forms',
    (text) => {
      expect(() => parseDuration(text)).toThrow(
        expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringContaining("'10m'") }),
      );
    },
  );
});

describe('toMilliseconds', () => {
  it('reads a bare number as seconds', () => {
    expect(toMilliseconds(1.5)).toBe(1_500);
    expect(toMilliseconds('250ms')).toBe(250);
  });

  it('returns whole milliseconds, and 0 for 0 only', () => {
    expect(toMilliseconds(1.005)).toBe(1_005);
    expect(toMilliseconds(0.000_01)).toBe(1);
    expect(toMilliseconds(0)).toBe(0);
    expect(toMilliseconds('0ms')).toBe(0);
  });

  it('limits the longest duration to what a date can hold', () => {
    const end = new Date(Date.UTC(2026, 0, 1) + toMilliseconds(Number.MAX_VALUE / 2_000));
    expect(Number.isNaN(end.getTime())).toBe(false);
    expect(toMilliseconds(Number.MAX_SAFE_INTEGER)).toBe(toMilliseconds('99999999w'));
  });

  it.each<Duration>([-1, Number.NaN, Infinity, -Infinity, '-1s'])('refuses %p as a ttl', (ttl) => {
    expect(() => toMilliseconds(ttl, { lane: 'docs', key: 'k' })).toThrow(
      expect.objectContaining({ code: 'TTL_INVALID', lane: 'docs', key: 'k', field: 'ttl' }),
    );
  });

  it('names the invalid option', () => {
    expect(() => toMilliseconds(-1, { field: 'grace' })).toThrow(/The grace given is -1/);
  });
});
