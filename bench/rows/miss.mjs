import { open } from 'lmdb';
import { Packr } from 'msgpackr';
import { CacheManager } from '../library.mjs';
import { median } from '../race.mjs';
import { atMost, row } from '../row.mjs';
import { oneKilobyte } from '../values.mjs';

const WARM_UP = 4;
const ROUNDS = 9;
const MISSES = 2_000;

/** Fresh keys, 1 KB, L1 to L3 on, against encoding the value and a batched put into one database. */
export async function miss(scratch) {
  const values = Array.from({ length: MISSES }, (_, index) => oneKilobyte(index));
  const contestants = [await ours(scratch, values), rawLmdb(scratch, values)];
  const took = new Map(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    for (const { name, fill } of contestants) {
      const startedAt = performance.now();
      await fill(round);
      if (round >= WARM_UP) took.get(name).push(((performance.now() - startedAt) / MISSES) * 1e6);
    }
  }
  const medians = new Map([...took].map(([name, all]) => [name, median(all)]));
  return row('miss, 1 KB, L1 to L3 on', 'ns', medians, [
    atMost(
      medians.get('nestjs-lane-cache'),
      medians.get('msgpackr + lmdb put'),
      4,
      'encoding it and a batched raw lmdb put',
    ),
  ]);
}

async function ours(scratch, values) {
  const cache = await CacheManager.fromSettings({ lane: 'standard', directory: scratch.directory() });
  scratch.onEnd(() => cache.close());
  const fill = async (round) => {
    for (const [index, value] of values.entries()) await cache.getOrSet(`${round}:${index}`, () => value);
    await cache.flush();
  };
  return { name: 'nestjs-lane-cache', fill };
}

function rawLmdb(scratch, values) {
  const database = open({ path: scratch.directory(), encoding: 'binary', cache: false, overlappingSync: false });
  scratch.onEnd(() => database.close());
  const packr = new Packr({ structuredClone: true });
  const fill = async (round) => {
    await Promise.all(values.map((value, index) => database.put(`${round}:${index}`, packr.pack(value))));
  };
  return { name: 'msgpackr + lmdb put', fill };
}
