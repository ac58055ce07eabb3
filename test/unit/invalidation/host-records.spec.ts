import { describe, expect, it } from '@jest/globals';
import { names, RecentRecords, WaitingOffers } from '../../../lib/invalidation/host-records.js';
import type { SharedRecord } from '../../../lib/invalidation/shared-log.js';

const subject = { lane: 'standard', key: 'k:1', tags: ['t'] };
const at = (position: number) => ({ generation: 'g', position, checksum: 0 });
const key: SharedRecord = { kind: 'key', lane: 'standard', subject: 'k:1' };

describe('a record of the log of a directory', () => {
  it.each<[SharedRecord, boolean]>([
    [key, true],
    [{ ...key, kind: 'expire' }, true],
    [{ ...key, lane: 'docs' }, false],
    [{ ...key, subject: 'k:2' }, false],
    [{ kind: 'tag', lane: null, subject: 't' }, true],
    [{ kind: 'expire', lane: null, subject: 't' }, true],
    [{ kind: 'tag', lane: null, subject: 'k:1' }, false],
    [{ kind: 'pattern', lane: 'standard', subject: 'k:*' }, true],
    [{ kind: 'pattern', lane: 'standard', subject: 't:*' }, true],
    [{ kind: 'pattern', lane: 'docs', subject: '*' }, false],
    [{ kind: 'all', lane: 'standard', subject: '*' }, true],
    [{ kind: 'all', lane: null, subject: '*' }, true],
    [{ kind: 'all', lane: 'docs', subject: '*' }, false],
  ])('%j names the entry: %s', (record, expected) => {
    expect(names(record, subject)).toBe(expected);
  });
});

describe('what was offered as of a place', () => {
  it('counts until a later record names it', () => {
    const recent = new RecentRecords();
    recent.restart(at(10));
    recent.add(at(20), key);
    recent.add(at(30), { ...key, subject: 'another' });
    expect([19, 20, 30].map((position) => recent.judge(at(position), subject))).toEqual(['named', 'counts', 'counts']);
  });

  it('is unknown from before what is known, or from another history', () => {
    const recent = new RecentRecords();
    recent.restart(at(10));
    expect(recent.judge(at(9), subject)).toBe('unknown');
    expect(recent.judge({ generation: 'another', position: 10 }, subject)).toBe('unknown');
    recent.restart({ ...at(10), generation: 'another' });
    expect(recent.judge(at(10), subject)).toBe('unknown');
  });

  it('is unknown where the records since are not remembered any more', () => {
    const recent = new RecentRecords();
    recent.restart(at(0));
    for (let position = 1; position <= 40_000; position++) recent.add(at(position), { ...key, subject: 'another' });
    expect([at(100), at(39_000)].map((place) => recent.judge(place, subject))).toEqual(['unknown', 'counts']);
  });
});

describe('the records since a place', () => {
  it('are those behind it, while all of them are known', () => {
    const recent = new RecentRecords();
    recent.restart(at(10));
    recent.add(at(20), key);
    recent.add(at(30), { ...key, subject: 'another' });
    expect(recent.since(at(10))?.map(({ subject: named }) => named)).toEqual(['k:1', 'another']);
    expect(recent.since(at(30))).toEqual([]);
    expect(recent.since(at(9))).toBeUndefined();
    expect(recent.since({ generation: 'another', position: 10 })).toBeUndefined();
  });

  it('do not name an entry of their own author, if that is left out', () => {
    const recent = new RecentRecords();
    recent.restart(at(10));
    recent.add(at(20), key, 'me');
    expect([recent.judge(at(10), subject, 'me'), recent.judge(at(10), subject, 'another')]).toEqual([
      'counts',
      'named',
    ]);
  });
});

describe('an entry that waits for the record of its own set', () => {
  it('is offered as of the last record that was missing', async () => {
    const offers = new WaitingOffers<string>();
    const offered = offers.add(subject, ['first', 'second']);
    offers.echoed('first', at(5));
    offers.named({ ...key, subject: 'another' });
    offers.echoed('second', at(7));
    expect(await offered).toEqual(at(7));
  });

  it('is given up when a later record names it, or the history is lost', async () => {
    const offers = new WaitingOffers<string>();
    const named = offers.add(subject, ['own']);
    offers.named(key);
    expect(await named).toBeUndefined();
    const lost = offers.add(subject, ['own']);
    offers.giveUp();
    expect(await lost).toBeUndefined();
  });
});
