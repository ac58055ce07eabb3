import { LRUCache } from 'lru-cache';
import NodeCache from 'node-cache';
import QuickLRU from 'quick-lru';
import { CacheManager } from '../library.mjs';
import { race } from '../race.mjs';
import { atMost, row } from '../row.mjs';
import { keys, smallObject } from '../values.mjs';

const COUNT = 500;
const KEYS = keys(COUNT);

/** `getIfPresent`, answered by memory without a promise: 500 keys, a small object. */
export async function present(scratch) {
  const cache = await CacheManager.fromSettings({ lane: 'standard', directory: scratch.directory() });
  scratch.onEnd(() => cache.close());
  const lru = new LRUCache({ max: COUNT });
  // It reads its clock once a millisecond, by a timer, so that code that does not return gets what has expired.
  const withTtl = new LRUCache({ max: COUNT, ttl: 600_000 });
  // It reads its clock at each call, as we do.
  const exact = new LRUCache({ max: COUNT, ttl: 600_000, ttlResolution: 0 });
  const quick = new QuickLRU({ maxSize: COUNT });
  const node = new NodeCache({ stdTTL: 600, useClones: false, checkperiod: 0 });
  for (const [index, key] of KEYS.entries()) {
    await cache.set(key, smallObject(index));
    for (const one of [lru, withTtl, exact, quick, node]) one.set(key, smallObject(index));
  }
  const synchronous = true;
  const took = await race([
    { name: 'nestjs-lane-cache', synchronous, turn: (index) => cache.getIfPresent(KEYS[index % COUNT]) },
    { name: 'lru-cache', synchronous, turn: (index) => lru.get(KEYS[index % COUNT]) },
    { name: 'lru-cache with a ttl', synchronous, turn: (index) => withTtl.get(KEYS[index % COUNT]) },
    { name: 'lru-cache with an exact ttl', synchronous, turn: (index) => exact.get(KEYS[index % COUNT]) },
    { name: 'the clock alone', synchronous, turn: () => performance.now() },
    { name: 'quick-lru', synchronous, turn: (index) => quick.get(KEYS[index % COUNT]) },
    { name: 'node-cache', synchronous, turn: (index) => node.get(KEYS[index % COUNT]) },
  ]);
  return row('getIfPresent, 500 keys, small object', 'ns', took, [
    atMost(took.get('nestjs-lane-cache'), took.get('lru-cache'), 2, 'lru-cache.get'),
    atMost(took.get('nestjs-lane-cache'), took.get('lru-cache with an exact ttl'), 2, 'lru-cache with an exact ttl'),
  ]);
}
