import { describe, expect, it } from '@jest/globals';
import { entityTagOf, isHeldBy } from '../../../lib/http/http-caching.js';

describe('entityTagOf', () => {
  it('is the same for the same JSON, and weak', () => {
    expect(entityTagOf({ a: 1 })).toBe(entityTagOf({ a: 1 }));
    expect(entityTagOf({ a: 1 })).not.toBe(entityTagOf({ a: 2 }));
    expect(entityTagOf('a')).toMatch(/^W\/"1-[\w-]{27}"$/);
  });

  it('is undefined where there is no JSON', () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    for (const body of [1n, cycle, undefined]) expect(entityTagOf(body)).toBeUndefined();
  });
});

describe('isHeldBy', () => {
  it.each([
    ['W/"a"', true],
    ['"a"', true],
    ['"b", W/"a"', true],
    ['*', true],
    [' * ', true],
    ['"b"', false],
    ['a', false],
    ['', false],
    [undefined, false],
  ])('takes %p for the tag W/"a": %p', (header, held) => {
    expect(isHeldBy(header, 'W/"a"')).toBe(held);
  });
});
