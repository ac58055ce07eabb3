import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as real } from 'node:timers/promises';
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
