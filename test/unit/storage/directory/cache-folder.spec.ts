import { afterEach, expect, it } from '@jest/globals';
import { mkdir } from 'node:fs/promises';
import { systemClock } from '../../../../lib/clock/clock.js';
import { CacheFolder } from '../../../../lib/storage/directory/cache-directory.js';
import { OpenDirectories } from '../../../../lib/storage/lmdb/open-environment.js';
import { RecordingReporter, StorageBench } from '../../../support/storage.js';

const bench = new StorageBench();
afterEach(() => bench.dispose());

it('a folder in which LMDB hangs is opened again only once what hangs has been renamed away', async () => {
  const directory = await bench.path();
  await mkdir(directory);
  const opened = new OpenDirectories();
  opened.add(directory);
  const options = {
    directory,
    durability: 'durable',
    clock: systemClock,
    minFreeBytes: 0,
    deadlineMs: 60_000,
  } as const;
  const folder = new CacheFolder({ ...options, opened });
  await expect(folder.open(new RecordingReporter())).rejects.toMatchObject({ kind: 'deadline' });
  await folder.discard();
  expect(opened.isEmpty).toBe(true);
  const environment = await folder.open(new RecordingReporter());
  expect(opened.has(directory)).toBe(true);
  await environment.close();
  expect(opened.isEmpty).toBe(true);
});
