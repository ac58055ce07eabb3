import { describe, expect, it } from '@jest/globals';
import { names } from '../../../../lib/invalidation/host-records.js';
import { RecentPatterns } from '../../../../lib/redis/shared-log/applied-records.js';
import {
  authorOf,
  fromUtf8,
  idOf,
  inUtf8,
  keyMember,
  memberOf,
  numberOfId,
  ofMember,
  packRecord,
  readRecord,
} from '../../../../lib/redis/shared-log/record-codec.js';

const ENTRY = { lane: 'docs', key: 'k', tags: ['t'] };

describe('a subject on its way to the server', () => {
  it('comes back unchanged, whatever it contains', () => {
    for (const text of ['plain', 'ü', '\ud800', '\u0001', '\u0001"x"', 'a\0b']) {
      expect(fromUtf8(inUtf8(text))).toBe(text);
      expect(Buffer.from(inUtf8(text)).toString()).toBe(inUtf8(text));
      expect(ofMember(keyMember('docs', text))).toEqual({ lane: 'docs', subject: text });
    }
    expect(inUtf8('\ud800')).not.toBe(inUtf8('\ud801'));
  });

  it('is read with the id of its record, also where an earlier release has written it', () => {
    const record = { kind: 'key', lane: 'docs', subject: 'a\0b' } as const;
    for (const id of [idOf('me', 7), 'me']) {
      expect(readRecord(packRecord('g', id, record))).toEqual({ generation: 'g', id, ...record });
      expect(authorOf(id)).toBe('me');
    }
    expect([numberOfId('me:7'), numberOfId('me:7-all'), numberOfId('7')]).toEqual([7, 7, NaN]);
  });

  it('names an entry by key, tag, pattern, or all there is', () => {
    const about = (kind: 'key' | 'tag' | 'pattern' | 'all' | 'expire', lane: string | null, subject: string): boolean =>
      names({ kind, lane, subject }, ENTRY);
    expect([about('key', 'docs', 'k'), about('key', 'docs', 'l'), about('key', 'heavy', 'k')]).toEqual([
      true,
      false,
      false,
    ]);
    expect([about('tag', null, 't'), about('tag', null, 'k'), about('expire', null, 't')]).toEqual([true, false, true]);
    expect([about('pattern', 'docs', 't:*'), about('pattern', 'heavy', '*')]).toEqual([true, false]);
    expect([about('all', 'docs', '*'), about('all', null, '*'), about('all', 'heavy', '*')]).toEqual([
      true,
      true,
      false,
    ]);
  });
});

describe('recent patterns', () => {
  it('match entries with an earlier birth, in their lane', () => {
    const patterns = new RecentPatterns();
    patterns.learn(memberOf({ kind: 'pattern', lane: 'docs', subject: 't:*' }), 7);
    expect(patterns.known).toBe(7);
    expect([6, 7].map((birth) => patterns.match(ENTRY, birth))).toEqual([true, false]);
    expect(patterns.match({ ...ENTRY, lane: 'heavy' }, 1)).toBe(false);
    patterns.forget();
    expect(patterns.match(ENTRY, 1)).toBe(false);
  });
});
