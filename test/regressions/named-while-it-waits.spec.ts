import { afterEach, describe, expect, it } from '@jest/globals';
import type { HostLog } from '../../lib/invalidation/host-log.js';
import type { SharedRecord } from '../../lib/invalidation/shared-log.js';
import { FolderOnDisk } from '../../lib/storage/files/log-files.js';
import { Deferred } from '../support/deferred.js';
import { logBesideTheOwner } from '../support/host-logs.js';
import { StorageBench } from '../support/storage.js';

const DONE = Promise.resolve();
const subject = { lane: 'a', key: 'k', tags: ['t'] };
const key = { kind: 'key', lane: 'a', subject: 'k' } as const;
const NAMES: Readonly<Record<string, SharedRecord>> = {
  'its key': key,
  'its tag': { kind: 'tag', lane: null, subject: 't' },
  'a pattern': { kind: 'pattern', lane: 'a', subject: 'k*' },
  'its lane': { kind: 'all', lane: 'a', subject: '*' },
};

/**
 * An entry for the owner of L3 waits for the records of its own process that name it. The server may have taken a later one by
 * then, and the owner may have followed that one there. The offer seemed to be newer, was stored, and stayed.
 */
describe('an entry that waits to be offered to the owner of L3', () => {
  const bench = new StorageBench();
  const logs: HostLog[] = [];
  afterEach(async () => {
    await Promise.all(logs.splice(0).map((log) => log.close()));
    await bench.dispose();
  });

  const open = async (): Promise<HostLog> => {
    const log = logBesideTheOwner({ folder: new FolderOnDisk(await bench.path('log')) });
    logs.push(log);
    await log.open();
    log.start({ apply: () => DONE, drop: () => DONE, bar: () => undefined }, undefined);
    return log;
  };

  it.each(Object.keys(NAMES))('is given up once this process names it again by %s', async (how) => {
    const log = await open();
    const [first, second] = [new Deferred<void>(), new Deferred<void>()];
    const copies = [undefined];
    const earlier = log.publish([key], DONE, { copies, settled: first.promise });
    const offer = log.offerable(subject);
    const later = log.publish([NAMES[how] ?? key], DONE, { copies, settled: second.promise });
    first.resolve();
    expect(await offer).toBeUndefined();
    second.resolve();
    await Promise.all([earlier, later]);
    expect(log.offerable(subject)).toEqual(log.place);
  });

  it('is offered if this process names others meanwhile', async () => {
    const log = await open();
    const settled = new Deferred<void>();
    const earlier = log.publish([key], DONE, { copies: [undefined], settled: settled.promise });
    const offer = log.offerable(subject);
    await log.publish([{ ...key, subject: 'another' }], DONE);
    settled.resolve();
    await earlier;
    expect(await offer).toEqual(log.place);
  });
});
