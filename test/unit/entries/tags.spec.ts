import { describe, expect, it } from '@jest/globals';
import { checkTags } from '../../../lib/entries/tags.js';

const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `t${index}`);

describe('tags', () => {
  it('are kept once each, in order, and frozen', () => {
    const given = ['b', 'a', 'b'];
    const tags = checkTags(given, 'docs');
    expect(tags).toEqual(['b', 'a']);
    expect(Object.isFrozen(tags)).toBe(true);
    expect(Object.isFrozen(given)).toBe(false);
  });

  it('may be 64 different ones of 256 characters', () => {
    expect(checkTags([...many(64), ...many(64)], 'docs')).toHaveLength(64);
    expect(checkTags(['x'.repeat(256)], 'docs')).toHaveLength(1);
    expect(checkTags([], 'docs')).toEqual([]);
  });

  it.each([['a'], [undefined], [null], [[5]], [['a', '']], [['x'.repeat(257)]], [[null]], [{ 0: 'a' }]])(
    'are refused: %p',
    (tags) => {
      expect(() => checkTags(tags, 'docs')).toThrow(expect.objectContaining({ code: 'TAG_INVALID', lane: 'docs' }));
    },
  );

  it('are refused when there are more than 64', () => {
    expect(() => checkTags(many(65), 'docs')).toThrow(expect.objectContaining({ code: 'TOO_MANY_TAGS', lane: 'docs' }));
  });
});
