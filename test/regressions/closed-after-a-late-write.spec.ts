import { afterEach, expect, it } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CheckpointDirectory } from '../../lib/app/checkpoint-directory.js';
import { nextTurn } from '../../lib/clock/clock.js';
import { CacheFolder } from '../../lib/storage/directory/cache-directory.js';
import { OpenDirectories } from '../../lib/storage/lmdb/open-environment.js';
import { HeardEvents } from '../support/checkpoints.js';
import { until } from '../support/gate.js';
import { Deadlines, holdingThreads } from '../support/held-threads.js';
import { RecordingReporter, StorageBench } from '../support/storage.js';

const bench = new StorageBench();
let deadlines = new Deadlines();
/** Processes that hold the lock on writes. One that is left would hold up this process for good. */
const holders: ChildProcess[] = [];

afterEach(async () => {
  for (const child of holders.splice(0)) child.kill('SIGKILL');
  deadlines = new Deadlines();
  await bench.dispose();
});

it('a folder of checkpoints of its own is no longer claimed once a write has ended that was late at the close', async () => {
  const checkpoints = await bench.path('checkpoints');
  const claims = (): Promise<readonly string[]> => readdir(`${checkpoints}.claims`);
  const opened = new OpenDirectories();
  const { clock } = deadlines;
  const directory = new CheckpointDirectory(
    {
      ...{ root: join(dirname(checkpoints), 'root'), checkpoints, clock, events: new HeardEvents(), opened },
      ...{ minFreeBytes: 0, deadlineMs: 1_000, labelsOf: () => [] },
    },
    () => Promise.resolve(),
    () => Promise.resolve(),
  );
  const store = await directory.open();
  expect(store.state).toEqual({ state: 'on' });
  await holdingThreads(await bench.path('pipes'), async () => {
    const draft = { id: 'a', lane: 'standard', savedAt: 1, sizeBytes: 1, checksum: '' };
    await deadlines.untilLate(store.save(draft, Uint8Array.of(1)));
    await store.close();
    expect(opened.isEmpty).toBe(false);
  });
  await opened.none();
  await until(async () => (await claims()).length === 0);
});

/** Whether this process has a data file open that was in the directory before. */
const isOpenStill = (directory: string): boolean =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .some((line) => line.includes(dirname(directory)) && line.endsWith('data.mdb (deleted)'));

/** Holds the lock on writes, as a disk does that hangs, until the returned function is called. */
async function holdWrites(directory: string): Promise<() => void> {
  const holding = `
    const root = require('lmdb').open({ path: process.argv[1], maxDbs: 9 });
    root.transactionSync(() => {
      process.stdout.write('held');
      try { require('node:fs').readSync(0, Buffer.alloc(1)); } catch {}
    });
    process.exit();`;
  const child = spawn(process.execPath, ['-e', holding, directory], { stdio: ['pipe', 'pipe', 'inherit'] });
  holders.push(child);
  await once(child.stdout, 'data');
  return () => child.stdin.end('x');
}

it('a folder that took the place of one with a late write counts as open when that write has ended', async () => {
  const directory = await bench.path('l3');
  const opened = new OpenDirectories();
  const folder = new CacheFolder({
    ...{ directory, durability: 'durable', clock: deadlines.clock, minFreeBytes: 0, deadlineMs: 1_000, opened },
  });
  const first = await folder.open(new RecordingReporter());
  const table = first.table('t');
  const letGo = await holdWrites(directory);
  await deadlines.untilLate(first.commit((transaction) => transaction.put(table, 'k', Uint8Array.of(1))));
  await first.close();
  await folder.discard();
  const second = await folder.open(new RecordingReporter());
  letGo();
  await until(() => !isOpenStill(directory));
  for (let turn = 0; turn < 100; turn++) await nextTurn();
  const isOpen = opened.has(directory);
  await second.close();
  expect(isOpen).toBe(true);
  expect(opened.isEmpty).toBe(true);
});
