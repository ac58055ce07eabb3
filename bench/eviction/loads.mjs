import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** Recorded accesses are cut, so that a run takes minutes. */
const MOST_ACCESSES = 60_000;
const DRAWN_ACCESSES = 24_000;

/** Sizes and costs that keys get: all alike, log-normal, cost by size, or one key in ten a thousand times as dear. */
export const MIXES = [
  { name: 'alike', sizes: 'alike', costs: 'alike' },
  { name: 'costs spread', sizes: 'alike', costs: 'spread' },
  { name: 'a tenth dear', sizes: 'spread', costs: 'tenth' },
  { name: 'both spread', sizes: 'spread', costs: 'spread' },
];

/** Lists of key numbers by name: recorded ones of a folder of gzipped little-endian 32-bit numbers, or drawn ones. */
export function accessesOf(folder) {
  if (folder === undefined) return [drifting(), loops(), phases()];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.u32.gz'))
    .map((name) => [name.replace('.u32.gz', ''), numbersIn(readFileSync(join(folder, name)))]);
}

/** The size in bytes and the cost in milliseconds of each key. */
export function weigh(accesses, { sizes, costs }) {
  const count = accesses.reduce((most, key) => Math.max(most, key + 1), 0);
  const key = Array.from({ length: count }, (_, number) => number);
  const size = key.map((number) => (sizes === 'alike' ? 1_000 : Math.round(1_000 * spread(number, 1))));
  const cost = key.map((number) => {
    if (costs === 'alike') return 100;
    if (costs === 'spread') return 100 * spread(number, 2);
    return uniform(number, 3) < 0.1 ? 1_000 : 1;
  });
  const total = accesses.reduce((sum, number) => sum + cost[number], 0);
  return { size, cost, total, meanSize: size.reduce((sum, bytes) => sum + bytes, 0) / count };
}

function numbersIn(zipped) {
  const bytes = gunzipSync(zipped);
  const length = Math.min(MOST_ACCESSES, Math.floor(bytes.length / 4));
  return Array.from({ length }, (_, index) => bytes.readUInt32LE(index * 4));
}

/** Popular keys, of which others become popular in time. */
function drifting() {
  const random = randomOf(1);
  const popular = zipf(8_000);
  return ['drifting', Array.from({ length: DRAWN_ACCESSES }, (_, at) => popular(random()) + Math.floor(at / 15))];
}

/** Popular keys, loops of 700 keys, and scans of keys that never come again. */
function loops() {
  const random = randomOf(2);
  const popular = zipf(3_000);
  const accesses = [];
  let fresh = 10_000;
  while (accesses.length < DRAWN_ACCESSES) {
    const kind = random();
    if (kind < 0.9) for (let index = 0; index < 300; index++) accesses.push(popular(random()));
    else if (kind < 0.96) for (let index = 0; index < 700; index++) accesses.push(5_000 + index);
    else for (let index = 0; index < 1_000; index++) accesses.push(fresh++);
  }
  return ['loops and scans', accesses.slice(0, DRAWN_ACCESSES)];
}

/** A load that changes its nature twice. */
function phases() {
  const random = randomOf(3);
  const popular = zipf(6_000);
  const third = DRAWN_ACCESSES / 3;
  const first = Array.from({ length: third }, () => popular(random()));
  const second = Array.from({ length: third }, (_, at) => 20_000 + (at % 650));
  const last = Array.from({ length: third }, (_, at) => 30_000 + Math.floor(at / 4) + Math.floor(random() ** 2 * 900));
  return ['phases', [...first, ...second, ...last]];
}

/** Draws key n in proportion to 1 / (n + 1). */
function zipf(keys) {
  const sums = new Float64Array(keys);
  let sum = 0;
  for (let n = 0; n < keys; n++) sums[n] = sum += 1 / (n + 1);
  return (fraction) => {
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] < fraction * sum) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

function randomOf(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A fraction that a key always gets. */
function uniform(key, seed) {
  let mixed = Math.imul(key + 1, 0x9e3779b1) ^ Math.imul(seed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
}

/** Log-normal, within a factor of 190 of one. */
function spread(key, seed) {
  const [one, other] = [uniform(key, seed * 10), uniform(key, seed * 10 + 1)];
  const gauss = Math.sqrt(-2 * Math.log(1 - one)) * Math.cos(2 * Math.PI * other);
  return Math.exp(1.5 * Math.max(-3.5, Math.min(3.5, gauss)));
}
