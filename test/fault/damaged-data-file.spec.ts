import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { cp, mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Workshop } from '../support/child-process.js';
import { noise, overwrite } from '../support/damage.js';
import { StorageBench } from '../support/storage.js';

const PAGE = 4096;
const ROWS = 300;

/** Opens, reads everything, writes, and prints what it saw. */
const READER = `
import { systemClock } from './lib/clock/clock.js';
import { openEnvironment } from './lib/storage/lmdb/open-environment.js';
const [directory, onMarkerLeft] = process.argv.slice(2);
const seen = { quarantines: [], faults: 0, rows: 0 };
const report = { fault: () => seen.faults++, quarantined: (_d, movedTo, cause) => seen.quarantines.push({ movedTo, cause }) };
const environment = await openEnvironment({ directory, durability: 'durable', clock: systemClock, minFreeBytes: 0, report, onMarkerLeft });
const table = environment.table('t');
for (const _ of table.range()) seen.rows++;
await environment.commit((transaction) => transaction.put(table, 'new', Buffer.from('row')));
seen.wrote = String(table.get('new')) === 'row';
await environment.close();
console.log(JSON.stringify(seen));
`;

/** Fills the directory and waits to be killed. */
const FILLER = `
import { systemClock } from './lib/clock/clock.js';
import { openEnvironment } from './lib/storage/lmdb/open-environment.js';
const [directory, onMarkerLeft] = process.argv.slice(2);
const report = { fault() {}, quarantined() {} };
const environment = await openEnvironment({ directory, durability: 'durable', clock: systemClock, minFreeBytes: 0, report, onMarkerLeft });
const table = environment.table('t');
await environment.commit((transaction) => {
  for (let n = 0; n < ${ROWS}; n++) transaction.put(table, n, Buffer.alloc(5_000, n));
});
console.log('filled');
setInterval(() => {}, 1_000);
`;

const DAMAGES: readonly (readonly [string, (file: string) => Promise<void>])[] = [
  ['half of the file', async (file) => truncate(file, 200 * PAGE)],
  ['the first 100 bytes only', async (file) => truncate(file, 100)],
  ['the meta pages only', async (file) => truncate(file, 2 * PAGE)],
  ['a first page of zeros', async (file) => overwrite(file, 0, new Uint8Array(PAGE))],
  ['a second page of zeros', async (file) => overwrite(file, PAGE, new Uint8Array(PAGE))],
  ['meta pages of zeros', async (file) => overwrite(file, 0, new Uint8Array(2 * PAGE))],
  ['a text file', async (file) => writeFile(file, 'This is not a database.\n'.repeat(5_000))],
  ['noise', async (file) => overwrite(file, 0, noise(1, 400 * PAGE))],
  ['noise behind the meta pages', async (file) => overwrite(file, 2 * PAGE, noise(2, 500 * PAGE))],
  ['zeros from end to end', async (file) => overwrite(file, 0, new Uint8Array(400 * PAGE))],
  [
    'no tables any more, though it has pages of them',
    async (file) => {
      for (const page of [0, PAGE]) await overwrite(file, page + 136, new Uint8Array(8).fill(0xff));
    },
  ],
  [
    'a directory',
    async (file) =>
      rm(file)
        .then(() => mkdir(file))
        .then(() => undefined),
  ],
];

describe('a data file that was damaged while no process had it open', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  const pristine = new StorageBench();
  let full: string;
  beforeAll(async () => {
    workshop = await Workshop.build();
    full = await pristine.path();
    const { environment } = await pristine.environment(full, { durability: 'durable' });
    const table = environment.table('t');
    await environment.commit((transaction) => {
      for (let n = 0; n < ROWS; n++) transaction.put(table, n, Buffer.alloc(5_000, n));
    });
    await environment.close();
  });
  afterAll(async () => {
    await workshop.dispose();
    await pristine.dispose();
  });
  afterEach(() => bench.dispose());

  /** A directory that holds all rows and was closed. */
  const filled = async (): Promise<string> => {
    const path = await bench.path();
    await cp(full, path, { recursive: true, preserveTimestamps: true });
    return path;
  };

  const read = async (path: string, onMarkerLeft: 'quarantine' | 'probe') => {
    const { status, lines } = await (await workshop.run(READER, [path, onMarkerLeft])).end();
    return { status, seen: JSON.parse(lines[0] ?? '{}') };
  };

  it.each(DAMAGES)('is set aside while the process continues: %s', async (_what, damage) => {
    const isSetAside = async (mode: 'quarantine' | 'probe') => {
      const path = await filled();
      await damage(join(path, 'data.mdb'));
      const { status, seen } = await read(path, mode);
      expect({ status, ...seen }).toMatchObject({
        status: 0,
        rows: 0,
        wrote: true,
        quarantines: [{ movedTo: expect.stringContaining(`${path}.bad-`), cause: expect.any(String) }],
      });
    };
    await Promise.all([isSetAside('quarantine'), isSetAside('probe')]);
  });

  it('is kept when only free pages at its end are missing', async () => {
    const path = await bench.path();
    const { environment } = await bench.environment(path, { durability: 'durable' });
    const table = environment.table('t');
    await environment.commit((transaction) => transaction.put(table, 'kept', Buffer.from('row')));
    await environment.commit((transaction) => {
      transaction.put(table, 'passing', Buffer.alloc(500_000));
      transaction.remove(table, 'passing');
    });
    await environment.close();
    const { status, seen } = await read(path, 'quarantine');
    expect({ status, ...seen }).toMatchObject({ status: 0, rows: 1, wrote: true, quarantines: [] });
  });

  it('that is sound opens with everything in it', async () => {
    const { status, seen } = await read(await filled(), 'quarantine');
    expect({ status, ...seen }).toEqual({ status: 0, rows: ROWS, wrote: true, faults: 0, quarantines: [] });
  });

  it('was being opened when the process died: a cache is set aside, checkpoints are tried and kept', async () => {
    for (const [mode, rows] of [
      ['quarantine', 0],
      ['probe', ROWS],
    ] as const) {
      const path = await filled();
      await writeFile(join(path, 'opening.1'), '');
      const { status, seen } = await read(path, mode);
      expect({ status, rows: seen.rows, quarantines: seen.quarantines.length }).toEqual({
        status: 0,
        rows,
        quarantines: mode === 'probe' ? 0 : 1,
      });
    }
  });

  it.each(['quarantine', 'probe'] as const)(
    'after its owner was killed ends at most two processes, and is then set aside (%s)',
    async (mode) => {
      const path = await bench.path();
      const owner = await workshop.run(FILLER, [path, mode]);
      expect(await owner.line()).toBe('filled');
      await owner.end('SIGKILL');
      await overwrite(join(path, 'data.mdb'), 2 * PAGE, noise(2, 500 * PAGE));
      const endings: (number | string)[] = [];
      for (let start = 1; start <= 3 && endings.at(-1) !== 0; start++) {
        const { status, lines } = await (await workshop.run(READER, [path, mode])).end();
        endings.push(status);
        if (status !== 0) continue;
        expect(JSON.parse(lines[0] ?? '{}')).toMatchObject({ rows: 0, wrote: true, quarantines: [{}] });
      }
      expect(endings.at(-1)).toBe(0);
    },
  );
});
