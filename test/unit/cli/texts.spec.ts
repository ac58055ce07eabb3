import { describe, expect, it } from '@jest/globals';
import { bytesText, countText, many, percentText, shown, spanText, tableText } from '../../../lib/cli/texts.js';

describe('the text', () => {
  it.each([
    [0, '0 B'],
    [0.4, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KB'],
    [1536, '1.5 KB'],
    [150 * 1024, '150 KB'],
    [5 * 1024 ** 3, '5.0 GB'],
    [5 * 1024 ** 5, '5120 TB'],
  ])('of %p bytes', (bytes, text) => {
    expect(bytesText(bytes)).toBe(text);
  });

  it.each([
    [0, '0 ms'],
    [0.0123, '12 us'],
    [1, '1 ms'],
    [999.94, '999.9 ms'],
    [1_000, '1 s'],
    [90_000, '1.5 min'],
    [7_200_000, '2 h'],
    [86_400_000 * 3.26, '3.3 d'],
    [86_400_000 * 365.4, '365 d'],
  ])('of %p ms', (ms, text) => {
    expect(spanText(ms)).toBe(text);
  });

  it('of a count has a plural', () => {
    expect([many(1, 'key'), many(0, 'key'), many(1_234, 'key')]).toEqual(['1 key', '0 keys', '1,234 keys']);
    expect([countText(1_234_567), percentText(33.333)]).toEqual(['1,234,567', '33.3 %']);
  });
});

describe('untrusted text', () => {
  it('is shown on one line, cut to its width', () => {
    expect(shown('a\u001b[2Jb\n', 20)).toBe('a\\u001b[2Jb\\n');
    expect(shown('abcdef', 6)).toBe('abcdef');
    expect(shown('abcdefg', 6)).toBe('abcde…');
    expect(shown('\u009b31m\u007f\u202e', 40)).toBe('\\u009b31m\\u007f\\u202e');
  });
});

describe('a table', () => {
  it('has headed columns, right-aligned numbers, and no frame', () => {
    const rows = [
      ['first', '1', '1.5 KB', '-'],
      ['second one', '1,234', '20 B', '3'],
    ];
    expect(tableText(['name', 'count', 'size', 'left'], rows).split('\n')).toEqual([
      'name        count    size  left',
      'first           1  1.5 KB     -',
      'second one  1,234    20 B     3',
    ]);
  });
  it('keeps its columns apart under cells that are painted, or wide, or end in emoji', () => {
    const rows = [
      ['\u001b[32mon\u001b[39m', 'a'],
      ['日本語', 'b'],
      ['ａ한글', 'c'],
      ['done ✅', 'd'],
      ['e\u0301te\u0301', 'e'],
    ];
    expect(tableText(['state', 'next'], rows).split('\n')).toEqual([
      'state    next',
      '\u001b[32mon\u001b[39m       a',
      '日本語   b',
      'ａ한글   c',
      'done ✅  d',
      'e\u0301te\u0301      e',
    ]);
  });
});
