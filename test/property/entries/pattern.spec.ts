import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { KeyPattern } from '../../../lib/entries/pattern.js';
import { roundsOf } from '../../support/fault-table.js';

/** Whether `pattern` matches all of `text`, by the definition of `*` and `?`. */
function matchesByMeaning(pattern: readonly string[], text: readonly string[]): boolean {
  const reached = new Map<string, boolean>();
  const from = (part: number, at: number): boolean => {
    const place = `${part}/${at}`;
    const known = reached.get(place);
    if (known !== undefined) return known;
    const wanted = pattern[part];
    let matches: boolean;
    if (wanted === undefined) matches = at === text.length;
    else if (wanted === '*') matches = from(part + 1, at) || (at < text.length && from(part, at + 1));
    else matches = at < text.length && (wanted === '?' || wanted === text[at]) && from(part + 1, at + 1);
    reached.set(place, matches);
    return matches;
  };
  return from(0, 0);
}

const letters = (...more: string[]): fc.Arbitrary<string> => fc.constantFrom('a', 'b', '😀', '.', ...more);

describe('a pattern', () => {
  it('matches as its characters define', () => {
    fc.assert(
      fc.property(
        fc.array(letters('*', '?'), { minLength: 1, maxLength: 12 }),
        fc.array(letters(), { maxLength: 16 }),
        (pattern, text) => {
          const matches = new KeyPattern(pattern.join('')).matches(text.join(''));
          expect(matches).toBe(matchesByMeaning(pattern, text));
        },
      ),
      { numRuns: roundsOf(2_000, 5_000) },
    );
  });

  it('finds long pieces as its characters define', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'b', '?'), { minLength: 28, maxLength: 70 }),
        fc.array(fc.constantFrom('a', 'b'), { maxLength: 90 }),
        (piece, before) => {
          const pattern = ['*', ...piece, '*'];
          const text = [...before, ...piece.map((character) => (character === '?' ? '😀' : character)), 'a'];
          expect(new KeyPattern(pattern.join('')).matches(text.join(''))).toBe(true);
          const other = text.slice(0, -2);
          expect(new KeyPattern(pattern.join('')).matches(other.join(''))).toBe(matchesByMeaning(pattern, other));
        },
      ),
      { numRuns: roundsOf(300, 3_000) },
    );
  });

  it('matches each text that it was made from', () => {
    const part = fc.oneof(
      fc.tuple(fc.constant('*'), fc.string()),
      fc.tuple(fc.constant('?'), fc.string({ minLength: 1, maxLength: 1 })),
      fc.string().map((text): [string, string] => [text, text]),
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1 }), (parts) => {
        const pattern = parts.map(([piece]) => piece).join('');
        fc.pre(pattern !== '' && pattern.length <= 512);
        expect(new KeyPattern(pattern).matches(parts.map(([, piece]) => piece).join(''))).toBe(true);
      }),
    );
  });
});
