import { inside } from '../inside.mjs';
import { CacheManager } from '../library.mjs';
import { race } from '../race.mjs';
import { atMost, row } from '../row.mjs';
import { keys, smallObject } from '../values.mjs';

const COUNT = 500;
const KEYS = keys(COUNT);
const COSTS = Array.from({ length: 8 }, (_, index) => index * 1.7);

/**
 * What counting costs a hit in memory: the counting of one hit by itself, the loop around it included, beside the whole
 * hit. To leave it out of a hit and measure again says less: two copies of one program differ by more than this.
 */
export async function counting() {
  const { LaneCounters } = await inside('metrics/lane-counters');
  const cache = await CacheManager.fromSettings({ directory: false });
  const lanes = [new LaneCounters(), new LaneCounters(), new LaneCounters()];
  const hit = (index) => cache.getOrSet(KEYS[index % COUNT], () => smallObject(index));
  const count = (index) => lanes[index % 3].hit('key', 'l1', COSTS[index % 8]);
  for (let index = 0; index < COUNT; index++) await hit(index);
  const took = await race([
    { name: 'a hit', turn: hit },
    { name: 'the counting of it', turn: count, synchronous: true },
  ]);
  await cache.close();
  const [whole, part] = took.values();
  return row('Counting an L1 hit', 'ns', took, [atMost(part, whole, 0.05, 'the hit')]);
}
