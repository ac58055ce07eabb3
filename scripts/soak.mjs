// `soak.mjs [<minutes>]`: a mixed load on all lanes, by default for ten minutes, and whether memory and handles stay flat.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CacheManager } from '../dist/esm/index.js';

const MB = 1024 * 1024;
const minutes = Number(process.argv[2] ?? 10);
const LANES = ['docs', 'standard', 'heavy'];
const KEYS = 3_000;
const PARALLEL = 8;
const SAMPLES = 60;
/** What a process may grow by in the second half of its life and still count as flat. */
const MOST_GROWTH = 0.1;
const MOST_GROWTH_MB = 24;

const directory = mkdtempSync(join(tmpdir(), 'lane-cache-soak-'));
// small lanes are full after a few seconds, so that from then on nothing has a reason to grow
const small = { l1: { maxEntries: 300, maxBytes: '8MB' }, l2: { maxEntries: 1_000, maxBytes: '32MB' }, ttl: '20s' };
const lanes = Object.fromEntries(
  LANES.map((lane) => [lane, lane === 'docs' ? small : { ...small, l3: { maxEntries: 2_000, maxBytes: '48MB' } }]),
);
const cache = await CacheManager.fromSettings({
  directory,
  lanes,
  storage: { sweepEvery: '5s', minFreeBytes: 0 },
  checkpoints: { cleanup: false },
});
let unhandled = 0;
process.on('unhandledRejection', () => unhandled++);

const endsAt = performance.now() + minutes * 60_000;
let calls = 0;
let wrong = 0;
const value = (key, n) => ({ key, n, text: `${key} `.repeat(20 + (n % 200)) });

async function work(worker) {
  for (let n = worker; performance.now() < endsAt; n += PARALLEL) {
    const lane = cache.forLane(LANES[n % LANES.length]);
    const key = `key:${(n * 7_919) % KEYS}`;
    await operation(lane, key, n);
    calls++;
    if (n % 64 < PARALLEL) await nextTurn();
  }
}

async function operation(lane, key, n) {
  switch (n % 97) {
    case 3:
      return lane.invalidate(key);
    case 5:
      return lane.invalidateByTag(`tag:${n % 500}`);
    case 7:
      return n % 7 === 0 ? lane.invalidateByPattern(`key:${n % 90}?`) : undefined;
    case 11:
      return lane.set(key, value(key, n), { tags: [`tag:${n % 500}`] });
    case 13:
      return cache.snapshots.cacheCheckpoint(`flow:${n % 5}`, value(key, n));
    case 17:
      return n % 970 === 17
        ? cache.snapshots.cleanupOldCheckpoints({ maxAgeDays: 0, keepLast: 20 })
        : cache.snapshots.restoreCheckpoint(`flow:${n % 5}`);
    case 19:
      return lane
        .getOrSet(key, () => Promise.reject(new Error('on purpose')), { forceFresh: true })
        .catch(() => undefined);
    default: {
      const found = await lane.getOrSet(key, () => value(key, n), { tags: [`tag:${n % 500}`] });
      if (found.key !== key) wrong++;
      return found;
    }
  }
}

const samples = [];
function sample() {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  const handles = process.getActiveResourcesInfo().length;
  const descriptors = process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
  samples.push({ rss, heapUsed, handles, descriptors });
  const mb = (bytes) => `${(bytes / MB).toFixed(0).padStart(5)} MB`;
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  console.log(
    `${String(seconds).padStart(5)} s  ${String(calls).padStart(9)} calls  rss ${mb(rss)}  heap ${mb(heapUsed)}  external ${mb(external)}  handles ${handles}  descriptors ${descriptors}`,
  );
}

const startedAt = performance.now();
const sampling = setInterval(sample, (minutes * 60_000) / SAMPLES);
await Promise.all(Array.from({ length: PARALLEL }, (_, worker) => work(worker)));
clearInterval(sampling);
const tiers = cache.getMetrics();
await cache.close();
rmSync(directory, { recursive: true, force: true });

const faults = [
  ...['rss', 'heapUsed', 'handles', 'descriptors'].flatMap(growthOf),
  ...(wrong > 0 ? [`${wrong} wrong values`] : []),
  ...(unhandled > 0 ? [`${unhandled} unhandled rejections`] : []),
  ...['l1', 'l2', 'l3'].filter((name) => tiers[name].state !== 'on').map((name) => `${name} is off`),
];
console.log(faults.length === 0 ? `Flat: ${calls} calls in ${minutes} minutes.` : `Not flat: ${faults.join('; ')}.`);
process.exit(faults.length === 0 ? 0 : 1);

/** The last quarter against the second one, by their medians. */
function growthOf(what) {
  const quarter = Math.floor(samples.length / 4);
  const before = median(samples.slice(quarter, 2 * quarter).map((one) => one[what]));
  const after = median(samples.slice(-quarter).map((one) => one[what]));
  const most = before * (1 + MOST_GROWTH) + (what === 'handles' || what === 'descriptors' ? 4 : MOST_GROWTH_MB * MB);
  return after > most ? [`${what} grew from ${before} to ${after}`] : [];
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}
