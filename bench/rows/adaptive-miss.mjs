import { CacheManager } from '../library.mjs';
import { median } from '../race.mjs';
import { row, under } from '../row.mjs';
import { smallObject } from '../values.mjs';

const ROUNDS = 15;
const MISSES = 20_000;

/** What a miss costs more, in time of the processor, in a full lane that evicts by `adaptive`: memory alone, a small object. */
export async function adaptiveMiss(scratch) {
  const lanes = { lru: { extends: 'standard' }, adaptive: { extends: 'standard', eviction: 'adaptive' } };
  const cache = await CacheManager.fromSettings({ lane: 'lru', directory: false, logger: false, lanes });
  scratch.onEnd(() => cache.close());
  let made = 0;
  /** Microseconds of the processor for each miss. */
  const missesOf = async (lane) => {
    const manager = cache.forLane(lane);
    globalThis.gc?.();
    const startedAt = process.cpuUsage();
    for (let miss = 0; miss < MISSES; miss++) await manager.getOrSet(`key:${made++}`, () => smallObject(miss));
    const { user, system } = process.cpuUsage(startedAt);
    return (user + system) / MISSES;
  };
  const [lru, adaptive] = [[], []];
  for (let round = -2; round < ROUNDS; round++) {
    const took = [await missesOf('lru'), await missesOf('adaptive')];
    if (round < 0) continue;
    lru.push(took[0]);
    adaptive.push(took[1]);
  }
  const more = median(adaptive.map((each, round) => each - lru[round]));
  const measured = new Map([
    ['lru', median(lru)],
    ['adaptive', median(adaptive)],
    ['more', more],
  ]);
  return row('a miss of an adaptive lane', 'us', measured, [under(more, 2, 'us', 'more than of an lru lane')]);
}
