import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as real } from 'node:timers/promises';
import { CacheManager } from '../../lib/app/cache-app.js';
import { nextTurn } from '../../lib/clock/clock.js';
import { Caches } from '../support/caches.js';
import { Workshop } from '../support/child-process.js';
import { roundsOf } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

const ROUNDS = roundsOf(1, 10);
const DEADLINE_MS = 1_500;

/** Writes without pause, and says how far it is and which tiers turn off or on. */
const WRITER = `
import { createInterface } from 'node:readline';
import { CacheManager } from './lib/app/cache-app.js';
const [directory, deadline] = process.argv.slice(2);
const print = (line) => process.stdout.write(line + '\\n');
const logger = { log() {}, warn: (text) => print('warned ' + text), error: (text) => print('warned ' + text) };
const cache = await CacheManager.fromSettings({ directory, logger, storage: { minFreeBytes: 0, deadline: deadline + 'ms' } });
let isOver = false;
createInterface({ input: process.stdin }).once('line', () => (isOver = true));
for (let n = 0; !isOver; n++) {
  await Promise.all([cache.set('key:' + n, 'x'.repeat(10_000), { tags: ['t'] }), cache.snapshots.cacheCheckpoint('flow', { n })]);
  print('wrote ' + n);
}
await cache.flush();
const { l2, l3, refused } = cache.getMetrics();
print(JSON.stringify({ l2: l2.state, l3: l3.state, errors: l2.errors + l3.errors, backlog: refused.backlog }));
await cache.close();
process.exit(0);
`;

describe('a process that is stopped while it writes', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it(
    'for longer than the deadline of the disk goes on with all tiers, and blames no disk',
    async () => {
      const writer = await workshop.run(WRITER, [await bench.path('cache'), String(DEADLINE_MS)]);
      const lines: string[] = [];
      const write = async (count: number): Promise<void> => {
        for (let n = 0; n < count; n++) lines.push(await writer.line());
      };
      for (let round = 0; round < ROUNDS; round++) {
        await write(10);
        writer.signal('SIGSTOP');
        // the fact is about real time: the disk's deadline passes
        await real(DEADLINE_MS * 1.4);
        writer.signal('SIGCONT');
        await write(10);
      }
      writer.say('end');
      const { lines: last, status } = await writer.end();
      lines.push(...last);
      const report = lines.pop() ?? '';
      expect([status, JSON.parse(report)]).toEqual([0, { l2: 'on', l3: 'on', errors: 0, backlog: 0 }]);
      expect(lines.filter((line) => !line.startsWith('wrote '))).toEqual([]);
    },
    30_000 + ROUNDS * 10_000,
  );
});

const MOMENTS = 8;
const BLOCKED_MS = 1_200;

describe('a process that is held up while it writes', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it('for longer than the deadline of the disk blames no disk, at whatever moment of a write it happens', async () => {
    const warned: string[] = [];
    const logger = { log: () => undefined, warn: (text: string) => warned.push(text), error: () => undefined };
    const storage = { minFreeBytes: 0, deadline: '1s' } as const;
    const open = async (): Promise<CacheManager> =>
      caches.open({ directory: await caches.directory(), logger, storage });
    const apps = await Promise.all(Array.from({ length: MOMENTS }, open));
    const writing: Promise<unknown>[] = [];
    // each begins a turn of the event loop after the one before, so that each is at another moment of its writes
    for (const cache of apps) {
      writing.push(cache.set('key', 'x'.repeat(10_000), { tags: ['t'] }), cache.snapshots.cacheCheckpoint('flow', 1));
      await nextTurn();
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCKED_MS);
    await Promise.all(writing);
    await Promise.all(apps.map((cache) => cache.flush()));
    const states = apps
      .map((cache) => cache.getMetrics())
      .map(({ l2, l3 }) => [l2.state, l3.state, l2.errors, l3.errors]);
    expect(states).toEqual(apps.map(() => ['on', 'on', 0, 0]));
    expect(warned).toEqual([]);
  }, 30_000);
});
