import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';
import { StorageBench } from '../support/storage.js';

const ROUNDS = Number(process.env['LANE_CACHE_ROUNDS'] ?? 4);

/** Writes pairs of rows without pause and says which are acknowledged. */
const WRITER = `
import { systemClock } from './lib/clock/clock.js';
import { openEnvironment } from './lib/storage/lmdb/open-environment.js';
const [directory, durability, round] = process.argv.slice(2);
const quarantined = (_directory, _movedTo, cause) => console.log('quarantined ' + cause);
const environment = await openEnvironment({ directory, durability, clock: systemClock, minFreeBytes: 0,
  report: { fault() {}, quarantined }, onMarkerLeft: 'probe' });
const [left, right] = [environment.table('left'), environment.table('right')];
const write = async (worker) => {
  for (let n = 0; ; n++) {
    const key = [Number(round), worker, n];
    const value = Buffer.alloc(30 + (n * 7919) % 20_000, n);
    await environment.commit((transaction) => {
      transaction.put(left, key, value);
      transaction.put(right, key, value);
      if (n > 20 && n % 3 === 0) transaction.remove(left, [Number(round), worker, n - 20]);
      if (n > 20 && n % 3 === 0) transaction.remove(right, [Number(round), worker, n - 20]);
    });
    process.stdout.write(key.join(' ') + '\\n');
  }
};
await Promise.all([0, 1, 2, 3].map(write));
`;

describe('a writer that is killed', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it.each(['durable', 'session'] as const)(
    `leaves whole transactions, and all that were acknowledged (%s, ${ROUNDS} rounds)`,
    async (durability) => {
      const path = await bench.path();
      for (let round = 0; round < ROUNDS; round++) {
        const child = await workshop.run(WRITER, [path, durability, String(round)]);
        const acknowledged: string[] = [];
        for (let n = 0; n < 100 + 37 * (round % 5); n++) acknowledged.push(await child.line());
        const { lines } = await child.end('SIGKILL');
        acknowledged.push(...lines);

        const { environment, report } = await bench.environment(path, { durability, onMarkerLeft: 'probe' });
        const rows = (name: string): string[] =>
          [...environment.table(name).keys({ start: [round], end: [round + 1] })].map((key) => [key].flat().join(' '));
        const [left, right] = [rows('left'), rows('right')];
        expect(right).toEqual(left);
        const there = new Set(left);
        const lost = acknowledged.filter((key) => {
          const [, worker, n] = key.split(' ').map(Number);
          const removed = there.has(`${round} ${worker} ${(n ?? 0) + 20}`) || ((n ?? 0) + 20) % 3 === 0;
          return !there.has(key) && !removed;
        });
        expect({ lost, report }).toEqual({ lost: [], report: { faults: [], quarantines: [] } });
        await environment.close();
      }
    },
    60_000 + ROUNDS * 20_000,
  );
});
