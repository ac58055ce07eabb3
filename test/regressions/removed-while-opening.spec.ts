import { afterEach, describe, expect, it } from '@jest/globals';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
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

  /** Of a process that was killed, so a child process reads the file before it is opened. */
  const unclosed = async (): Promise<string> => {
    const directory = await bench.path();
    const { environment } = await bench.environment(directory);
    await environment.commit((transaction) => transaction.put(environment.table('t'), 'k', Buffer.from('row')));
    await environment.close();
    rmSync(join(directory, 'closed'));
    return directory;
  };

  const openInDoubt = (directory: string, onMarkerLeft: 'quarantine' | 'probe', meanwhile: () => void) =>
    openEnvironment({
      ...{ directory, durability: 'durable', clock: systemClock, report: new RecordingReporter(), minFreeBytes: 0 },
      onMarkerLeft,
      /** Asked when the folder is held, and before it is checked. */
      requireOwnership: async () => meanwhile(),
    });

  it.each(['quarantine', 'probe'] as const)(
    'is checked as it was found, and what another process has made is left alone: %s',
    async (onMarkerLeft) => {
      if (process.platform !== 'linux') return console.warn('Only Linux addresses files by a descriptor.');
      const directory = await unclosed();
      const theirs = await unclosed();
      const file = join(directory, 'data.mdb');
      const opening = openInDoubt(directory, onMarkerLeft, () => {
        renameSync(directory, `${directory}-removed`);
        cpSync(theirs, directory, { recursive: true });
      });
      const opened = await opening.catch(() => undefined);
      await opened?.close();
      expect(readFileSync(file).equals(readFileSync(join(theirs, 'data.mdb')))).toBe(true);
      expect(readdirSync(directory)).toEqual(readdirSync(theirs));
    },
  );

  it('is not set aside for the damage of the folder that was there before', async () => {
    if (process.platform !== 'linux') return console.warn('Only Linux addresses files by a descriptor.');
    const directory = await unclosed();
    writeFileSync(join(directory, 'data.mdb'), THEIRS);
    const opening = openInDoubt(directory, 'quarantine', () => {
      renameSync(directory, `${directory}-removed`);
      mkdirSync(directory);
      writeFileSync(join(directory, 'data.mdb'), THEIRS);
    });
    await expect(opening).rejects.toMatchObject({ kind: 'io' });
    expect(readFileSync(join(directory, 'data.mdb'), 'utf8')).toBe(THEIRS);
    const aside = readdirSync(dirname(directory)).filter((name) => name.startsWith(`${basename(directory)}.`));
    expect(aside).toEqual([]);
  });
});
