import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { edited, Workshop } from '../support/child-process.js';
import { FaultChild, lostOf, nothingYet, type Seen } from '../support/fault-child.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

const KEYS = 100;
const badOf = ({ wrong, late, unhandled }: Seen): number => wrong + late + unhandled;

/** Opens the directory and closes it again, over and over, and reads a checkpoint each time. */
const OPENER = `
import { CacheManager } from './lib/app/cache-app.js';
const [directory, rounds] = process.argv.slice(2);
console.log('ready');
for (let n = 0; n < Number(rounds); n++) {
  const cache = await CacheManager.fromSettings({ directory, storage: { minFreeBytes: 0, sweepEvery: false } });
  await cache.getOrSet('opened:' + n, () => n);
  await cache.close();
}
console.log('done');
`;

/** Threads of one process, each an instance of its own, on one directory. */
const THREADS = `
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { once } from 'node:events';
const [directory, ending] = isMainThread ? process.argv.slice(2) : [workerData.directory, workerData.ending];
if (isMainThread) {
  const workers = [0, 1, 2].map((n) => new Worker(new URL(import.meta.url), { workerData: { directory, n, ending } }));
  const exits = workers.map((worker) => once(worker, 'exit'));
  const answers = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]));
  if (ending === 'terminate') await Promise.all(workers.map((worker) => worker.terminate()));
  await Promise.all(exits);
  console.log(JSON.stringify(answers));
} else {
  const { CacheManager } = await import('./lib/app/cache-app.js');
  const cache = await CacheManager.fromSettings({ directory, storage: { minFreeBytes: 0, sweepEvery: false } });
  let [wrong, unsure] = [0, 0];
  // two owners that end within one call leave its outcome open, and say so
  const save = (n) => cache.snapshots.cacheCheckpoint('flow', { n }).catch((error) => {
    if (error.code !== 'CHECKPOINTS_UNAVAILABLE') throw error;
    unsure++;
    return save(n);
  });
  for (let n = 0; n < 200; n++) {
    const key = 'key:' + (n % 40);
    const value = await cache.getOrSet(key, () => ({ key, thread: workerData.n }));
    if (value.key !== key) wrong++;
    if (n % 9 === 0) await cache.invalidate(key);
    if (n % 20 === 0) await save(n);
  }
  const { versions } = await cache.getCheckpointCacheStatus();
  parentPort.postMessage({ wrong, versions, unsure });
  if (ending === 'close') await cache.close();
  if (ending === 'exit') process.exit(0);
  if (ending === 'terminate') setInterval(() => undefined, 1_000);
}
`;

