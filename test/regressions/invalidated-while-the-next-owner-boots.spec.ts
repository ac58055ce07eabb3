import { afterEach, expect, it } from '@jest/globals';
import type { HostLog } from '../../lib/invalidation/host-log.js';
import { FolderOnDisk } from '../../lib/storage/files/log-files.js';
import { logBesideTheOwner } from '../support/host-logs.js';
import { StorageBench } from '../support/storage.js';

const bench = new StorageBench();
const logs: HostLog[] = [];
const CACHE = { apply: () => Promise.resolve(), drop: () => Promise.resolve(), bar: () => undefined };
afterEach(async () => {
  await Promise.all(logs.splice(0).map((log) => log.close()));
  await bench.dispose();
});

/** It had passed over the record while it opened L3, and seemed to know all of them. The entry was stored, and served to all. */
it('an owner that boots takes no entry from before a record that it has not kept', async () => {
  const folder = new FolderOnDisk(await bench.path('log'));
  const [other, owner] = [logBesideTheOwner({ folder }), logBesideTheOwner({ folder })];
  logs.push(other, owner);
  await other.open();
  other.start(CACHE, undefined);
  await owner.open();
  const { place } = other;
  if (place === undefined) throw new Error('the log is off');
  const subject = { lane: 'a', key: 'k', tags: [] };
  await other.publish([{ kind: 'key', lane: 'a', subject: 'k' }], Promise.resolve());
  expect(owner.knows(place)).toBe(true);
  owner.start(CACHE, place);
  owner.look();
  expect([other.judge(place, subject), owner.judge(place, subject)]).toEqual(['named', 'unknown']);
});
