import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { KeyPattern } from '../../../lib/entries/pattern.js';

afterEach(() => {
  jest.restoreAllMocks();
});

describe('a pattern', () => {
  it.each([
    ['user:*', 'user:1', true],
    ['user:*', 'user:', true],
    ['user:*', 'users:1', false],
    ['*:draft', 'a:b:draft', true],
    ['user:?', 'user:12', false],
    ['user:?', 'user:😀', true],
    ['?', '', false],
    ['*', '', true],
    ['a.c', 'abc', false],
    ['[ab]', 'a', false],
    ['{a,b}', 'a', false],
    ['!a', 'b', false],
    ['a\\*', 'a\\x', true],
    ['**a**', 'bab', true],
  ])('%s matches %s: %s', (pattern, text, matches) => {
    expect(new KeyPattern(pattern).matches(text)).toBe(matches);
  });

  it('matches an entry by its key, or by a tag and its key', () => {
    const pattern = new KeyPattern('batch_run_5:*');
    expect(pattern.matchesEntry('batch_run_5:x', [])).toBe(true);
    expect(pattern.matchesEntry('doc:1', ['other', 'batch_run_5'])).toBe(true);
    expect(pattern.matchesEntry('doc:1', ['other'])).toBe(false);
  });

  it.each([
    ['500 stars', 'a*'.repeat(250), 'a'.repeat(2_000)],
    ['500 stars that end in vain', `${'a*'.repeat(250)}b`, 'a'.repeat(2_000)],
    ['one long piece at the end', `*${'a'.repeat(509)}b`, 'a'.repeat(8_000)],
    ['one long piece that nearly fits everywhere', `*b${'a'.repeat(508)}*`, 'a'.repeat(8_000)],
    ['question marks within a long piece', `*${'a?'.repeat(254)}b*`, 'a'.repeat(8_000)],
    ['question marks between stars', '*?'.repeat(256), 'a'.repeat(2_000)],
  ])('reads each character of a hostile text at most once: %s', (_, pattern, text) => {
    const compiled = new KeyPattern(pattern);
    const look = jest.spyOn(String.prototype, 'codePointAt');
    compiled.matches(text);
    expect(look.mock.calls.length).toBeLessThanOrEqual(text.length + 1);
  });

  it.each([['', undefined, null, 5, 'x'.repeat(513)]])(
    'is refused when it is empty, too long or not a text',
    (...texts) => {
      for (const text of texts) {
        expect(() => Reflect.construct(KeyPattern, [text])).toThrow(
          expect.objectContaining({ code: 'PATTERN_INVALID' }),
        );
      }
    },
  );
});

describe('a pattern and the key of a Keyv store', () => {
  it.each([
    ['user:*', 'keyv:app:user:7', true],
    ['user:7', 'keyv::user:7', true],
    ['app:user:*', 'keyv:app:user:7', false],
    ['keyv:app:*', 'keyv:app:user:7', true],
    ['keyv:app:*', 'keyv:other:keyv:app:user:7', false],
    // as a Keyv with the namespace `app` gives its keys, over a store with one of its own
    ['user:*', 'keyv:app:app:user:7', true],
    ['user:*', 'keyv:own+app:app:user:7', true],
    ['user:*', 'keyv:own+app:own:user:7', false],
    ['user:*', 'keyv:user:7', false],
    ['user:*', 'other:app:user:7', false],
  ])('%s matches %s: %p', (pattern, key, matches) => {
    expect(new KeyPattern(pattern).matchesKey(key)).toBe(matches);
    expect(new KeyPattern(pattern).matchesEntry(key, [])).toBe(matches);
  });
});
