import { describe, expect, it } from '@jest/globals';
import { AppliedInvalidations, HiddenEntries } from '../../../../lib/redis/shared-log/applied-records.js';

const entry = { lane: 'docs', key: 'k', tags: ['t'] };
const tag = (subject: string) => ({ kind: 'tag', lane: null, subject }) as const;

describe('the records applied from the log', () => {
  it('match nothing before the first record', () => {
    const heard = new AppliedInvalidations();
    expect(heard.knowsAllAfter(1_000)).toBe(false);
    heard.beginAt(10);
    expect([9, 10, 11].map((birth) => heard.knowsAllAfter(birth))).toEqual([false, true, true]);
  });

  it('match the entries of a tag, a clear, an expiry or a pattern with an earlier birth', () => {
    const says = [
      tag('t'),
      { kind: 'expire', lane: null, subject: 't' },
      { kind: 'all', lane: 'docs', subject: '*' },
      { kind: 'all', lane: null, subject: '*' },
    ] as const;
    for (const record of says) {
      const heard = new AppliedInvalidations();
      heard.beginAt(10);
      heard.apply(record, 12);
      expect([11, 12].map((birth) => heard.matches(entry, birth))).toEqual([true, false]);
    }
    const heard = new AppliedInvalidations();
    heard.beginAt(10);
    heard.patterns.learn('docs\0t:*', 12);
    expect([11, 12].map((birth) => heard.matches(entry, birth))).toEqual([true, false]);
  });

  it('leaves others alone, and keys to the server, which takes their entries away', () => {
    const heard = new AppliedInvalidations();
    heard.beginAt(10);
    heard.apply(tag('other'), 12);
    heard.apply({ kind: 'all', lane: 'heavy', subject: '*' }, 13);
    heard.apply({ kind: 'key', lane: 'docs', subject: 'k' }, 14);
    heard.patterns.learn('heavy\0*', 15);
    expect(heard.matches(entry, 11)).toBe(false);
  });

  it('admits what it had to forget', () => {
    const heard = new AppliedInvalidations();
    heard.beginAt(10);
    for (let n = 0; n < 600; n++) heard.patterns.learn(`docs\0x${n}`, 20 + n);
    expect(heard.knowsAllAfter(20)).toBe(false);
    expect(heard.knowsAllAfter(619)).toBe(true);
    const tagged = new AppliedInvalidations();
    tagged.beginAt(10);
    for (let n = 0; n <= 100_000; n++) tagged.apply(tag(`t${n}`), 20 + n);
    const old = { lane: 'docs', key: 'k', tags: ['not named'] };
    expect([20, 100_020].map((birth) => tagged.matches(old, birth))).toEqual([true, false]);
    expect(tagged.matches({ ...old, tags: [] }, 20)).toBe(false);
  });

  it('match the older entries of every key in a cluster, once keys had to be forgotten', () => {
    const heard = new AppliedInvalidations('spread');
    heard.beginAt(10);
    for (let n = 0; n < 100_000; n++) heard.apply({ kind: 'key', lane: 'docs', subject: `k${n}` }, 20 + n);
    const other = { lane: 'docs', key: 'not named', tags: [] };
    expect(heard.matches(other, 20)).toBe(false);
    heard.apply({ kind: 'key', lane: 'docs', subject: 'one more' }, 100_020);
    expect([20, 100_020].map((birth) => heard.matches(other, birth))).toEqual([true, false]);
  });

  it('begins anew after a gap', () => {
    const heard = new AppliedInvalidations();
    heard.beginAt(10);
    heard.apply(tag('t'), 12);
    heard.beginAt(20);
    expect(heard.knowsAllAfter(15)).toBe(false);
    expect(heard.knowsAllAfter(20)).toBe(true);
    expect(heard.matches(entry, 20)).toBe(false);
  });
});

describe('entries that are older than what this process had while it was partitioned', () => {
  it('are hidden up to the place of the record that follows, and in no other generation', () => {
    const hidden = new HiddenEntries();
    hidden.add('docs', 'k');
    expect([hidden.hides(entry, 1_000), hidden.hides({ lane: 'docs', key: 'other' }, 1_000)]).toEqual([true, false]);
    hidden.olderThan(hidden.connected('g'), { generation: 'g', sequence: 10 });
    expect([9, 10].map((birth) => hidden.hides(entry, birth))).toEqual([true, false]);
    expect(hidden.connected('g')).toBeUndefined();
    expect(hidden.hides(entry, 9)).toBe(true);
    expect(hidden.connected('another')).toBeUndefined();
    expect(hidden.hides(entry, 9)).toBe(false);
  });
});
