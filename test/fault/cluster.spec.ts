import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

/**
 * Four workers of Node's cluster on one directory, which save into the same workflow; again and again one of them, often
 * the owner, is killed, and another one started. Every acknowledged version must be there, once, as it was saved.
 */
const CLUSTER = `
import cluster from 'node:cluster';
import { CacheManager } from './lib/app/cache-app.js';
const [directory, rounds] = process.argv.slice(2);
const settings = { directory, storage: { minFreeBytes: 0, sweepEvery: false } };
if (cluster.isPrimary) {
  const acknowledged = new Map();
  let [calls, twice, refused] = [0, 0, 0];
  let [heard, wanted, go] = [0, 0, () => undefined];
  cluster.on('message', (worker, message) => {
    calls++;
    if (message.refused) { refused++; process.stderr.write(message.refused + '\\n'); return; }
    if (acknowledged.has(message.version)) twice++;
    acknowledged.set(message.version, message.n);
    if (++heard >= wanted) go();
  });
  const saves = (count) => new Promise((resolve) => { wanted = heard + count; go = resolve; });
  const workers = Array.from({ length: 4 }, () => cluster.fork());
  await saves(20);
  let crashes = 0;
  for (let round = 0; round < Number(rounds); round++) {
    const [victim] = workers.splice(round % 2 === 0 ? 0 : round % 4, 1);
    if (victim.isDead()) crashes++;
    const gone = new Promise((resolve) => victim.once('exit', resolve));
    victim.process.kill('SIGKILL');
    await gone;
    workers.push(cluster.fork());
    await saves(20);
  }
  crashes += workers.filter((worker) => worker.isDead()).length;
  for (const worker of workers) worker.process.kill('SIGKILL');
  const cache = await CacheManager.fromSettings(settings);
  let lost = 0;
  for (const [version, n] of acknowledged) if ((await cache.snapshots.restoreCheckpoint('flow', { version }))?.n !== n) lost++;
  await cache.close();
  console.log(JSON.stringify({ calls, wrong: twice + refused, lost, crashes }));
  process.exit(0);
} else {
  const cache = await CacheManager.fromSettings(settings);
  for (let i = 0; ; i++) {
    const n = process.pid + ' ' + i;
    await cache.snapshots.cacheCheckpoint('flow', { n, body: 'x'.repeat((i * 7919) % 20000) }).then(
      ({ version }) => process.send({ version, n }),
      (error) => process.send({ refused: error.code + ' ' + error.message }),
    );
  }
}
`;

/** Two workers that listen in one place, one after the other. */
const LISTENERS = `
import cluster from 'node:cluster';
import { once } from 'node:events';
import { systemClock } from './lib/clock/clock.js';
import { IpcServer } from './lib/ipc/server.js';
import { socketLiveness } from './lib/ipc/socket.js';
const [directory] = process.argv.slice(2);
if (cluster.isPrimary) {
  const answers = [];
  for (let n = 0; n < 2; n++) answers.push((await once(cluster.fork(), 'message'))[0]);
  console.log(JSON.stringify(answers));
  process.exit(0);
} else {
  const outcome = (listening) => listening.then(() => 'listens', (error) => error.code);
  process.send([
    await outcome(socketLiveness.hold(directory + '.held')),
    await outcome(IpcServer.listen(directory + '.asked', new Map(), systemClock)),
  ]);
  setInterval(() => undefined, 1_000);
}
`;

describe('workers of a cluster', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it('save into one store, and lose nothing, whichever of them is killed', async () => {
    const rounds = roundsOf(3);
    const child = await workshop.run(CLUSTER, [await bench.path('cache'), String(rounds)]);
    const { status, lines } = await child.end();
    const row = JSON.parse(lines[0] ?? '{}');
    tell({ fault: 'F2 cluster of four with one checkpoint store, killed in turn', rounds, ...row });
    expect({ status, ...row, errors: child.errors }).toMatchObject({
      status: 0,
      wrong: 0,
      lost: 0,
      crashes: 0,
      errors: '',
    });
  }, 900_000);

  it('listen for themselves', async () => {
    const child = await workshop.run(LISTENERS, [await bench.path('s')]);
    const { lines } = await child.end();
    expect(JSON.parse(lines[0] ?? '[]')).toEqual([
      ['listens', 'listens'],
      ['EADDRINUSE', 'EADDRINUSE'],
    ]);
  }, 60_000);
});
