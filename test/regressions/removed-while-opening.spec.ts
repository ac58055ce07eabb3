import { afterEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../lib/clock/clock.js';
import { StorageFault } from '../../lib/storage/environment.js';
import { openEnvironment } from '../../lib/storage/lmdb/open-environment.js';
import { RecordingReporter, StorageBench } from '../support/storage.js';

const THEIRS = 'of the process that made the directory anew';
const FILES = ['data.mdb', 'lock.mdb'];

describe('a directory that is removed while a process opens it', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  const open = (directory: string, meanwhile: () => void) =>
    openEnvironment({
      directory,
      durability: 'durable',
      clock: systemClock,
      report: new RecordingReporter(),
      onMarkerLeft: 'quarantine',
      /** Asked when all was checked, and before anything is written. */
      get minFreeBytes() {
        meanwhile();
        return 0;
      },
    });

  it('keeps its files untouched when another process has made it anew', async () => {
    if (process.platform !== 'linux') return console.warn('Only Linux addresses files by a descriptor.');
    const directory = await bench.path();
    const opening = open(directory, () => {
      rmSync(directory, { recursive: true });
      mkdirSync(directory);
      for (const file of FILES) writeFileSync(join(directory, file), THEIRS);
    });
    await expect(opening).rejects.toBeInstanceOf(StorageFault);
    for (const file of FILES) expect(readFileSync(join(directory, file), 'utf8')).toBe(THEIRS);
  });

  it('is a fault of the storage when nobody has made it anew', async () => {
    const directory = await bench.path();
    await expect(open(directory, () => rmSync(directory, { recursive: true }))).rejects.toBeInstanceOf(StorageFault);
  });
});
