import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { forgetMissed, noteMissed } from '../../../../lib/storage/directory/cache-directory.js';
import { FolderOnDisk, LogFiles } from '../../../../lib/storage/files/log-files.js';
import { ensurePrivateDirectory } from '../../../../lib/storage/files/private-directory.js';
import { discard, putInPlace, quarantine } from '../../../../lib/storage/files/quarantine.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { StorageBench } from '../../../support/storage.js';
import { Synced } from '../../../support/synced.js';

describe('what must outlive a power failure is synced before it is acknowledged:', () => {
  const bench = new StorageBench();
  let synced: Synced;
  beforeEach(() => void (synced = Synced.listen()));
  afterEach(async () => {
    synced.stop();
    await bench.dispose();
  });

  const folder = async (): Promise<string> => {
    const path = await bench.path('l3');
    await mkdir(path);
    return path;
  };

  it('the note of a missed invalidation, then the folder that names it', async () => {
    const root = await folder();
    const note = await noteMissed(root);
    expect(await synced.among(root, note)).toEqual([note, root]);
  });

  it('that notes are gone, where there were any', async () => {
    const root = await folder();
    const note = await noteMissed(root);
    await synced.among();
    await forgetMissed(root, []);
    expect(await synced.among(root)).toEqual([]);
    await forgetMissed(root, [note]);
    expect(await synced.among(root)).toEqual([root]);
  });

  it.each([
    ['set aside', (path: string) => quarantine(path, new FakeClock())],
    ['discarded', (path: string) => discard(path, new FakeClock())],
    ['put in place', (path: string) => putInPlace(path, `${path}-again`)],
  ])('that a folder was %s', async (_, change) => {
    const path = await folder();
    await change(path);
    expect(await synced.among(dirname(path))).toEqual([dirname(path)]);
  });

  it('a directory that is made, with all parents that are made for it', async () => {
    const around = dirname(await bench.path());
    const path = join(around, 'a', 'b', 'c');
    await ensurePrivateDirectory(path);
    expect(await synced.among(around, join(around, 'a'), join(around, 'a', 'b'))).toHaveLength(3);
    await ensurePrivateDirectory(path);
    expect(await synced.among(around, join(around, 'a'), join(around, 'a', 'b'))).toEqual([]);
  });

  it('the first file of the log of a directory, then the folder that names it', async () => {
    const path = await bench.path('log');
    const files = await LogFiles.open(new FolderOnDisk(path));
    files.close();
    expect(await synced.among(path, join(path, '1.log'))).toEqual([join(path, '1.log'), path]);
  });

  it('the names of the files of a durable environment', async () => {
    const path = await bench.path();
    const { environment } = await bench.environment(path, { durability: 'durable' });
    expect(await readdir(path)).toContain('data.mdb');
    expect(await synced.among(path, dirname(path))).toEqual([dirname(path), path]);
    await environment.close();
    const other = await bench.path();
    await bench.environment(other, { durability: 'session' });
    expect(await synced.among(other)).toEqual([]);
  });
});
