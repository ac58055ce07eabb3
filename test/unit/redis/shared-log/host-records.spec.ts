import { beforeEach, describe, expect, it } from '@jest/globals';
import type { SharedRecord } from '../../../../lib/invalidation/shared-log.js';
import { HostRecords } from '../../../../lib/redis/shared-log/host-records.js';

const key = (subject: string): SharedRecord => ({ kind: 'key', lane: 'standard', subject });

describe('a record that comes by the log of the directory and by that of the server', () => {
  let records: HostRecords;
  let now = 0;
  beforeEach(() => {
    records = new HostRecords();
  });
  const unpublished = (): readonly string[] => records.unpublished.map(({ record }) => record.subject);
  const follow = (): Promise<string> => Promise.resolve('done');

  it('is followed by the first, and its entries are not read from the server before the second', () => {
    expect(records.onHost({ record: key('a'), by: 'one', now })).toBeUndefined();
    expect(unpublished()).toEqual(['a']);
    expect(records.onServer({ record: key('a'), by: 'another', now }, follow)).toBe(true);
    expect(unpublished()).toEqual(['a']);
    expect(records.onServer({ record: key('a'), by: 'one', now }, follow)).toBe(false);
    expect(unpublished()).toEqual([]);
  });

  it('gives the log of the directory what the server has carried out already, as often as it has', async () => {
    for (const _ of [1, 2]) expect(records.onServer({ record: key('a'), by: 'one', now }, follow)).toBe(true);
    for (const _ of [1, 2]) expect(await records.onHost({ record: key('a'), by: 'one', now })).toBe('done');
    expect(records.onHost({ record: key('a'), by: 'one', now })).toBeUndefined();
  });

  it('that the server has twice does not stand for a later one of its subject', () => {
    void records.onHost({ record: key('a'), by: 'one', now });
    for (const isFirst of [false, true])
      expect(records.onServer({ record: key('a'), by: 'one', now }, follow)).toBe(isFirst);
    now += 1_000;
    expect(records.onHost({ record: key('a'), by: 'one', now })).toBeUndefined();
    expect(unpublished()).toEqual(['a']);
    expect(records.onServer({ record: key('a'), by: 'one', now }, follow)).toBe(false);
    expect(unpublished()).toEqual([]);
  });

  it('is on the server once a later process has published it, or one about everything', () => {
    for (const subject of ['a', 'b', 'c']) void records.onHost({ record: key(subject), by: 'one', now });
    records.onServer({ record: key('b'), by: 'nobody', now }, follow);
    expect(unpublished()).toEqual(['a', 'c']);
    records.onServer({ record: { kind: 'all', lane: null, subject: '*' }, by: 'one', now }, follow);
    expect(unpublished()).toEqual([]);
  });

  it('is remembered among many of other hosts, and too many leave nothing to be read', () => {
    void records.onHost({ record: key('a'), by: 'one', now });
    for (let n = 0; n < 10_000; n++) records.onServer({ record: key(`${n}`), by: 'another host', now }, follow);
    expect(unpublished()).toEqual(['a']);
    for (let n = 0; n < 10_001; n++) void records.onHost({ record: key(`own ${n}`), by: 'one', now });
    expect(records.unpublished).toEqual([{ record: { kind: 'all', lane: null, subject: '*' } }]);
  });
});
