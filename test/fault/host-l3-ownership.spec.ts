import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';
import { StorageBench } from '../support/storage.js';

/** Reads the newest version and saves the next one, over and over, until the id has so many; says how often it won. */
const RACER = `
import { CacheManager } from './lib/app/cache-app.js';
const [directory, versions, loops] = process.argv.slice(2);
const cache = await CacheManager.fromSettings({ directory, storage: { minFreeBytes: 0, sweepEvery: false } });
console.log('ready');
process.stdin.once('data', async () => {
  let won = 0;
  const race = async () => {
    for (;;) {
      const version = (await cache.snapshots.getCheckpoint('flow'))?.version ?? 0;
      if (version >= Number(versions)) return;
      await cache.snapshots.cacheCheckpoint('flow', { by: process.pid }, { expectedVersion: version }).then(
        () => won++,
        (error) => { if (error.code !== 'CHECKPOINT_CONFLICT') throw error; },
      );
    }
  };
  await Promise.all(Array.from({ length: Number(loops) }, race));
  console.log(won);
});
`;

/** Waits for the owner's end by its connection alone. */
const OBSERVER = `
import { socketLiveness } from './lib/ipc/socket.js';
setInterval(() => undefined, 1_000);
if (process.argv[3] === 'hold') {
  await socketLiveness.hold(process.argv[2]);
  console.log('held');
} else {
  socketLiveness.whenEnded(process.argv[2], () => console.log('ended'));
  console.log('observes');
}
`;

describe('processes of one directory', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it('win a race for the versions of one checkpoint alike, also against the owner', async () => {
    const directory = await bench.path('cache');
    const racers = [];
    for (const loops of [4, 1, 1]) {
      const racer = await workshop.run(RACER, [directory, '90', String(loops)]);
      expect(await racer.line()).toBe('ready');
      racers.push(racer);
    }
    for (const racer of racers) racer.say('go');
    const wins = await Promise.all(racers.map(async (racer) => Number(await racer.line())));
    for (const racer of racers) await racer.end('SIGKILL');
    expect(wins.reduce((sum, won) => sum + won)).toBe(90);
    expect(Math.max(...wins) / Math.min(...wins)).toBeLessThan(3);
  }, 60_000);

  it('learn of the end of an owner that was killed, and not of one that is frozen', async () => {
    const path = `${await bench.path()}.sock`;
    const owner = await workshop.run(OBSERVER, [path, 'hold']);
    expect(await owner.line()).toBe('held');
    const other = await workshop.run(OBSERVER, [path, 'observe']);
    expect(await other.line()).toBe('observes');
    owner.signal('SIGSTOP');
    const late = await workshop.run(OBSERVER, [path, 'observe']);
    expect(await late.line()).toBe('observes');
    await owner.end('SIGKILL');
    for (const observer of [other, late]) {
      expect(await observer.line()).toBe('ended');
      expect((await observer.end('SIGKILL')).lines).toEqual([]);
    }
  }, 60_000);
});
