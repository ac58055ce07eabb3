import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { edited, Workshop } from '../support/child-process.js';
import { noise, overwrite } from '../support/damage.js';
import { FaultChild, lostOf, nothingYet, type Acknowledged } from '../support/fault-child.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

const PAGE = 4_096;
const KEYS = 300;
const CHECKPOINTS = 40;

const DAMAGES: readonly (readonly [string, (file: string, size: number) => Promise<void>])[] = [
  ['its beginning', (file) => truncate(file, 8 * PAGE)],
  ['nothing at all', (file) => truncate(file, 0)],
  ['100 bytes', (file) => truncate(file, 100)],
  ['the meta pages', (file) => truncate(file, 2 * PAGE)],
  ['a first page of zeros', (file) => overwrite(file, 0, new Uint8Array(PAGE))],
  ['meta pages of zeros', (file) => overwrite(file, 0, new Uint8Array(2 * PAGE))],
  ['a text', (file) => writeFile(file, 'This is no database.\n'.repeat(9_000))],
  ['noise', (file, size) => overwrite(file, 0, noise(1, size))],
  ['noise behind the meta pages', (file, size) => overwrite(file, 2 * PAGE, noise(2, size - 2 * PAGE))],
];

/** How many apps run at once: each mostly waits for its disk and its process. */
const AT_ONCE = 3;

/** Tries every one on a directory of its own, a few at once. */
const tryEach = async <T>(all: readonly T[], attempt: (one: T, at: number) => Promise<void>): Promise<void> => {
  const left = all.entries();
  const tryOn = async () => {
    for (const [at, one] of left) await attempt(one, at);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, tryOn));
};

const roundsFrom0 = (rounds: number): readonly number[] => Array.from({ length: rounds }, (_, round) => round);

/** What a page of a data file is: the same kinds of damage do different harm to each. */
const kindOf = (bytes: Buffer, page: number): string => {
  const flags = bytes.readUInt16LE(page * PAGE + 18);
  if ((flags & 0x08) !== 0) return 'meta';
  if ((flags & 0x01) !== 0) return 'branch';
  if ((flags & 0x02) !== 0) return 'leaf';
  return (flags & 0x04) === 0 ? 'inside' : 'overflow';
};