const canUnshare = (): boolean => {
  try {
    execFileSync('unshare', ['--pid', '--net', '--fork', '--mount-proc', 'true'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
};
const CONTAINER = ['unshare', '--pid', '--net', '--fork', '--kill-child', '--mount-proc'];

describe('a directory that several processes use', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it('survives a storm of openers while its owner writes', async () => {
    const directory = await bench.path('cache');
    const acknowledged = nothingYet();
    const owner = await FaultChild.start(workshop, { directory }, acknowledged);
    await owner.ask('start', { keys: KEYS });
    const rounds = roundsOf(8, 500);
    const openers = await Promise.all([1, 2].map(() => workshop.run(OPENER, [directory, String(rounds)])));
    for (const opener of openers) {
      expect(await opener.line()).toBe('ready');
      expect(await opener.line()).toBe('done');
      expect((await opener.end()).status).toBe(0);
    }
    const seen: Seen = await owner.ask('stop');
    const lost = await lostOf(owner, acknowledged);
    expect(await owner.ask('events')).toEqual([]);
    const status = await owner.end('SIGKILL');
    const row = { calls: seen.calls, wrong: badOf(seen) + seen.refused, lost, crashes: status === 'SIGKILL' ? 0 : 1 };
    tell({ fault: 'F3 storm of openers while the owner writes', rounds: 2 * rounds, ...row });
    expect(row).toMatchObject({ wrong: 0, lost: 0, crashes: 0 });
  }, 1_800_000);

  it.each(['close', 'kill'] as const)(
    'is handed over warm in a rolling restart (%s)',
    async (how) => {
      const rounds = roundsOf(2);
      const directory = await bench.path('cache');
      const acknowledged = nothingYet();
      const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0, recoveredInMs: 0 };
      let owner = await FaultChild.start(workshop, { directory }, acknowledged);
      await owner.ask('fill', { keys: KEYS, bytes: 800 });
      await owner.ask('invalidate', 'key:1');
      for (let round = 0; round < rounds; round++) {
        const heir = await FaultChild.start(workshop, { directory }, acknowledged);
        const leftAt = performance.now();
        if (how === 'close') await owner.ask('close');
        await owner.end(how === 'close' ? 'SIGTERM' : 'SIGKILL');
        expect(await heir.ask('until', 'l3', 'on')).toBe('on');
        sum.recoveredInMs = Math.max(sum.recoveredInMs, performance.now() - leftAt);
        const seen = await heir.ask('check', { invalidated: [...acknowledged.invalidated], keys: KEYS });
        // all but what had been invalidated, which was computed once since
        expect(seen.hits).toBe(round === 0 ? KEYS - 1 : KEYS);
        sum.calls += seen.calls;
        sum.wrong += badOf(seen) + seen.refused;
        await heir.ask('flush');
        owner = heir;
      }
      await owner.end('SIGKILL');
      tell({ fault: `F4 rolling restart, the owner is ${how === 'close' ? 'closed' : 'killed'}`, rounds, ...sum });
      expect(sum).toMatchObject({ wrong: 0, lost: 0, crashes: 0 });
    },
    1_800_000,
  );

  it('stays with a frozen owner while the other processes continue', async () => {
    const directory = await bench.path('cache');
    const acknowledged = nothingYet();
    const owner = await FaultChild.start(workshop, { directory }, acknowledged);
    await owner.ask('start', { keys: KEYS });
    await owner.hear(10);
    owner.child.signal('SIGSTOP');
    const other = await FaultChild.start(workshop, { directory }, acknowledged);
    // Keys of its own: the owner gets what the other computes once it is woken, and knows only its own rounds.
    const beside: Seen = await other.ask('fill', { from: 10_000, keys: KEYS, bytes: 800 });
    expect(await other.ask('state')).toEqual({ l1: 'on', l2: 'on', l3: 'off in-use' });
    owner.child.signal('SIGCONT');
    await owner.hear(10);
    const seen: Seen = await owner.ask('stop');
    const lost = await lostOf(owner, acknowledged);
    expect(await owner.ask('events')).toEqual([]);
    for (const app of [other, owner]) await app.end('SIGKILL');
    const row = { rounds: 1, calls: seen.calls + beside.calls, wrong: badOf(seen) + badOf(beside), lost, crashes: 0 };
    tell({ fault: 'F4 owner frozen and woken', ...row });
    expect(row).toMatchObject({ wrong: 0, lost: 0 });
  }, 60_000);

  it('stays with a process that closed its app over a disk that hangs, for as long as it lives', async () => {
    const hanging = edited('this.root.close().then(letGo)', 'new Promise(() => void letGo)');
    const stuck = await workshop.variant(new Map([['lib/storage/lmdb/lmdb-environment.ts', hanging]]));
    const directory = await bench.path('cache');
    const owner = await FaultChild.start(stuck, { directory });
    const seen: Seen = await owner.ask('fill', { keys: KEYS, bytes: 800 });
    expect(await owner.ask('close')).toBe('closed');
    const other = await FaultChild.start(workshop, { directory });
    expect(await other.ask('state')).toMatchObject({ l2: 'on', l3: 'off in-use' });
    const endedAt = performance.now();
    await owner.end('SIGKILL');
    expect(await other.ask('until', 'l3', 'on')).toBe('on');
    const recoveredInMs = performance.now() - endedAt;
    await other.end('SIGKILL');
    await stuck.dispose();
    const row = { rounds: 1, calls: seen.calls, wrong: badOf(seen), lost: 0, crashes: 0, recoveredInMs };
    tell({ fault: 'F4 owner closed over a disk that hangs', ...row });
    expect(row).toMatchObject({ wrong: 0 });
  }, 60_000);

  it.each(['takes over', 'is restarted'])(
    'serves nothing that a process beside the owner invalidated, when it %s',
    async (how) => {
      const directory = await bench.path('cache');
      const acknowledged = nothingYet();
      const owner = await FaultChild.start(workshop, { directory });
      await owner.ask('fill', { keys: KEYS, bytes: 800 });
      const other = await FaultChild.start(workshop, { directory }, acknowledged);
      await other.ask('invalidate', 'key:3');
      if (how === 'is restarted') await other.end('SIGKILL');
      await owner.end('SIGKILL');
      const heir = how === 'takes over' ? other : await FaultChild.start(workshop, { directory }, acknowledged);
      expect(await heir.ask('until', 'l3', 'on')).toBe('on');
      const seen = await heir.ask('check', { invalidated: [...acknowledged.invalidated], keys: KEYS });
      await heir.end('SIGKILL');
      tell({
        fault: `F4 the log is replayed: the process ${how}`,
        rounds: 1,
        calls: seen.calls,
        wrong: badOf(seen),
        lost: 0,
        crashes: 0,
      });
      expect({ wrong: badOf(seen), hits: seen.hits }).toEqual({ wrong: 0, hits: KEYS - 1 });
    },
    60_000,
  );

  it('is detected as owned from another container, and taken over from there', async () => {
    if (!canUnshare()) return console.warn('Containers are not tried: unshare is not permitted here.');
    const directory = await bench.path('cache');
    const acknowledged = nothingYet();
    const owner = await FaultChild.start(workshop, { directory }, acknowledged, CONTAINER);
    await owner.ask('fill', { keys: KEYS, bytes: 800 });
    const other = await FaultChild.start(workshop, { directory }, acknowledged, CONTAINER);
    expect(await other.ask('state')).toMatchObject({ l2: 'on', l3: 'on' });
    expect(await other.ask('save', 'flow', 7)).toBe(1);
    const killedAt = performance.now();
    await owner.end('SIGKILL');
    expect(await other.ask('until', 'l3', 'on')).toBe('on');
    const recoveredInMs = performance.now() - killedAt;
    const seen = await other.ask('check', { invalidated: [], keys: KEYS });
    expect(seen.hits).toBe(KEYS);
    expect(await other.ask('restore', 'flow', 1)).toBe(7);
    await other.end('SIGKILL');
    tell({
      fault: 'F10 two pid and network namespaces',
      rounds: 1,
      calls: seen.calls,
      wrong: badOf(seen),
      lost: 0,
      crashes: 0,
      recoveredInMs,
    });
    expect(badOf(seen)).toBe(0);
  }, 60_000);

  it('is found again after a reboot: what L3 acknowledged is there, what L2 held is not', async () => {
    const directory = await bench.path('cache');
    const acknowledged = nothingYet();
    const app = await FaultChild.start(workshop, { directory }, acknowledged);
    await app.ask('fill', { keys: KEYS, bytes: 800 });
    await app.ask('save', 'flow', 7);
    await app.end('SIGKILL');
    // after a reboot, claims speak of another boot, and sockets answer nobody
    const claims = join(directory, 'claims');
    for (const name of (await readdir(claims)).filter((one) => one.endsWith('.claim'))) {
      await writeFile(join(claims, name), JSON.stringify({ pid: 1, host: 'here', bootId: 'another' }));
      execFileSync('touch', ['-d', '1 hour ago', join(claims, name)]);
    }
    const startedAt = performance.now();
    const again = await FaultChild.start(workshop, { directory }, acknowledged);
    const recoveredInMs = performance.now() - startedAt;
    expect(await again.ask('state')).toEqual({ l1: 'on', l2: 'on', l3: 'on' });
    expect(await readdir(join(directory, 'sessions'))).toHaveLength(1);
    const seen = await again.ask('check', { invalidated: [], keys: KEYS });
    expect(seen.hits).toBe(KEYS);
    expect(await again.ask('restore', 'flow', 1)).toBe(7);
    await again.end('SIGKILL');
    tell({
      fault: 'F11 another boot',
      rounds: 1,
      calls: seen.calls,
      wrong: badOf(seen),
      lost: 0,
      crashes: 0,
      recoveredInMs,
    });
    expect(badOf(seen)).toBe(0);
  }, 60_000);

  it.each(['close', 'exit', 'terminate'] as const)(
    'is shared by worker threads, which end by %s',
    async (ending) => {
      const rounds = roundsOf(1, 20);
      const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0 };
      for (let round = 0; round < rounds; round++) {
        const directory = await bench.path('cache');
        const child = await workshop.run(THREADS, [directory, ending]);
        const { status, lines } = await child.end();
        expect({ status, errors: child.errors }).toEqual({ status: 0, errors: '' });
        const answers: { wrong: number; versions: number; unsure: number }[] = JSON.parse(lines[0] ?? '[]');
        expect(answers).toHaveLength(3);
        // all save into one store, whose last one sees them all
        const versions = Math.max(...answers.map((answer) => answer.versions));
        const unsure = answers.reduce((total, answer) => total + answer.unsure, 0);
        expect(versions).toBeGreaterThanOrEqual(30);
        expect(versions).toBeLessThanOrEqual(30 + unsure);
        sum.calls += 3 * 233;
        sum.wrong += answers.reduce((total, { wrong }) => total + wrong, 0);
        const after = await FaultChild.start(workshop, { directory });
        expect(await after.ask('state')).toEqual({ l1: 'on', l2: 'on', l3: 'on' });
        expect(await after.ask('restore', 'flow', 30)).not.toBeNull();
        await after.end('SIGKILL');
      }
      tell({ fault: `F18 worker threads that end by ${ending}`, rounds, ...sum });
      expect(sum).toMatchObject({ wrong: 0, lost: 0, crashes: 0 });
    },
    1_800_000,
  );
});
