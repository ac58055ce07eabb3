// `soak.mjs [<minutes>]`: a mixed load on all lanes and tiers, by default for ten minutes, while tiers and apps stop and
// start. Checks that every value is right, every acknowledged checkpoint exists, and memory and handles do not grow.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { CacheManager } from '../dist/esm/index.js';

const MB = 1024 * 1024;
const minutes = Number(process.argv[2] ?? process.env['LANE_CACHE_SOAK_MINUTES'] ?? 10);
const LANES = ['docs', 'standard', 'heavy'];
const KEYS = 3_000;
const TAGS = 500;
const FLOWS = 5;
const PARALLEL = 8;
const SAMPLES = 60;
/** In each of them a tier or the app is interrupted once, and recovers. */
const INTERRUPTIONS = 24;
/** The growth of a process in the second half of its life that still counts as none. */
const MOST_GROWTH = 0.1;
const MOST_GROWTH_MB = 24;
const MOST_MORE_HANDLES = 4;
/** The errors that a full app or a full machine may return; any other is a fault. */
const EXPECTED_ERRORS = new Set([
  'INVALIDATION_NOT_DURABLE',
  'INVALIDATION_PENDING',
  'CHECKPOINTS_UNAVAILABLE',
  'CLOSED',
]);

const directory = mkdtempSync(join(tmpdir(), 'lane-cache-soak-'));
const server = await startServer();
const settings = {
  directory,
  // small lanes are full after a few seconds, so that from then on nothing has a reason to grow
  lanes: {
    docs: small({}),
    standard: small({ l3: { maxEntries: 2_000, maxBytes: '48MB' } }),
    heavy: small({ l3: { maxEntries: 2_000, maxBytes: '48MB' }, l4: { enabled: server !== undefined } }),
  },
  storage: { sweepEvery: '5s', minFreeBytes: 0 },
  checkpoints: { cleanup: false },
  ...(server !== undefined && { distributed: { url: server.url } }),
};

const startedAt = performance.now();
const endsAt = startedAt + minutes * 60_000;
const seen = { calls: 0, wrong: 0, lost: 0, refused: 0, interruptions: 0 };
const faults = new Set();
process.on('unhandledRejection', (error) => faults.add(`unhandled: ${error?.stack ?? error}`));

/** Grows with every computation and invalidation: a served value must be younger than the required one. */
let moment = 0;
const required = new Map();
const saved = new Map();
/** Values from a closed app are neither stored nor promised. */
const closing = new WeakSet();
let cache = await CacheManager.fromSettings(settings);

const samples = [];
const sampling = setInterval(sample, (minutes * 60_000) / SAMPLES);
const workers = Array.from({ length: PARALLEL }, (_, worker) => work(worker));
await Promise.all([...workers, interrupt()]);
clearInterval(sampling);

for (const tier of ['l2', 'l3', ...(server === undefined ? [] : ['l4'])]) {
  for (let waits = 0; stateOf(tier) !== 'on' && waits < 70; waits++) await pause(1_000);
  if (stateOf(tier) !== 'on') faults.add(`${tier} is off`);
}
await close(cache);
server?.stop();
rmSync(directory, { recursive: true, force: true });
for (const what of ['rss', 'heapUsed', 'handles', 'descriptors']) growthOf(what);
if (seen.wrong > 0) faults.add(`${seen.wrong} wrong values`);
if (seen.lost > 0) faults.add(`${seen.lost} lost checkpoints`);

const { calls, interruptions, refused } = seen;
const summary = `${calls} calls, ${interruptions} interruptions, ${refused} refused, in ${minutes} minutes`;
console.log(faults.size === 0 ? `Flat: ${summary}.` : `Not flat: ${[...faults].join('; ')}. ${summary}.`);
process.exitCode = faults.size === 0 ? 0 : 1;
setTimeout(() => {
  console.log(`Something keeps the process alive: ${process.getActiveResourcesInfo().join(', ')}.`);
  process.exit(1);
}, 20_000).unref();

function small(more) {
  return { l1: { maxEntries: 300, maxBytes: '8MB' }, l2: { maxEntries: 1_000, maxBytes: '32MB' }, ttl: '20s', ...more };
}

async function work(worker) {
  for (let n = worker; performance.now() < endsAt; n += PARALLEL) {
    seen.calls++;
    try {
      await operation(cache, n);
    } catch (error) {
      if (EXPECTED_ERRORS.has(error?.code)) seen.refused++;
      else faults.add(String(error?.stack ?? error));
    }
    if (n % 64 < PARALLEL) await nextTurn();
  }
}

function operation(app, n) {
  const lane = LANES[n % LANES.length];
  const number = (n * 7_919) % KEYS;
  switch (n % 97) {
    case 3:
      return requiring(app, [placeOf(lane, number)], () => app.forLane(lane).invalidate(`key:${number}`));
    case 5:
      return requiring(app, [`tag:${number % TAGS}`], () => app.invalidateByTag(`tag:${number % TAGS}`));
    case 7: {
      const tens = number % 90;
      const places = Array.from({ length: 10 }, (_, ones) => placeOf(lane, `${tens}${ones}`));
      return n % 7 === 0
        ? requiring(app, places, () => app.forLane(lane).invalidateByPattern(`key:${tens}?`))
        : undefined;
    }
    case 11:
      return requiring(app, [placeOf(lane, number)], (at) =>
        app.forLane(lane).set(`key:${number}`, valueOf(number, at), { tags: [`tag:${number % TAGS}`] }),
      );
    case 13:
      return save(app, `flow:${n % FLOWS}`, number);
    case 17:
      return n % 970 === 17
        ? app.snapshots.cleanupOldCheckpoints({ maxAgeDays: 0, keepLast: 20 })
        : restore(app, `flow:${n % FLOWS}`);
    case 19:
      return app
        .forLane(lane)
        .getOrSet(`key:${number}`, () => Promise.reject(new Error('on purpose')), { forceFresh: true })
        .catch(() => undefined);
    default:
      return look(app, lane, number);
  }
}

