import { createCache as createDedupe } from 'async-cache-dedupe';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { createCache } from 'cache-manager';
import { Cacheable } from 'cacheable';
import { LRUCache } from 'lru-cache';
import { CacheManager } from '../library.mjs';
import { race } from '../race.mjs';
import { atMost, fasterThan, row } from '../row.mjs';
import { keys, smallObject } from '../values.mjs';

const COUNT = 500;
const KEYS = keys(COUNT);
const TTL_MS = 600_000;

/** `getOrSet` answered by memory: 500 keys, a small object. */
export async function memoryHit(scratch) {
  const contestants = [
    await ours(scratch),
    asyncLru(),
    bareLru(),
    cacheManager(),
    dedupe(),
    await cacheable(scratch),
    await bento(scratch),
  ];
  for (const { turn } of contestants) for (let index = 0; index < COUNT; index++) await turn(index);
  const took = await race(contestants);
  const own = took.get('nestjs-lane-cache');
  return row('L1 hit, 500 keys, small object', 'ns', took, [
    atMost(own, took.get('async lru-cache'), 1.5, 'an async function around lru-cache.get'),
    fasterThan(own, took.get('cache-manager'), 6, 'cache-manager wrap'),
    fasterThan(own, took.get('bentocache'), 30, 'bentocache getOrSet'),
    fasterThan(own, took.get('cacheable'), 30, 'cacheable getOrSet'),
    fasterThan(own, took.get('async-cache-dedupe'), 3, 'async-cache-dedupe'),
  ]);
}

async function ours(scratch) {
  const cache = await CacheManager.fromSettings({ lane: 'standard', directory: scratch.directory() });
  scratch.onEnd(() => cache.close());
  return { name: 'nestjs-lane-cache', turn: (index) => cache.getOrSet(KEYS[index % COUNT], () => smallObject(index)) };
}

function asyncLru() {
  const lru = filledLru();
  const get = async (key) => lru.get(key);
  return { name: 'async lru-cache', turn: (index) => get(KEYS[index % COUNT]) };
}

function bareLru() {
  const lru = filledLru();
  return { name: 'lru-cache, synchronous', synchronous: true, turn: (index) => lru.get(KEYS[index % COUNT]) };
}

function filledLru() {
  const lru = new LRUCache({ max: COUNT });
  KEYS.forEach((key, index) => lru.set(key, smallObject(index)));
  return lru;
}

function cacheManager() {
  const cache = createCache({ ttl: TTL_MS });
  return { name: 'cache-manager', turn: (index) => cache.wrap(KEYS[index % COUNT], async () => smallObject(index)) };
}

function dedupe() {
  const cache = createDedupe({ ttl: TTL_MS / 1_000, storage: { type: 'memory' } });
  cache.define('load', async (key) => smallObject(key.length));
  return { name: 'async-cache-dedupe', turn: (index) => cache.load(KEYS[index % COUNT]) };
}

async function cacheable(scratch) {
  const cache = new Cacheable({ ttl: TTL_MS });
  scratch.onEnd(() => cache.disconnect());
  return { name: 'cacheable', turn: (index) => cache.getOrSet(KEYS[index % COUNT], async () => smallObject(index)) };
}

async function bento(scratch) {
  const store = bentostore().useL1Layer(memoryDriver({ maxItems: COUNT * 2 }));
  const cache = new BentoCache({ default: 'memory', stores: { memory: store } });
  scratch.onEnd(() => cache.disconnectAll());
  const turn = (index) => cache.getOrSet({ key: KEYS[index % COUNT], ttl: TTL_MS, factory: () => smallObject(index) });
  return { name: 'bentocache', turn };
}
