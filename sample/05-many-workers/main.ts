import Table from 'cli-table3';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Load } from './load.js';
import type { Report } from './messages.js';
import { Supplier } from './supplier.js';
import { Workers } from './workers.js';

const WORKERS = 4;
const REQUESTS_OF_A_PHASE = 1_000;

/** Four workers behind one port share a directory, while one is killed and all are replaced. */
async function main(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'many-workers-'));
  const supplier = await Supplier.open();
  const workers = new Workers([directory, supplier.url]);
  const load = new Load(() => workers.port, supplier);
  try {
    for (let started = 0; started < WORKERS; started++) await workers.start();
    load.begin();
    await load.requests(REQUESTS_OF_A_PHASE);
    print(`${WORKERS} workers behind one port, one directory`, await workers.reports());

    const withoutMs = await killOwner(workers);
    console.log(`\nThe owner was killed. Another worker had L3 again after ${withoutMs} ms.`);
    await workers.start();
    await load.requests(REQUESTS_OF_A_PHASE);
    const cutByKill = load.seen.cut;

    for (const worker of [...workers.all]) await workers.replace(worker);
    // What was computed between two owners is in one worker only, until another one is asked for it.
    await untilServed(workers);
    await load.requests(2 * REQUESTS_OF_A_PHASE);
    await load.end();
    await workers.flush();
    const asked = supplier.asked;
    await load.askForAll();
    const { requests, changes, stale, cut } = load.seen;
    print('\nAfter a rolling restart under load', await workers.reports());
    const summary = new Table();
    summary.push(
      ['requests', requests],
      ['computations, of all workers', await workers.computed()],
      ['announced changes', changes],
      ['stale answers', stale],
      ['requests cut by the kill, and sent again', cutByKill],
      ['requests cut by the restart, and sent again', cut - cutByKill],
      ['computations when all is asked for after the restart', supplier.asked - asked],
    );
    console.log(summary.toString());
    // A connection that the primary hands to a worker in its last step is cut, and sent again: that is no fault of the cache.
    if (stale > 0 || supplier.asked > asked) process.exitCode = 1;
    await workers.stop();
  } finally {
    supplier.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Kills the worker that owns the directory. Returns how long the others were without L3. */
async function killOwner(workers: Workers): Promise<number> {
  const reports = await workers.reports();
  const owner = workers.all[reports.findIndex(({ role }) => role === 'owner')];
  if (owner === undefined) throw new Error('No worker owns the directory.');
  await workers.kill(owner);
  const killedAt = performance.now();
  await untilServed(workers);
  return Math.round(performance.now() - killedAt);
}

/** Resolves when one worker owns the directory, and all have L3. */
async function untilServed(workers: Workers): Promise<void> {
  const isServed = ({ l3 }: Report): boolean => l3 === 'on';
  const isOwned = (all: readonly Report[]): boolean => all.some(({ role }) => role === 'owner');
  for (let all: readonly Report[] = []; !isOwned(all) || !all.every(isServed);) {
    await pause(5);
    all = await workers.reports();
  }
}

function print(title: string, reports: readonly Report[]): void {
  const table = new Table({ head: ['worker', 'role', 'requests', 'computed', 'from L1', 'from L2', 'from L3'] });
  for (const [index, { role, requests, computed, hits }] of reports.entries()) {
    table.push([index + 1, role ?? '-', requests, computed, hits.l1, hits.l2, hits.l3]);
  }
  console.log(`${title}\n${table.toString()}`);
}

await main();
