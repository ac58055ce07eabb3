import { afterEach, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import type { HostLog } from '../../lib/invalidation/host-log.js';
import { FolderOnDisk } from '../../lib/storage/files/log-files.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { logBesideTheOwner } from '../support/host-logs.js';
import { StorageBench } from '../support/storage.js';

const DONE = Promise.resolve();

describe('a process that is stopped while the directory is removed and another process makes it anew', () => {
  const bench = new StorageBench();
  const logs: HostLog[] = [];
  afterEach(async () => {
    await Promise.all(logs.splice(0).map((log) => log.close()));
    await bench.dispose();
  });

  /** The timers of a process that is stopped do not run. */
  const open = async (directory: string, clock: FakeClock) => {
    const dropped: string[] = [];
    const log = logBesideTheOwner({ folder: new FolderOnDisk(directory), clock, idleClock: new FakeClock() });
    logs.push(log);
    await log.open();
    const drop = (): Promise<void> => {
      dropped.push('everything');
      return DONE;
    };
    log.start({ apply: () => DONE, drop, bar: () => undefined }, undefined);
    return { log, dropped };
  };

  it('drops what it holds at its first look, since it cannot know what was invalidated there', async () => {
    const directory = await bench.path('log');
    const clock = new FakeClock();
    const stopped = await open(directory, clock);
    stopped.log.look();
    await rm(directory, { recursive: true });
    const other = await open(directory, clock);
    await other.log.publish([{ kind: 'key', lane: 'a', subject: 'k' }], DONE);
    await clock.advance('1s');
    stopped.log.look();
    expect(stopped.dropped).toEqual(['everything']);
    await other.log.publish([{ kind: 'key', lane: 'a', subject: 'k' }], DONE);
    stopped.log.look();
    expect(stopped.log.place).toEqual(other.log.place);
    expect(stopped.dropped).toEqual(['everything']);
  });
});
