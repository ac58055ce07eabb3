import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { canonicalArguments, defaultKey } from '../../../lib/entries/arguments.js';
import { roundsOf } from '../../support/fault-table.js';
import { anyText, plainTree } from '../../support/storable-values.js';

const LISTS = roundsOf(20_000, 100_000);

const anyArgument = (): fc.Arbitrary<unknown> =>
  fc.oneof(
    plainTree(),
    anyText(),
    fc.integer(),
    fc.date({ noInvalidDate: false }),
    fc.array(fc.tuple(anyText(), plainTree()), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(plainTree(), { maxLength: 3 }).map((members) => new Set(members)),
    fc.uint8Array({ maxLength: 8 }),
    fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    fc.array(anyText(), { maxLength: 3 }),
  );

describe('default keys', () => {
  it('are the same for two random lists only if the lists are equal', () => {
    const lists = fc.sample(fc.array(anyArgument(), { maxLength: 4 }), LISTS);
    const seen = new Map<string, readonly unknown[]>();
    let collisions = 0;
    for (const list of lists) {
      const key = defaultKey('Docs.render', list);
      const other = key === undefined ? undefined : seen.get(key);
      if (key === undefined || (other !== undefined && !isDeepStrictEqual(list, other))) collisions += 1;
      else seen.set(key, list);
    }
    expect(collisions).toBe(0);
    expect(seen.size).toBeGreaterThan(LISTS / 2);
  });

  it('distinguish a list from the same items split elsewhere', () => {
    fc.assert(
      fc.property(fc.array(anyText(), { minLength: 2, maxLength: 5 }), fc.nat(3), (texts, at) => {
        const joint = 1 + (at % (texts.length - 1));
        const joined = [
          ...texts.slice(0, joint - 1),
          texts.slice(joint - 1, joint + 1).join(''),
          ...texts.slice(joint + 1),
        ];
        expect(canonicalArguments(joined)).not.toBe(canonicalArguments(texts));
      }),
    );
  });

  it('do not depend on the order of the keys of objects', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), plainTree(), { noNullPrototype: true }), (object) => {
        const reversed = Object.fromEntries(Object.entries(object).toReversed());
        expect(canonicalArguments([reversed])).toBe(canonicalArguments([object]));
      }),
    );
  });
});
