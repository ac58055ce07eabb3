import { accessesOf, MIXES, weigh } from '../eviction/loads.mjs';
import { exactLru, feasible, tinyLfu } from '../eviction/yardsticks.mjs';
import { CacheManager } from '../library.mjs';
import { row, under } from '../row.mjs';

/** Of the tier that lies lowest; memory holds a tenth. */
const ENTRIES = 500;
const TURNS = [1, 64];
const FLUSH_EVERY = 128;
/** What a record takes beside its value. */
const ENVELOPE_BYTES = 150;

/**
 * The share of compute time that L1 and L2 save together, with `eviction: 'lru'` and `'adaptive'`, one and 64 requests to a turn
 * of the event loop, beside exact LRU, W-TinyLFU and what is feasible with the future known. The accesses are recorded ones,
 * `--traces=<folder>`, or else drawn. Computations spend time on a clock of their own.
 */
export async function eviction(scratch, { traces }) {
  const measured = new Map();
  const loads = [];
  for (const [name, accesses] of accessesOf(traces)) {
    for (const mix of MIXES) {
      const load = await measure(scratch, accesses, mix);
      loads.push({ ...load, isAlike: mix.name === 'alike' });
      for (const [policy, saved] of Object.entries(load)) measured.set(`${name}, ${mix.name}: ${policy}`, saved);
    }
  }
  return row('compute time saved by L1 and L2 together', '%', measured, barsOf(loads));
}

async function measure(scratch, accesses, mix) {
  const weights = weigh(accesses, mix);
  const isAlike = mix.sizes === 'alike';
  const capacity = ENTRIES * weights.meanSize;
  const limits = isAlike ? { maxEntries: ENTRIES } : { maxEntries: 10 * ENTRIES, maxBytes: capacity };
  const share = (saved) => (100 * saved) / weights.total;
  const fits = (entries, bytes) => (isAlike ? entries <= ENTRIES : bytes <= capacity);
  const saved = { 'exact LRU': share(exactLru(accesses, weights, fits)) };
  if (mix.name === 'alike') saved['W-TinyLFU'] = share(tinyLfu(accesses, weights, ENTRIES));
  saved.feasible = share(feasible(accesses, weights, capacity));
  for (const policy of ['lru', 'adaptive']) {
    for (const perTurn of TURNS) {
      const replayed = await replay(scratch.directory(), accesses, weights, { policy, perTurn, limits });
      saved[`${policy}, ${perTurn} a turn`] = share(weights.total - replayed);
    }
  }
  return saved;
}

/** Returns how long computing took. */
async function replay(directory, accesses, { size, cost }, { policy, perTurn, limits }) {
  const start = Date.now();
  let spent = 0;
  const clock = {
    now: () => start + spent,
    monotonic: () => spent,
    schedule: (ms, run) => {
      const timer = setTimeout(run, ms).unref();
      return () => clearTimeout(timer);
    },
  };
  const l2 = { enabled: true, ...limits };
  const lane = { eviction: policy, ttl: '365d', l1: { maxEntries: ENTRIES / 10 }, l2, l3: { enabled: false } };
  const storage = { sweepEvery: false, minFreeBytes: 0 };
  const cache = await CacheManager.fromSettings({
    lane: 'traced',
    directory,
    clock,
    logger: false,
    storage,
    lanes: { traced: lane },
  });
  for (let from = 0; from < accesses.length; from += perTurn) {
    const asked = accesses.slice(from, from + perTurn).map((key) =>
      cache.getOrSet(`key:${key}`, () => {
        spent += cost[key];
        return 'v'.repeat(Math.max(1, size[key] - ENVELOPE_BYTES));
      }),
    );
    await Promise.all(asked);
    // What waits to be written can be read, so that a disk that lags behind would hold more than the lane allows.
    if (from % FLUSH_EVERY < perTurn) await cache.flush();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await cache.close();
  return spent;
}

function barsOf(loads) {
  const mean = (of, among = loads) => among.reduce((sum, load) => sum + of(load), 0) / among.length;
  const alike = loads.filter(({ isAlike }) => isAlike);
  return TURNS.flatMap((turn) => {
    const [lru, adaptive] = [`lru, ${turn} a turn`, `adaptive, ${turn} a turn`];
    const gap = mean((load) => load.feasible - load['exact LRU']);
    const missed = 100 - (100 * mean((load) => load[adaptive] - load['exact LRU'])) / gap;
    const below = Math.max(...loads.map((load) => load['exact LRU'] - load[adaptive]));
    const behind = mean((load) => load['W-TinyLFU'] - load[adaptive], alike);
    const lruBehind = Math.max(...loads.map((load) => load['exact LRU'] - load[lru]));
    return [
      under(lruBehind, 0.5, 'points', `${lru}: at most behind exact LRU`),
      under(missed, 30, '%', `${adaptive}: of the gap from exact LRU to what is feasible, not closed`),
      under(below, 1, 'points', `${adaptive}: at most below exact LRU`),
      under(behind, 0, 'points', `${adaptive}: behind W-TinyLFU, where all entries are alike`),
    ];
  });
}
