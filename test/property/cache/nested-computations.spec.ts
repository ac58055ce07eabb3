import { afterEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '../../../lib/testing/index.js';
import { seededRandom } from '../../../lib/testing/seeded-random.js';
import { Caches } from '../../support/caches.js';
import { roundsOf } from '../../support/fault-table.js';
import { NestedWorld } from '../../support/nested-world.js';

const FIRST_SEED = Number(process.env['LANE_CACHE_SEED'] ?? 1);
const ROUNDS = roundsOf(30, 1_000);
const STEPS = 60;

describe(`computations that nest, in ${ROUNDS} random histories from seed ${FIRST_SEED}`, () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const lanes = { standard: { l1: { maxEntries: 3 } }, docs: { l1: { maxEntries: 100 } } } as const;

  it.each([
    ['in memory', 2, 0],
    ['on disk', 2, 1],
  ])(
    'give no stale value, never run twice, and leave no caller without an answer, %s',
    async (_, every, offset) => {
      const tally: Record<string, number> = {};
      for (let round = offset; round < ROUNDS; round += every) {
        const seed = FIRST_SEED + round;
        const clock = new FakeClock();
        const directory = offset === 1 ? await caches.directory() : false;
        // The clock may run ahead of the disk.
        const storage = { deadline: '1w' } as const;
        const cache = await caches.open({ clock, lanes, directory, storage, checkpoints: false });
        const world = new NestedWorld(cache, clock, seededRandom(seed));
        for (let step = 0; step < STEPS; step++) await world.step();
        await world.end();
        await cache.flush();
        expect({ seed, violation: world.violation }).toEqual({ seed, violation: undefined });
        for (const [name, count] of Object.entries(world.tally)) tally[name] = (tally[name] ?? 0) + count;
        await caches.close();
      }
      for (const [name, count] of Object.entries(tally)) expect([name, count]).not.toEqual([name, 0]);
    },
    600_000,
  );
});
