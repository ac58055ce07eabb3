import { describe, expect, it } from '@jest/globals';
import { checkKey } from '../../../lib/cache/validate-call.js';
import { physicalKey } from '../../../lib/entries/record.js';

describe('a key', () => {
  it.each(['a', 'ключ', '\ud800', 'a'.repeat(65_536), 'é'.repeat(32_768)])('may be any text up to 64 KB', (key) => {
    expect(checkKey(key, 'docs')).toBe(key);
  });

  it.each([[''], [undefined], [null], [5], [{}]])('is refused when it is empty or not a text: %p', (key) => {
    expect(() => checkKey(key, 'docs')).toThrow(expect.objectContaining({ code: 'KEY_INVALID', lane: 'docs' }));
  });

  it.each(['a'.repeat(65_537), 'é'.repeat(32_769), '語'.repeat(21_846)])(
    'is refused when it takes more than 64 KB',
    (key) => {
      expect(() => checkKey(key, 'docs')).toThrow(expect.objectContaining({ code: 'KEY_TOO_LONG', lane: 'docs' }));
    },
  );
});

describe('a physical key', () => {
  it('shows the lane and the key while they fit', () => {
    expect(physicalKey('docs', 'intro')).toBe('docs:intro');
    expect(physicalKey('docs', 'a'.repeat(1_895))).toBe(`docs:${'a'.repeat(1_895)}`);
  });

  it.each(['a'.repeat(1_896), '語'.repeat(700), '\ud800', 'x\udfff'])(
    'is a hash when they do not fit, or are not well formed',
    (key) => {
      expect(physicalKey('docs', key)).toMatch(/^docs#[0-9a-f]{64}$/);
    },
  );

  it('distinguishes lone surrogates', () => {
    expect(physicalKey('docs', '\ud800')).not.toBe(physicalKey('docs', '\ud801'));
  });
});
