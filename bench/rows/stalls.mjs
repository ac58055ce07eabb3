import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import { open } from 'lmdb';
import { LRUCache } from 'lru-cache';
import { pack, unpack } from 'msgpackr';
import { CacheManager } from '../library.mjs';
import { row, under } from '../row.mjs';
import { text } from '../values.mjs';

const ROUNDS = 3;
const SECONDS = 2;
const PER_SECOND = 1_000;
const VALUE_BYTES = 100 * 1024;
const KEYS = 2_000;
const EXPIRING = 20_000;

/**
 * The longest that other work had to wait: 100 KB values at 1,000 operations a second, and a sweep. The same values take the
 * same steps without the cache as well, because encoding, copying and collecting them holds up a process all the same.
 */
export async function stalls(scratch) {
  const values = Array.from({ length: 50 }, (_, index) => text(index, VALUE_BYTES));
  const cache = await CacheManager.fromSettings({ lane: 'standard', directory: scratch.directory() });
  scratch.onEnd(() => cache.close());
  const valueOf = (index) => values[index % values.length];
  const gaps = await longestGaps({
    idle: async () => undefined,
    bare: withoutCache(scratch, valueOf),
    busy: (index) => cache.getOrSet(keyOf(index), () => valueOf(index)),
  });
  const sweep = await sweepGap(scratch);
  const measured = new Map([
    ['longest gap without work', gaps.idle],
    ['longest gap, the same values in lru-cache, msgpackr and lmdb', gaps.bare],
    ['longest gap, 100 KB values at 1,000 op/s', gaps.busy],
    [`longest gap in a sweep of ${EXPIRING} expired entries`, sweep],
  ]);
  return row('event loop', 'ms', measured, [
    under(gaps.busy, 10, 'ms', 'longest stall'),
    under(sweep, 2, 'ms', 'longest slice of a sweep'),
  ]);
}

const keyOf = (index) => `page:${(index * 7_919) % KEYS}`;

function withoutCache(scratch, valueOf) {
  const memory = new LRUCache({ max: 500 });
  const database = open({ path: scratch.directory(), encoding: 'binary', cache: false, noSync: true });
  scratch.onEnd(() => database.close());
  return async (index) => {
    const key = keyOf(index);
    if (memory.has(key)) return memory.get(key);
    let bytes = database.get(key);
    if (bytes === undefined) void database.put(key, (bytes = pack(valueOf(index))));
    const value = unpack(bytes);
    memory.set(key, value);
    return value;
  };
}

/** They take turns. */
async function longestGaps(operations) {
  const longest = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, operation] of Object.entries(operations)) {
      const gap = await longestGap((until) => load(until, operation));
      longest[name] = Math.max(longest[name] ?? 0, gap);
    }
  }
  return longest;
}

/** Starts as many operations as are due, and never waits for one. */
async function load(until, operation) {
  const startedAt = performance.now();
  const running = new Set();
  let started = 0;
  while (!until.aborted) {
    const due = ((performance.now() - startedAt) / 1_000) * PER_SECOND;
    for (; started < due; started++) {
      const one = Promise.resolve(operation(started)).finally(() => running.delete(one));
      running.add(one);
    }
    await nextTurn();
  }
  await Promise.all(running);
}

/** Turns of the event loop follow each other at once; the longest gap between two is what somebody had to wait. */
async function longestGap(work) {
  const end = new AbortController();
  const working = work(end.signal);
  const stopAt = performance.now() + SECONDS * 1_000;
  const gap = await watch(() => performance.now() < stopAt);
  end.abort();
  await working;
  return gap;
}

async function sweepGap(scratch) {
  const lanes = { brief: { l1: { maxEntries: EXPIRING }, l2: { enabled: true, maxEntries: EXPIRING }, ttl: '500ms' } };
  const settings = { lane: 'brief', directory: scratch.directory(), lanes, storage: { sweepEvery: false } };
  const cache = await CacheManager.fromSettings(settings);
  scratch.onEnd(() => cache.close());
  for (let from = 0; from < EXPIRING; from += 1_000) {
    await cache.setMany(Array.from({ length: 1_000 }, (_, index) => [`brief:${from + index}`, { index }]));
    await cache.flush();
  }
  await wait(600);
  globalThis.gc?.();
  let swept = false;
  const sweeping = cache.sweep().finally(() => (swept = true));
  const gap = await watch(() => !swept);
  await sweeping;
  return gap;
}

async function watch(goesOn) {
  let longest = 0;
  let last = performance.now();
  while (goesOn()) {
    await nextTurn();
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  return longest;
}
