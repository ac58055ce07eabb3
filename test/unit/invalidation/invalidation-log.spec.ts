import { beforeEach, describe, expect, it } from '@jest/globals';
import { KeyPattern } from '../../../lib/entries/pattern.js';
import type { InvalidationGuard } from '../../../lib/invalidation/lane-log.js';
import { InvalidationLog, type Candidate } from '../../../lib/invalidation/invalidation-log.js';
import { EMPTY_LOG, type LogJournal, type LogRow, type LogState } from '../../../lib/invalidation/journal.js';

const LANE = 'standard';

class Journal implements LogJournal {
  readonly rows: LogRow[] = [];

  constructor(readonly initial: LogState = EMPTY_LOG) {}

  append(rows: readonly LogRow[]): Promise<void> {
    this.rows.push(...rows);
    return Promise.resolve();
  }
}

describe('the invalidation log', () => {
  let log: InvalidationLog;
  beforeEach(() => {
    log = new InvalidationLog({ tagLimit: 4 });
  });

  const candidate = (birth: number, tags: readonly string[] = [], key = 'k'): Candidate => ({
    lane: LANE,
    key,
    tags,
    birth,
  });
  const open = (key = 'k', tags: readonly string[] = []): InvalidationGuard => log.open({ lane: LANE, key, tags });

  it('gives a flight the position at which it opens, and moves on with every record', () => {
    expect(open().birth).toBe(0);
    log.key(LANE, 'other').removal.committed();
    log.tags(['t', 'u']);
    expect(open().birth).toBe(3);
  });

  it('accepts an entry whose birth is at the position of a tag’s record or later', () => {
    log.tags(['t']);
    expect([candidate(0, ['t']), candidate(1, ['t']), candidate(0, ['u'])].map((one) => log.counts(one))).toEqual([
      false,
      true,
      true,
    ]);
  });

  it('applies a removal to entries with an earlier birth, until it has been committed', () => {
    const { removal } = log.key(LANE, 'k');
    expect([log.counts(candidate(0)), log.counts(candidate(1))]).toEqual([false, true]);
    removal.committed();
    expect(log.counts(candidate(0))).toBe(true);
  });

  it('always applies a removal that was pending when a flight opened to the result of that flight', () => {
    const { removal } = log.key(LANE, 'k');
    const guard = open();
    removal.committed();
    expect(log.counts(candidate(0), guard)).toBe(false);
    expect(log.counts(candidate(1), guard)).toBe(true);
  });

  it('keeps a key pending until all of its removals are committed', () => {
    const [first, second] = [log.key(LANE, 'k').removal, log.key(LANE, 'k').removal];
    first.committed();
    expect(log.counts(candidate(1))).toBe(false);
    second.committed();
    expect(log.counts(candidate(1))).toBe(true);
  });

  it('keeps a removal pending, although what is older than an earlier position is removed after it', () => {
    for (let passed = 0; passed < 5; passed++) log.pass();
    const { removal } = log.key(LANE, 'k');
    log.older({ lane: LANE, key: 'k', tags: [] }, 2).removal.committed();
    expect(log.counts(candidate(5))).toBe(false);
    removal.committed();
    expect(log.counts(candidate(5))).toBe(true);
  });

  it('remembers a committed pattern for as long as a flight from before is open', () => {
    const guard = open('a');
    log.pattern(LANE, new KeyPattern('late:*')).removal.committed();
    expect(log.counts(candidate(0, ['late'], 'a'), guard)).toBe(false);
    log.close(guard);
    expect(log.lane(LANE).patterns).toEqual([]);
  });

  it('invalidates all flights rather than remember more than 64 committed patterns', () => {
    const guard = open('a');
    for (let n = 0; n <= 64; n++) log.pattern(LANE, new KeyPattern(`p${n}`)).removal.committed();
    expect(guard.isInvalidated).toBe(true);
    expect(log.lane(LANE).patterns).toEqual([]);
  });

  it('invalidates every open flight that a record names, and no other', () => {
    const flights = [open('k'), open('k', ['t']), open('other', ['t']), open('pattern')];
    log.tags(['t']);
    expect(flights.map((guard) => guard.isInvalidated)).toEqual([false, true, true, false]);
    log.key(LANE, 'k');
    log.pattern(LANE, new KeyPattern('pat*'));
    expect(flights.map((guard) => guard.isInvalidated)).toEqual([true, true, true, true]);
    const elsewhere = log.open({ lane: 'docs', key: 'k', tags: [] });
    log.clear(LANE);
    expect(elsewhere.isInvalidated).toBe(false);
  });

  it('goes on telling a flight of a key whose other flight is closed twice', () => {
    const [ended, open] = [log.open({ lane: LANE, key: 'k', tags: [] }), log.open({ lane: LANE, key: 'k', tags: [] })];
    log.close(ended);
    log.close(ended);
    log.key(LANE, 'k');
    expect([ended.isInvalidated, open.isInvalidated]).toEqual([false, true]);
  });

  it('moves the stamp for tags, clears, patterns and expired tags, and not for keys', () => {
    const moved = (say: () => unknown): boolean => {
      const before = log.stamp;
      say();
      return log.stamp !== before;
    };
    expect(moved(() => log.tags(['t']))).toBe(true);
    expect(moved(() => log.clear(LANE))).toBe(true);
    expect(moved(() => log.expireTags(['t'], 1))).toBe(true);
    expect(moved(() => log.key(LANE, 'k'))).toBe(false);
    expect(moved(() => log.pattern(LANE, new KeyPattern('*')))).toBe(true);
  });

  it('drops the older half of too many tags, and accepts no older entry that has tags', () => {
    log.tags(['a', 'b', 'c', 'd', 'e']);
    expect(log.counts(candidate(2, ['never named']))).toBe(false);
    expect(log.counts(candidate(2))).toBe(true);
    expect(log.counts(candidate(5, ['never named']))).toBe(true);
  });

  it('invalidates flights of a key that were opened before one that has stored its result', () => {
    const [first, second, third] = [open(), open(), open()];
    log.stored(candidate(second.birth), second.number);
    expect([first, second, third].map((guard) => guard.isInvalidated)).toEqual([true, false, false]);
  });

  it('expires what an expiry names, also results in flight, until the tiers have it', () => {
    const guard = open();
    const { removal } = log.expireKey(LANE, 'k', 1_000);
    expect([guard.isJoinable, guard.isInvalidated, log.expiredAt(candidate(0), guard)]).toEqual([false, false, 1_000]);
    const late = open();
    removal.committed();
    expect([log.expiredAt(candidate(0)), log.expiredAt(candidate(0), late), log.expiredAt(candidate(1), late)]).toEqual(
      [undefined, 1_000, undefined],
    );
    log.expireTags(['t'], 2_000);
    expect([
      log.expiredAt(candidate(1, ['t'])),
      log.expiredAt(candidate(2, ['t'])),
      log.counts(candidate(1, ['t'])),
    ]).toEqual([2_000, undefined, true]);
  });

  it('expires the result of a flight at the first expiry of its key', () => {
    const guard = open();
    log.expireKey(LANE, 'k', 1_000);
    log.expireKey(LANE, 'k', 2_000);
    expect(log.expiredAt(candidate(0), guard)).toBe(1_000);
  });

  it('treats an entry below the floor as expired when one of its tags expired before', () => {
    log.expireTags(['a', 'b', 'c', 'd'], 1_000);
    expect(log.expiredAt(candidate(4, ['d']))).toBeUndefined();
    log.expireTags(['e', 'f', 'g', 'h', 'i'], 2_000);
    expect(log.expiredAt(candidate(4, ['d']))).toBe(0);
    expect(log.expiredAt(candidate(4, ['i']))).toBe(2_000);
  });

  it('ignores a stored expiry of a tag that is older than the one it knows', () => {
    for (let passed = 0; passed < 10; passed++) log.pass();
    log.expireTags(['t'], 2_000);
    log.adopt(new Journal({ ...EMPTY_LOG, expiredTagAt: new Map([['t', { position: 5, at: 1_000 }]]) }));
    expect(log.expiredAt(candidate(8, ['t']))).toBe(2_000);
  });

  it('ignores a stored record of a tag, or a clear, that is older than the one it knows', () => {
    for (let passed = 0; passed < 10; passed++) log.pass();
    log.tags(['t']);
    log.clear('docs');
    log.adopt(new Journal({ ...EMPTY_LOG, tagAt: new Map([['t', 5]]), clearAt: new Map([['docs', 5]]) }));
    expect([log.counts(candidate(8, ['t'])), log.counts({ ...candidate(8), lane: 'docs' })]).toEqual([false, false]);
  });

  it('continues above the ceiling it had stored, with tags, floors and clears', () => {
    const initial: LogState = {
      ...EMPTY_LOG,
      ceiling: 70_000,
      tagFloor: 3,
      tagAt: new Map([['t', 50]]),
      expiredTagAt: new Map([['u', { position: 60, at: 1_000 }]]),
      clearAt: new Map([['docs', 40]]),
    };
    const journal = new Journal(initial);
    log = new InvalidationLog({ journal });
    expect(journal.rows).toEqual([{ row: 'ceiling', position: 70_000 + 65_536 }]);
    expect([log.position, log.counts(candidate(49, ['t'])), log.counts(candidate(2, ['x']))]).toEqual([
      70_000,
      false,
      false,
    ]);
    expect(log.counts({ ...candidate(39), lane: 'docs' })).toBe(false);
    expect(log.expiredAt(candidate(59, ['u']))).toBe(1_000);
  });

  it('stores what must outlive the process, and reserves positions before it comes near their end', () => {
    const journal = new Journal();
    log = new InvalidationLog({ journal, tagLimit: 1 });
    log.tags(['a']);
    log.tags(['b']);
    log.clear(LANE);
    log.expireTags(['c'], 5);
    expect(journal.rows.slice(1)).toEqual([
      { row: 'tag', tag: 'a', position: 1 },
      { row: 'tag', tag: 'b', position: 2 },
      { row: 'tag-floor', position: 1, dropped: ['a'] },
      { row: 'clear', lane: LANE, position: 3 },
      { row: 'expired-tag', tag: 'c', position: 4, at: 5 },
    ]);
    for (let n = 0; n < 40_000; n++) log.key(LANE, 'k').removal.committed();
    expect(journal.rows.filter(({ row }) => row === 'ceiling').length).toBe(2);
  });

  it('accepts nothing older once it takes over what another process stored', () => {
    log.tags(['mine']);
    const guard = open();
    const before = log.stamp;
    log.adopt(new Journal({ ...EMPTY_LOG, ceiling: 9, tagAt: new Map([['theirs', 8]]) }));
    expect([guard.isInvalidated, log.position, log.stamp === before]).toEqual([true, 9, false]);
    expect([log.counts(candidate(7, ['theirs'])), log.counts(candidate(0, ['mine']))]).toEqual([false, false]);
  });
});