async function look(app, lane, number) {
  const least = Math.max(required.get(placeOf(lane, number)) ?? 0, required.get(`tag:${number % TAGS}`) ?? 0);
  const tags = [`tag:${number % TAGS}`];
  const found = await app.forLane(lane).getOrSet(`key:${number}`, () => valueOf(number, ++moment), { tags });
  if (found.number !== number || found.moment < least) seen.wrong++;
}

/** Later reads must be younger than this change, once it has been acknowledged. */
async function requiring(app, places, change) {
  const at = ++moment;
  const isPromised = !closing.has(app);
  await change(at);
  if (!isPromised) return;
  for (const place of places) if ((required.get(place) ?? 0) < at) required.set(place, at);
}

async function save(app, flow, number) {
  const { version } = await app.snapshots.cacheCheckpoint(flow, valueOf(number, ++moment));
  saved.set(flow, Math.max(version, saved.get(flow) ?? 0));
}

async function restore(app, flow) {
  const least = saved.get(flow) ?? 0;
  const found = await app.snapshots.getCheckpoint(flow);
  if ((found?.version ?? 0) < least && !closing.has(app)) seen.lost++;
}

function placeOf(lane, number) {
  return `${lane} key:${number}`;
}

function valueOf(number, at) {
  return { number, moment: at, text: `${number} `.repeat(20 + (at % 200)) };
}

function stateOf(tier) {
  return cache.getMetrics()[tier].state;
}

/** Between the interruptions there is time to recover. */
async function interrupt() {
  const interruptions = [restartApp, replacePersistentTier, handOver, ...(server === undefined ? [] : [freezeServer])];
  for (let n = 0; ; n++) {
    await pause((minutes * 60_000) / INTERRUPTIONS);
    if (performance.now() > endsAt - (minutes * 60_000) / INTERRUPTIONS) return;
    seen.interruptions++;
    await interruptions[n % interruptions.length]();
  }
}

async function restartApp() {
  await close(cache);
  cache = await CacheManager.fromSettings(settings);
}

async function close(app) {
  closing.add(app);
  await app.close();
}

/** The folder is removed while the app runs, as by a careless clean-up. */
async function replacePersistentTier() {
  const aside = join(directory, `aside-${seen.interruptions}`);
  renameSync(join(directory, 'l3'), aside);
  rmSync(aside, { recursive: true, force: true });
}

/** A second app waits for the first to close, and takes its place. */
async function handOver() {
  const heir = await CacheManager.fromSettings(settings);
  const leaver = cache;
  cache = heir;
  await close(leaver);
}

async function freezeServer() {
  server.signal('SIGSTOP');
  await pause(2_000);
  server.signal('SIGCONT');
}

/** A Redis or Valkey for this run, if one is installed. */
async function startServer() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  await new Promise((closed) => probe.close(closed));
  for (const name of ['redis-server', 'valkey-server']) {
    const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--maxmemory', '64mb'];
    const child = spawn(name, [...options, '--maxmemory-policy', 'volatile-lru'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const isThere = await Promise.race([
      once(child.stdout, 'data').then(() => true),
      once(child, 'error').then(() => false),
    ]);
    if (!isThere) continue;
    child.stdout.resume();
    child.unref();
    child.stdout.unref();
    return {
      url: `redis://127.0.0.1:${port}`,
      signal: (signal) => child.kill(signal),
      stop: () => child.kill('SIGKILL'),
    };
  }
  console.log('Without l4: neither redis-server nor valkey-server was found.');
  return undefined;
}

function sample() {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  const handles = process.getActiveResourcesInfo().length;
  const descriptors = process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
  samples.push({ rss, heapUsed, handles, descriptors });
  const mb = (bytes) => `${(bytes / MB).toFixed(0).padStart(5)} MB`;
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  console.log(
    `${String(seconds).padStart(5)} s  ${String(seen.calls).padStart(9)} calls  rss ${mb(rss)}  heap ${mb(heapUsed)}  external ${mb(external)}  handles ${handles}  descriptors ${descriptors}`,
  );
}

/** Compares the medians of the last quarter and the second one. */
function growthOf(what) {
  const quarter = Math.floor(samples.length / 4);
  const before = median(samples.slice(quarter, 2 * quarter).map((one) => one[what]));
  const after = median(samples.slice(-quarter).map((one) => one[what]));
  const isCount = what === 'handles' || what === 'descriptors';
  const most = isCount ? before + MOST_MORE_HANDLES : before * (1 + MOST_GROWTH) + MOST_GROWTH_MB * MB;
  if (after > most) faults.add(`${what} grew from ${before} to ${after}`);
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}