describe('a data file that is damaged', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  let pristine: string;
  let acknowledged: Acknowledged;
  beforeAll(async () => {
    workshop = await Workshop.build();
    pristine = await bench.path('pristine');
    acknowledged = nothingYet();
    const app = await FaultChild.start(workshop, { directory: pristine }, acknowledged);
    await app.ask('fill', { keys: KEYS, bytes: 3_000 });
    for (let n = 0; n < 20; n++) await app.ask('invalidate', `key:${n * 7}`);
    for (let n = 0; n < CHECKPOINTS; n++) acknowledged.saved.set(`flow ${await app.ask('save', 'flow', n)}`, n);
    await app.ask('close');
    await app.end('SIGTERM');
  });
  afterAll(async () => {
    await workshop.dispose();
    await bench.dispose();
  });

  const damaged = async (
    folders: readonly string[],
    damage: (file: string, size: number) => Promise<void>,
  ): Promise<string> => {
    const directory = await bench.path('cache');
    await cp(pristine, directory, {
      recursive: true,
      preserveTimestamps: true,
      filter: (path) => !path.endsWith('.sock'),
    });
    for (const folder of folders) {
      const file = join(directory, folder, 'data.mdb');
      await damage(file, (await stat(file)).size);
    }
    return directory;
  };

  /** Uses the directory by one app after the other; how many calls were wrong, and whether each start survived. */
  const use = async (directory: string, starts: number) => {
    const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0, events: [] as string[] };
    for (let start = 0; start < starts; start++) {
      const app = await FaultChild.start(workshop, { directory }, acknowledged).catch((error: unknown) => {
        sum.events.push(String(error));
      });
      if (app === undefined) {
        sum.crashes++;
        continue;
      }
      try {
        const seen = await app.ask('check', { invalidated: [...acknowledged.invalidated], keys: KEYS, bytes: 3_000 });
        sum.calls += seen.calls;
        sum.wrong += seen.wrong + seen.unhandled + seen.late;
        await app.ask('until', 'l3', 'on');
        if (start === 0) sum.events = await app.ask('events');
        if (start === 0) sum.events.push(...(await app.ask('logged')));
        await app.ask('close');
      } catch (error) {
        sum.crashes++;
        sum.events.push(String(error));
      }
      await app.end('SIGKILL');
    }
    return sum;
  };

  it('is set aside, and the app starts, once and again (all kinds)', async () => {
    const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0 };
    let rounds = 0;
    const folders = ['l3', 'checkpoints'];
    await tryEach(DAMAGES, async ([what, damage], at) => {
      // both at once: each is found, set aside and named by itself
      const directory = await damaged(folders, damage);
      // what was set aside is out of the way of any further start, so that a few are enough
      const starts = at % 3 === 0 ? 2 : roundsOf(1, 2);
      rounds += starts;
      const used = await use(directory, starts);
      for (const count of ['calls', 'wrong', 'lost', 'crashes'] as const) sum[count] += used[count];
      const names = await readdir(directory);
      const aside = folders.map((folder) => names.filter((name) => name.startsWith(`${folder}.bad-`)).length);
      const reports = used.events.filter((event) => event.includes('damaged'));
      const seen = { what, aside, reports: reports.length, ...used };
      expect(seen).toEqual({ ...seen, aside: [1, 1], reports: 2, wrong: 0, crashes: 0 });
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    });
    tell({ fault: 'F6 truncated, zeroed, foreign, random data.mdb', rounds, ...sum });
  }, 240_000);

  it('in single pages gives a miss or the same value, never a wrong one', async () => {
    const file = await readFile(join(pristine, 'l3', 'data.mdb'));
    const pages = new Map<string, number[]>();
    for (let page = 2; page < file.length / PAGE; page++) {
      const kind = kindOf(file, page);
      pages.set(kind, [...(pages.get(kind) ?? []), page]);
    }
    const rounds = roundsOf(3, 60);
    const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0 };
    await tryEach(roundsFrom0(rounds), async (round) => {
      const kinds = [...pages.keys()].filter((kind) => kind !== 'meta');
      const candidates = pages.get(kinds[round % kinds.length] ?? 'leaf') ?? [];
      const page = candidates[(round * 7_919) % candidates.length] ?? 2;
      const bytes = round % 3 === 0 ? noise(round, PAGE) : round % 3 === 1 ? new Uint8Array(PAGE) : noise(round, 64);
      const at = page * PAGE + (round % 3 === 2 ? (round * 613) % (PAGE - 64) : 0);
      const directory = await damaged(['l3'], (path) => overwrite(path, at, bytes));
      const used = await use(directory, 2);
      for (const count of ['calls', 'wrong', 'lost', 'crashes'] as const) sum[count] += used[count];
      expect({ round, page, ...used }).toEqual({ round, page, ...used, wrong: 0, crashes: 0 });
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    });
    tell({ fault: 'F7 damaged pages of L3', rounds, ...sum });
  }, 600_000);

  it('of checkpoints returns what was saved, or an error', async () => {
    const size = (await stat(join(pristine, 'checkpoints', 'data.mdb'))).size;
    const rounds = roundsOf(2, 60);
    const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0 };
    await tryEach(roundsFrom0(rounds), async (round) => {
      const page = 2 + ((round * 7_919) % (size / PAGE - 2));
      const directory = await damaged(['checkpoints'], (path) => overwrite(path, page * PAGE, noise(round, PAGE)));
      const app = await FaultChild.start(workshop, { directory }, acknowledged).catch(() => undefined);
      if (app === undefined) {
        sum.crashes++;
        return;
      }
      for (const [name, n] of acknowledged.saved) {
        sum.calls++;
        const restored = await app.ask('restore', 'flow', Number(name.split(' ')[1])).catch((error: unknown) => {
          if (!/CHECKPOINT|UNSUPPORTED/.test(String(error))) throw error;
          return 'refused';
        });
        if (restored !== n && restored !== 'refused' && restored !== null) sum.wrong++;
      }
      // writing goes through pages that reading does not
      for (let n = 0; n < 20; n++) {
        sum.calls++;
        await app.ask('save', 'later', n).catch((error: unknown) => {
          if (!/CHECKPOINT/.test(String(error))) sum.crashes++;
        });
      }
      await app.end('SIGKILL');
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    });
    tell({ fault: 'F7 damaged pages of checkpoints', rounds, ...sum });
    expect(sum).toMatchObject({ wrong: 0, crashes: 0 });
  }, 600_000);

  it('of checkpoints, used by writers alone, can be restored from and kills no process', async () => {
    const deadly = edited(
      "table.putSync('probe', Buffer",
      "process.kill(process.pid, 'SIGSEGV'), table.putSync('probe', Buffer",
    );
    const mined = await workshop.variant(new Map([['lib/storage/lmdb/probe.ts', deadly]]));
    const directory = await damaged(['checkpoints'], (file) => rm(join(file, '..', 'closed')));
    for (const ending of ['close', 'SIGKILL']) {
      const app = await FaultChild.start(mined, { directory }, acknowledged);
      expect(await lostOf(app, acknowledged)).toBe(0);
      await expect(app.ask('save', 'later', 1)).rejects.toThrow('CHECKPOINTS_UNAVAILABLE');
      if (ending === 'close') await app.ask('close');
      expect(await app.end('SIGKILL')).toBe('SIGKILL');
    }
    await mined.dispose();
    expect((await readdir(directory)).filter((name) => /checkpoints\./.test(name))).toEqual([]);
  }, 60_000);

  it('at no place at all opens with everything in it', async () => {
    const directory = await damaged(['l3'], () => Promise.resolve());
    const app = await FaultChild.start(workshop, { directory }, acknowledged);
    const seen = await app.ask('check', { invalidated: [...acknowledged.invalidated], keys: KEYS, bytes: 3_000 });
    expect({ hits: seen.hits, wrong: seen.wrong, lost: await lostOf(app, acknowledged) }).toEqual({
      hits: KEYS - 20,
      wrong: 0,
      lost: 0,
    });
    await app.end('SIGKILL');
  }, 60_000);
});
