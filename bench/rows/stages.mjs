import { existsSync, readFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { SourceMap } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CacheManager } from '../library.mjs';
import { row } from '../row.mjs';
import { keys, oneKilobyte, scattered } from '../values.mjs';

const LIB = fileURLToPath(new URL('../../lib/', import.meta.url));
const DIST = new URL('../../dist/', import.meta.url).href;
const COUNT = 5_000;
const KEYS = keys(COUNT, 'document');
const HITS = 60_000;
const MISSES = 30_000;
const BULK = 60_000;

/** Where a sample belongs, by the file of the innermost function that says so. The first that fits counts. */
const STAGES = [
  ['the value: encoding, decoding, freezing', /^(entries\/(codec\/|isolation)|cache\/encoded-value)/, /msgpackr/],
  ['the record: envelope, checksum, compression', /^entries\//],
  ["the log, and the host's log", /^(invalidation\/|storage\/host-log\/|cache\/(invalidate|guarded-tier))/],
  ['memory', /^tiers\/memory-tier/, /lru-cache/],
  ['rows of entries: what is pending, batches, eviction', /^(storage\/entries\/|tiers\/|eviction\/)/],
  ['LMDB: keys, handing over, reading', /^storage\//, /node_modules\/lmdb/],
  ['the call: options, flight, judgement, counting', /^(cache|metrics|events|clock|lanes|app|options|texts)\//],
  ['the benchmark', undefined, /\/bench\//],
];
const COLLECTOR = 'garbage collection';
const NATIVE = 'the engine, and what has no name';

/** What each stage of a hit of L2, a miss and a bulk write takes of the main thread, by samples of V8's profiler. */
export async function stages(scratch) {
  return [await hits(scratch), await misses(scratch), await bulkWrites(scratch)];
}

async function hits(scratch) {
  const lane = { l1: { maxEntries: 1 }, l2: { maxEntries: 2 * COUNT }, l3: { enabled: false } };
  const cache = await opened(scratch, { lane: 'disk', lanes: { disk: lane } });
  await cache.setMany(KEYS.map((key, index) => [key, oneKilobyte(index)]));
  await cache.flush();
  const compute = () => Promise.reject(new Error('it is on disk'));
  const run = async (count) => {
    for (let index = 0; index < count; index++) await cache.getOrSet(KEYS[scattered(index, COUNT)], compute);
  };
  await run(HITS / 4);
  return split('hit of L2, 1 KB', HITS, () => run(HITS));
}

async function misses(scratch) {
  const cache = await opened(scratch, { lane: 'standard' });
  const values = Array.from({ length: COUNT }, (_, index) => oneKilobyte(index));
  let next = 0;
  const run = async (count) => {
    for (const end = next + count; next < end; next++) await cache.getOrSet(`${next}`, () => values[next % COUNT]);
    await cache.flush();
  };
  // Beyond this, L2 is full, and evicts one entry for each that it stores.
  await run(2 * COUNT);
  return split('miss, 1 KB, L1 to L3 on, up to the end of `flush()`', MISSES, () => run(MISSES));
}

async function bulkWrites(scratch) {
  const cache = await opened(scratch, { lane: 'standard' });
  const run = async (count, round) => {
    const entries = Array.from({ length: count }, (_, index) => [`${round}:${index}`, { index }]);
    await cache.setMany(entries, { tags: ['all', `round-${round}`] });
    await cache.flush();
  };
  await run(2 * COUNT, 'first');
  return split('an entry of `setMany`, small, L1 to L3 on, up to the end of `flush()`', BULK, () => run(BULK, 'next'));
}

async function opened(scratch, settings) {
  const cache = await CacheManager.fromSettings({ ...settings, directory: scratch.directory(), logger: false });
  scratch.onEnd(() => cache.close());
  return cache;
}

async function split(title, count, run) {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: 200 });
  await session.post('Profiler.start');
  const before = cpu();
  await run();
  const after = cpu();
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  const main = (after.main - before.main) / count;
  const measured = new Map([
    ['main thread', main],
    ['other threads', (after.all - before.all) / count - main],
  ]);
  for (const [stage, share] of sharesOf(profile)) measured.set(`  ${stage}`, main * share);
  return row(`${title}: processor time, and the main thread's by stage (shares of samples)`, 'us', measured, []);
}

/** Microseconds of processor time. Where the system does not measure that of a thread, all counts as that of the main thread. */
function cpu() {
  const { user, system } = process.cpuUsage();
  const all = user + system;
  try {
    const [ran] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ');
    return { all, main: Number(ran) / 1e3 };
  } catch {
    return { all, main: all };
  }
}

function sharesOf({ nodes, samples, timeDeltas }) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const stageOf = stagesOf(parents);
  const took = new Map();
  let total = 0;
  for (const [index, id] of samples.entries()) {
    const node = byId.get(id);
    if (node.callFrame.functionName === '(idle)') continue;
    total += timeDeltas[index];
    const stage = stageOf(node);
    took.set(stage, (took.get(stage) ?? 0) + timeDeltas[index]);
  }
  const shares = [...took].map(([stage, time]) => [stage, time / total]);
  return shares.toSorted(([, one], [, other]) => other - one);
}

/** The stage of a frame: its own, or that of its caller. */
function stagesOf(parents) {
  const maps = new Map();
  const known = new Map();
  return function stageOf(node) {
    if (node === undefined) return NATIVE;
    let stage = known.get(node.id);
    if (stage === undefined) known.set(node.id, (stage = stageOfFrame(node, maps) ?? stageOf(parents.get(node.id))));
    return stage;
  };
}

function stageOfFrame({ callFrame }, maps) {
  if (callFrame.functionName === '(garbage collector)') return COLLECTOR;
  const source = sourceOf(callFrame, maps);
  for (const [stage, ours, theirs] of STAGES) {
    if (source !== undefined ? ours?.test(source) : theirs?.test(callFrame.url)) return stage;
  }
  return undefined;
}

/** The file below `lib` that the function comes from. */
function sourceOf({ url, lineNumber, columnNumber }, maps) {
  const file = url.startsWith('file:') || url === '' ? url : `file://${url}`;
  if (!file.startsWith(DIST)) return undefined;
  let map = maps.get(file);
  if (map === undefined) maps.set(file, (map = sourceMapOf(file)));
  const originalSource = map?.findEntry(lineNumber, columnNumber).originalSource;
  if (originalSource === undefined) return undefined;
  const path = originalSource.startsWith('file:') ? originalSource : new URL(originalSource, file).href;
  return relative(LIB, fileURLToPath(path));
}

/** `null` for what the bundler adds: it has no source. */
function sourceMapOf(file) {
  const path = `${fileURLToPath(file)}.map`;
  return existsSync(path) ? new SourceMap(JSON.parse(readFileSync(path, 'utf8'))) : null;
}
