import { CacheManager } from '../library.mjs';
import { median } from '../race.mjs';
import { row, under } from '../row.mjs';

const ROUNDS = 3;
const ENTRIES = 100_000;
const LEAST_PER_SECOND = 25_000;

/** `setMany` of small tagged entries in all tiers, and the longest time for which the event loop was held meanwhile. */
export async function bulk(scratch) {
  const cache = await CacheManager.fromSettings({ lane: 'standard', directory: scratch.directory() });
  scratch.onEnd(() => cache.close());
  const [rates, stalls] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    const values = new Map(Array.from({ length: ENTRIES }, (_, index) => [`${round}:${index}`, { index }]));
    const loop = watchLoop();
    const startedAt = performance.now();
    await cache.setMany(values, { tags: ['all', `round-${round}`] });
    rates.push(ENTRIES / ((performance.now() - startedAt) / 1e3));
    stalls.push(loop.end());
    await cache.flush();
  }
  const rate = median(rates);
  const stall = median(stalls);
  const measured = new Map([
    ['entries per second', rate],
    ['longest stall, ms', stall],
  ]);
  return row(`setMany of ${ENTRIES} small entries with two tags, L1 to L3 on, three rounds`, '', measured, [
    under(LEAST_PER_SECOND / rate, 1, 'x', `${LEAST_PER_SECOND} per second take`),
    under(stall, 10, 'ms', 'the longest stall is'),
  ]);
}

function watchLoop() {
  let [longest, last, isOn] = [0, performance.now(), true];
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (isOn) setImmediate(look);
  };
  setImmediate(look);
  return {
    end: () => {
      isOn = false;
      return longest;
    },
  };
}
