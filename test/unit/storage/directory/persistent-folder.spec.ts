import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StorageFault } from '../../../../lib/storage/environment.js';
import { noteMissed, PersistentFolder } from '../../../../lib/storage/directory/cache-directory.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { RecordingReporter, StorageBench } from '../../../support/storage.js';

describe('the folder of entries that outlive the process', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  /** One that holds something, of which another process has noted that it missed an invalidation. */
  const missing = async (entitled: () => Promise<void>, clock = new FakeClock()) => {
    const directory = await bench.path('l3');
    const root = dirname(directory);
    await mkdir(directory);
    await writeFile(join(directory, 'old'), '');
    await noteMissed(root);
    const folder = new PersistentFolder({
      root,
      directory,
      clock,
      deadlineMs: 60_000,
      minFreeBytes: 0,
      requireOwnership: entitled,
    });
    const look = async (): Promise<{ notes: number; holds: readonly string[] }> => ({
      notes: (await readdir(root)).filter((name) => name.startsWith('missed-')).length,
      holds: await readdir(directory),
    });
    return { folder, look };
  };
  const untouched = { notes: 1, holds: ['old'] };

  it('is neither opened nor renamed by a process that has lost its right to it', async () => {
    const refuse = (): Promise<void> => Promise.reject(new StorageFault('gone', 'another process has it'));
    const { folder, look } = await missing(refuse);
    await expect(folder.open(new RecordingReporter())).rejects.toMatchObject({ kind: 'gone' });
    await expect(folder.discard()).rejects.toMatchObject({ kind: 'gone' });
    expect(await look()).toEqual(untouched);
  });

  it('keeps the notes of what it missed until it has been set aside', async () => {
    const clock = new FakeClock();
    const { folder, look } = await missing(() => Promise.resolve(), clock);
    const now = jest.spyOn(clock, 'now').mockImplementation(() => {
      throw new Error('the process is killed here');
    });
    await expect(folder.open(new RecordingReporter())).rejects.toThrow('killed here');
    expect(await look()).toEqual(untouched);
    now.mockRestore();
    const environment = await folder.open(new RecordingReporter());
    expect(await look()).toMatchObject({ notes: 0, holds: expect.not.arrayContaining(['old']) });
    await environment.close();
  });
});
