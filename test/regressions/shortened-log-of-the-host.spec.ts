import { afterEach, describe, expect, it } from '@jest/globals';
import { statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { createLaneCache } from '../../lib/app/cache-app.js';
import { nextTurn } from '../../lib/clock/clock.js';
import type { SharedRecord } from '../../lib/invalidation/shared-log.js';
import { FolderOnDisk, type LogFile } from '../../lib/storage/files/log-files.js';
import { logBesideTheOwner } from '../support/host-logs.js';
import { StorageBench } from '../support/storage.js';

const RECORD: SharedRecord = { kind: 'key', lane: 'standard', subject: 'k' };

/** Its first append is cut off again, to a place that has been read. */
class CuttingFolder extends FolderOnDisk {
  cuts = 0;

  override open(name: string): LogFile {
    const file = super.open(name);
    const append = file.append.bind(file);
    file.append = async (bytes) => {
      const { size } = file;
      const taken = await append(bytes);
      if (this.cuts++ === 0) truncateSync(join(this.directory, name), size);
      return taken;
    };
    return file;
  }
}

describe('a log of the directory that another program shortened', () => {
  const bench = new StorageBench();
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
    await bench.dispose();
  });

  // the process took its record for appended, and waited for it for ever
  it('lets an invalidation resolve whose record was cut off before it was read', async () => {
    const folder = new CuttingFolder(await bench.path('log'));
    let drops = 0;
    const log = logBesideTheOwner({ folder });
    closing.push(() => log.close());
    await log.open();
    const drop = (): Promise<void> => {
      drops++;
      return Promise.resolve();
    };
    log.start({ apply: () => Promise.resolve(), drop, bar: () => undefined }, undefined);
    await log.publish([RECORD], Promise.resolve());
    expect([folder.cuts, drops]).toEqual([2, 1]);
  });

  // who had read the record began at the end of what was left, and who had not went on as if it had never been there
  it('voids what a process holds that had not read what was cut off', async () => {
    const directory = await bench.path('cache');
    const open = async () => {
      const app = await createLaneCache({ directory, logger: false, storage: { minFreeBytes: 0, sweepEvery: false } });
      closing.push(() => app.close());
      return app.manager();
    };
    const [one, other] = [await open(), await open()];
    await one.invalidate('another');
    await other.set('k', 'old');
    const log = join(directory, 'log', '1.log');
    expect(await other.get('k')).toBe('old');
    const { size } = statSync(log);
    await one.invalidate('k');
    truncateSync(log, size);
    await nextTurn();
    await one.get('k');
    await nextTurn();
    expect(await other.get('k')).toBeUndefined();
  });
});
