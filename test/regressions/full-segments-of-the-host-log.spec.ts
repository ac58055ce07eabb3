import { afterEach, describe, expect, it } from '@jest/globals';
import { HostLog } from '../../lib/invalidation/host-log.js';
import type { SharedRecord } from '../../lib/invalidation/shared-log.js';
import { FolderOnDisk } from '../../lib/storage/files/log-files.js';
import { logBesideTheOwner } from '../support/host-logs.js';
import { StorageBench } from '../support/storage.js';

const SEGMENT_BYTES = 2_000;
const DONE = Promise.resolve();

/** One process of the directory. Its segments are small, so that a few records fill one. */
async function openLog(directory: string) {
  const states: string[] = [];
  const followed: string[] = [];
  const log = logBesideTheOwner({
    folder: new FolderOnDisk(directory),
    changed: (state) => states.push(state),
    segmentBytes: SEGMENT_BYTES,
  });
  await log.open();
  const apply = (record: SharedRecord): Promise<void> => {
    followed.push(record.subject);
    return DONE;
  };
  log.start({ apply, drop: () => DONE, bar: () => undefined }, undefined);
  return { log, states, followed };
}

describe('a segment of the log that is full', () => {
  const bench = new StorageBench();
  const logs: HostLog[] = [];
  afterEach(async () => {
    await Promise.all(logs.splice(0).map((log) => log.close()));
    await bench.dispose();
  });
  const open = async (directory: string) => {
    const opened = await openLog(directory);
    logs.push(opened.log);
    return opened;
  };
  const keys = Array.from({ length: 400 }, (_, n): SharedRecord => ({ kind: 'key', lane: 'a', subject: `key:${n}` }));
  const names = keys.map(({ subject }) => subject);

  it('is followed by the next while one process appends without a pause, and nothing is lost', async () => {
    const directory = await bench.path('log');
    const writer = await open(directory);
    const reader = await open(directory);
    for (let from = 0; from < keys.length; from += 10) {
      await writer.log.publish(keys.slice(from, from + 10), DONE);
      reader.log.look();
    }
    expect(reader.followed).toEqual(names);
    expect([writer.states, reader.states]).toEqual([['on'], ['on']]);
  });

  it('is followed by the next while two processes append at once, and each hears all of the other', async () => {
    const directory = await bench.path('log');
    const [one, other] = [await open(directory), await open(directory)];
    const append = async ({ log }: typeof one): Promise<void> => {
      for (const key of keys) await log.publish([key], DONE);
    };
    await Promise.all([append(one), append(other)]);
    one.log.look();
    other.log.look();
    expect(one.followed).toEqual(names);
    expect(other.followed).toEqual(names);
    expect([one.states, other.states]).toEqual([['on'], ['on']]);
  });
});
