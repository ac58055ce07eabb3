import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { edited, Workshop } from '../support/child-process.js';
import { FaultChild, nothingYet, type Seen } from '../support/fault-child.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

const KEYS = 150;
const BYTES = 6_000;
const badOf = ({ wrong, late, unhandled }: Seen): number => wrong + late + unhandled;

/** Holds a snapshot of L3, which keeps its pages from being used again, and one that nobody will ever give up. */
const HOLD = `
const { open } = await import('lmdb');
const root = open({ path: directory + '/l3', noSubdir: false, encoding: 'binary', maxDbs: 16 });
globalThis.held = root.useReadTransaction();
return 'held';
`;

/** Takes every slot for readers that there is; \`release\` gives them back. */
const TAKE_ALL = `
const { open } = await import('lmdb');
const root = open({ path: directory + '/l3', noSubdir: false, encoding: 'binary', maxDbs: 16 });
globalThis.taken = [];
// snapshots of one state share a place
try { for (let n = 0; n < 200; n++) { root.resetReadTxn(); taken.push(root.useReadTransaction()); root.getBinary('x'); await root.put('x' + n % 3, Buffer.of(n)); } } catch (error) { return String(error.message); }
return 'not full after ' + taken.length;
`;
const RELEASE = `for (const one of taken) one.done(); return 'released';`;

describe('a reader', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it('that is killed while it holds a snapshot does not keep the file growing', async () => {
    const rounds = roundsOf(4);
    const directory = await bench.path('cache');
    const file = join(directory, 'l3', 'data.mdb');
    const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0 };
    const sizes: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const acknowledged = nothingYet();
      const app = await FaultChild.start(workshop, { directory }, acknowledged);
      await app.ask('fill', { keys: KEYS, bytes: BYTES });
      await app.ask('run', HOLD.replaceAll('directory', JSON.stringify(directory)));
      for (let n = 0; n < KEYS; n++) await app.ask('invalidate', `key:${n}`);
      const seen: Seen = await app.ask('fill', { keys: KEYS, bytes: BYTES });
      sum.calls += seen.calls;
      sum.wrong += badOf(seen);
      if ((await app.end('SIGKILL')) !== 'SIGKILL') sum.crashes++;
      sizes.push((await stat(file)).size);
    }
    tell({ fault: 'F9 reader killed while it holds a snapshot', rounds, ...sum });
    expect(sum).toMatchObject({ wrong: 0, crashes: 0 });
    // each life may need what a snapshot pins once more, and spare room; what the dead had pinned is free
    const [first = 0] = sizes;
    expect({ sizes, isBounded: Math.max(...sizes) <= 2.5 * first + 2 * 1024 ** 2 }).toMatchObject({ isBounded: true });
  }, 600_000);

  it('for which there is no place misses, and finds what is there when there is one again', async () => {
    // LMDB makes as many places as its file has room for
    const few = edited('LOCK_BYTES = 65_536', 'LOCK_BYTES = 4_096');
    const small = edited('maxReaders: 512', 'maxReaders: 4');
    const edits = [
      ['lib/storage/lmdb/open-environment.ts', few],
      ['lib/storage/lmdb/lmdb-table.ts', small],
    ] as const;
    const crowded = await workshop.variant(new Map(edits));
    const directory = await bench.path('cache');
    const before = await FaultChild.start(crowded, { directory });
    await before.ask('fill', { keys: KEYS, bytes: 800 });
    await before.ask('close');
    await before.end('SIGTERM');
    const app = await FaultChild.start(crowded, { directory });
    const full: string = await app.ask('run', TAKE_ALL.replaceAll('directory', JSON.stringify(directory)));
    expect(full).toContain('MDB_READERS_FULL');
    const seen: Seen = await app.ask('check', { invalidated: [], keys: KEYS });
    await app.ask('run', RELEASE);
    expect(await app.ask('until', 'l3', 'on')).toBe('on');
    const after = await app.ask('check', { invalidated: [], keys: KEYS });
    const status = await app.end('SIGKILL');
    await crowded.dispose();
    const row = {
      calls: after.calls,
      wrong: badOf(after) + badOf(seen),
      lost: 0,
      crashes: status === 'SIGKILL' ? 0 : 1,
    };
    tell({ fault: 'F10 no place for another reader', rounds: 1, ...row });
    expect({ ...row, errors: app.child.errors }).toMatchObject({ wrong: 0, crashes: 0 });
  }, 120_000);
});
