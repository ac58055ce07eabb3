import { beforeEach, describe, expect, it } from '@jest/globals';
import type { SharedRecord } from '../../../../lib/invalidation/shared-log.js';
import { HostRecords } from '../../../../lib/redis/shared-log/host-records.js';

const key = (subject: string): SharedRecord => ({ kind: 'key', lane: 'standard', subject });

describe('a record that comes by the log of the directory and by that of the server', () => {
  let records: HostRecords;
  beforeEach(() => {
    records = new HostRecords();
  });
  const unpublished = (): readonly string[] => records.unpublished.map(({ record }) => record.subject);
  const follow = (): Promise<string> => Promise.resolve('done');

  it('is followed by the first, and its entries are not read from the server before the second', () => {
    expect(records.onHost(key('a'), 'one')).toBeUndefined();
    expect(unpublished()).toEqual(['a']);
    expect(records.onServer(key('a'), 'another', follow)).toBe(true);
    expect(unpublished()).toEqual(['a']);
    expect(records.onServer(key('a'), 'one', follow)).toBe(false);
    expect(unpublished()).toEqual([]);
  });

  it('gives the log of the directory what the server has carried out already, as often as it has', async () => {
    for (const _ of [1, 2]) expect(records.onServer(key('a'), 'one', follow)).toBe(true);
    for (const _ of [1, 2]) expect(await records.onHost(key('a'), 'one')).toBe('done');
    expect(records.onHost(key('a'), 'one')).toBeUndefined();
  });

  it('is on the server once a later process has published it, or one about everything', () => {
    for (const subject of ['a', 'b', 'c']) void records.onHost(key(subject), 'one');
    records.onServer(key('b'), 'nobody', follow);
    expect(unpublished()).toEqual(['a', 'c']);
    records.onServer({ kind: 'all', lane: null, subject: '*' }, 'one', follow);
    expect(unpublished()).toEqual([]);
  });

  it('is remembered among many of other hosts, and too many leave nothing to be read', () => {
    void records.onHost(key('a'), 'one');
    for (let n = 0; n < 10_000; n++) records.onServer(key(`${n}`), 'another host', follow);
    expect(unpublished()).toEqual(['a']);
    for (let n = 0; n < 10_001; n++) void records.onHost(key(`own ${n}`), 'one');
    expect(records.unpublished).toEqual([{ record: { kind: 'all', lane: null, subject: '*' } }]);
  });
});
