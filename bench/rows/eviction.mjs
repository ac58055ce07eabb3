import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CacheManager } from '../library.mjs';
import { row } from '../row.mjs';

const LANES = { docs: { l1: 100, l2: 1_000 }, standard: { l1: 500, l2: 5_000 } };
const ZIPF_KEYS = 20_000;
const ZIPF_LENGTH = 200_000;
const MOST_POINTS = 1;

/**
 * Hit rates of memory and disk together, at the capacities of a lane, beside an exact LRU of the same capacity. The
 * accesses are recorded ones, `--traces <folder>` of gzipped little-endian 32-bit key numbers, or else drawn by Zipf's law.
 */
export async function eviction(scratch, { traces }) {
  const measured = new Map();
  const bars = [];
  for (const [trace, accesses] of tracesIn(traces)) {
    for (const [lane, { l1, l2 }] of Object.entries(LANES)) {
      const exact = exactLru(accesses, l2);
      const ours = await replay(scratch.directory(), accesses, { l1, l2 });
      const points = Math.abs(exact - ours);
      const what = `${trace}, ${lane} (${l1} in memory, ${l2} on disk)`;
      measured.set(`${what}: ours`, ours);
      measured.set(`${what}: exact LRU`, exact);
      const text = `${what}: ${points.toFixed(2)} points from exact LRU, at most ${MOST_POINTS}`;
      bars.push({ text, ratio: points / MOST_POINTS, limit: MOST_POINTS, met: points <= MOST_POINTS });
    }
  }
  return row('hit rate of L1 and L2 together', '%', measured, bars);
}

async function replay(directory, accesses, { l1, l2 }) {
  const policy = { l1: { maxEntries: l1 }, l2: { enabled: true, maxEntries: l2 }, l3: { enabled: false }, ttl: '1d' };
  const settings = { lane: 'traced', directory, lanes: { traced: policy }, storage: { sweepEvery: false } };
  const cache = await CacheManager.fromSettings(settings);
  let computed = 0;
  for (const [index, key] of accesses.entries()) {
    await cache.getOrSet(`key:${key}`, () => ++computed);
    if (index % 200 === 199) await cache.flush();
  }
  await cache.close();
  return (1 - computed / accesses.length) * 100;
}

/** Memory holds what was used last, and the disk holds that as well: together they are as large as the disk. */
function exactLru(accesses, capacity) {
  const order = new Map();
  let hits = 0;
  for (const key of accesses) {
    if (order.delete(key)) hits++;
    order.set(key, true);
    if (order.size > capacity) order.delete(order.keys().next().value);
  }
  return (hits / accesses.length) * 100;
}

function tracesIn(folder) {
  if (folder === undefined) return [['zipf', zipf()]];
  const files = readdirSync(folder).filter((name) => name.endsWith('.u32.gz'));
  return files.map((name) => [name.replace('.u32.gz', ''), numbersIn(readFileSync(join(folder, name)))]);
}

function numbersIn(zipped) {
  const bytes = gunzipSync(zipped);
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => bytes.readUInt32LE(index * 4));
}

/** Key n is drawn in proportion to 1 / n, the same in every run. */
function zipf() {
  const sums = new Float64Array(ZIPF_KEYS);
  let sum = 0;
  for (let n = 0; n < ZIPF_KEYS; n++) sums[n] = sum += 1 / (n + 1);
  let state = 1;
  return Array.from({ length: ZIPF_LENGTH }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return indexOf(sums, (state / 2 ** 32) * sum);
  });
}

function indexOf(sums, wanted) {
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
