import { beforeEach, describe, expect, it } from '@jest/globals';
import type { LogCursor, ServerCopy, SharedRecord } from '../../../../lib/invalidation/shared-log.js';
import { TwoLogRecords } from '../../../../lib/redis/shared-log/two-log-records.js';

const key = (subject: string): SharedRecord => ({ kind: 'key', lane: 'standard', subject });
const EVERYTHING = { kind: 'all', lane: null, subject: '*' } as const;
const at = (sequence: number, generation = 'g'): LogCursor => ({ generation, sequence });
const copy = (id: string, place?: LogCursor): ServerCopy => ({ id, place });

describe('a record that comes by the log of the directory and by that of the server', () => {
  let records: TwoLogRecords;
  let cursor: LogCursor | undefined;
  let followed: string[];
  beforeEach(() => {
    cursor = at(0);
    records = new TwoLogRecords(() => cursor);
    followed = [];
  });
  const unpublished = (): readonly string[] => records.unpublished.map(({ record }) => record.subject);
  const onServer = (subject: string, id: string): boolean =>
    records.onServer(key(subject), id, () => {
      followed.push(subject);
      return Promise.resolve(`did ${subject}`);
    });
  /** The state of the server's log is asked for, and the answer comes. */
  const asked = (): readonly string[] => records.answered(records.asked()).map(({ copy: { id } }) => id);

  it('is followed by the first, and its entries are not read from the server before the second', () => {
    expect(records.onHost(key('a'), copy('one:1'))).toBeUndefined();
    expect(unpublished()).toEqual(['a']);
    expect(onServer('a', 'another:1')).toBe(true);
    expect(unpublished()).toEqual(['a']);
    expect(onServer('a', 'one:1')).toBe(false);
    expect(unpublished()).toEqual([]);
  });

  it('gives the log of the directory what the server has carried out already', async () => {
    expect(onServer('a', 'one:1')).toBe(true);
    expect(await records.onHost(key('a'), copy('one:1'))).toBe('did a');
    expect(records.onHost(key('a'), copy('one:2'))).toBeUndefined();
  });

  it('is followed once, though the server has it twice, and does not stand for a later one of its subject', () => {
    expect([onServer('a', 'one:1'), onServer('a', 'one:1')]).toEqual([true, false]);
    expect(followed).toEqual(['a']);
    expect(records.onHost(key('a'), copy('one:1'))).toBeDefined();
    expect(records.onHost(key('a'), copy('one:2'))).toBeUndefined();
    expect(unpublished()).toEqual(['a']);
    expect([onServer('a', 'one:1'), onServer('a', 'one:2')]).toEqual([false, false]);
    expect(unpublished()).toEqual([]);
  });

  it('is followed each time where the server has it of an earlier release, which names the author alone', () => {
    expect([onServer('a', 'one'), onServer('b', 'one')]).toEqual([true, true]);
    expect(followed).toEqual(['a', 'b']);
    expect(records.onHost(key('a'), copy('one:1'))).toBeUndefined();
  });

  it('is not followed, and names nothing on the server, where the server has been followed beyond its place', () => {
    cursor = at(5);
    expect(records.onHost(key('a'), copy('one:1', at(5)))).toBeDefined();
    expect(records.onHost(key('b'), copy('one:2', at(6)))).toBeUndefined();
    expect(records.onHost(key('c'), copy('one:3', at(1, 'another')))).toBeUndefined();
    expect(unpublished()).toEqual(['b', 'c']);
  });

  it('is on the server once this process has come beyond its place, also without having followed it', () => {
    for (const n of [1, 2, 3]) void records.onHost(key(`${n}`), copy(`one:${n}`, at(n)));
    cursor = at(2);
    asked();
    expect(unpublished()).toEqual(['3']);
  });

  it('is void with its generation, once the server was asked after it had been received', () => {
    const early = records.asked();
    void records.onHost(key('a'), copy('one:1', at(1, 'before')));
    records.answered(early);
    expect(unpublished()).toEqual(['a']);
    asked();
    expect(unpublished()).toEqual([]);
  });

  it('is published by this process if its author has not done so while the server was asked twice', () => {
    void records.onHost(key('a'), copy('one:1'));
    void records.onHost(key('b'), copy('one:2', at(7)));
    expect([asked(), asked()]).toEqual([[], ['one:1']]);
    expect(unpublished()).toEqual(['a', 'b']);
    expect(onServer('a', 'one:1')).toBe(false);
    expect(asked()).toEqual([]);
    expect(unpublished()).toEqual(['b']);
  });

  it('is published by this process once', () => {
    void records.onHost(key('a'), copy('one:1'));
    asked();
    for (const missing of records.answered(records.asked())) missing.isPublishedHere = true;
    expect(asked()).toEqual([]);
    expect(unpublished()).toEqual(['a']);
  });

  it('is on the server with a later one of its author about everything', () => {
    for (const id of ['one:1', 'one:9', 'another:1']) void records.onHost(key(id), copy(id));
    expect(records.onServer(EVERYTHING, 'one:5-all', () => Promise.resolve())).toBe(true);
    expect(unpublished()).toEqual(['one:9', 'another:1']);
  });

  it('is remembered among many of other hosts, and too many leave nothing to be read', () => {
    void records.onHost(key('a'), copy('one:1'));
    for (let n = 0; n < 10_000; n++) onServer(`${n}`, `another host:${n}`);
    expect(unpublished()).toEqual(['a']);
    for (let n = 2; n < 10_002; n++) void records.onHost(key(`own ${n}`), copy(`one:${n}`));
    expect(records.unpublished).toEqual([{ record: EVERYTHING }]);
  });

  it('takes the place of an earlier one of its author and subject that the server has not taken', () => {
    for (const id of ['one:1', 'another:1', 'one:2']) void records.onHost(key('a'), copy(id));
    void records.onHost(key('a'), copy('one:3', at(3)));
    expect(unpublished()).toEqual(['a', 'a', 'a']);
    expect([asked(), asked()]).toEqual([[], ['another:1', 'one:2']]);
    expect([onServer('a', 'one:2'), onServer('a', 'one:3'), onServer('a', 'another:1')]).toEqual([false, false, false]);
    expect(unpublished()).toEqual([]);
    void records.onHost(key('a'), copy('one:4'));
    expect(unpublished()).toEqual(['a']);
  });

  it('is, with twice too many of its author, one about everything, until the author says so or this process does', () => {
    void records.onHost(key('a'), copy('another:1', at(1)));
    for (let n = 1; n <= 20_000; n++) void records.onHost(key(`${n}`), copy(`one:${n}`));
    void records.onHost(key('last'), copy('one:20001'));
    expect(records.unpublished.map(({ record }) => record)).toEqual([key('a'), EVERYTHING, key('last')]);
    expect([asked(), asked()]).toEqual([[], ['one:20000-all', 'one:20001']]);
    expect(records.onServer(EVERYTHING, 'one:20001-all', () => Promise.resolve())).toBe(true);
    expect(unpublished()).toEqual(['a']);
  });
});
