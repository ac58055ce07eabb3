import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

/** Lives of an app in one process, each under load, each with its persistent tier taken away once. */
const LIVES = `
import { readdirSync, rmSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { CacheManager } from './lib/app/cache-app.js';
const [directory, rounds] = process.argv.slice(2);
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');
let [calls, wrong, unhandled] = [0, 0, 0];
process.on('unhandledRejection', () => unhandled++);
const settle = async () => { for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve)); };
const measure = async () => {
  await settle();
  gc();
  const descriptors = process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
  return { descriptors, handles: process.getActiveResourcesInfo().filter((name) => name !== 'Immediate').length, heap: process.memoryUsage().heapUsed };
};
const life = async (round) => {
  const cache = await CacheManager.fromSettings({ directory, lanes: { standard: { l1: { maxEntries: 50 } } }, storage: { minFreeBytes: 0, sweepEvery: '1s' }, checkpoints: { cleanup: false } });
  for (let n = 0; n < 400; n++) {
    const key = 'key:' + (n * 7) % 150;
    const value = await cache.getOrSet(key, () => ({ key, text: key.repeat(100) }), { tags: ['tag:' + n % 9] });
    calls++;
    if (value.key !== key) wrong++;
    if (n % 10 === 0) await cache.invalidate(key);
    if (n % 25 === 0) await cache.invalidateByTag('tag:' + n % 9);
    if (n % 40 === 0) await cache.snapshots.cacheCheckpoint('flow', { n });
    if (n === 200 && round % 3 === 0) rmSync(directory + '/l3', { recursive: true, force: true });
  }
  await cache.snapshots.cleanupOldCheckpoints({ maxAgeDays: 0, keepLast: 5 });
  await cache.sweep();
  await cache.close();
};
for (let round = 0; round < 3; round++) await life(round);
const before = await measure();
for (let round = 0; round < Number(rounds); round++) await life(round);
const after = await measure();
console.log(JSON.stringify({ calls, wrong: wrong + unhandled, before, after }));
`;

const MEGABYTE = 1024 * 1024;

describe('a process', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it('in which apps live and end has as many handles and as much memory as before', async () => {
    const rounds = roundsOf(6);
    const child = await workshop.run(LIVES, [await bench.path('cache'), String(rounds)]);
    const { status, lines } = await child.end();
    const { calls, wrong, before, after } = JSON.parse(lines[0] ?? '{}');
    tell({
      fault: 'F20 handles and memory over many lives',
      rounds,
      calls,
      wrong,
      lost: 0,
      crashes: status === 0 ? 0 : 1,
    });
    expect({ status, wrong, errors: child.errors }).toEqual({ status: 0, wrong: 0, errors: '' });
    expect(after).toMatchObject({ descriptors: before.descriptors, handles: before.handles });
    expect({ before, after, isFlat: after.heap - before.heap < 4 * MEGABYTE }).toMatchObject({ isFlat: true });
  }, 900_000);
});
