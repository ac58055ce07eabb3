import { createCache, type Cache } from 'cache-manager';
import { Keyv } from 'keyv';
import type { LaneManager } from '../cache/lane-manager.js';
import { FOREVER_MS, laneKeyvStore, readEntry, type KeyvEntry } from './lane-keyv-store.js';
import { laneWrap } from './lane-wrap.js';

/** Keeps its entries apart from those of other Keyv stores on the lane, which have another shape. */
const NAMESPACE = 'cache-manager';

/** A ttl in milliseconds that has ended already: nothing is stored, and no older value is left. */
const ENDED_MS = -1;

/**
 * A lane as cache-manager's `Cache`. Ttls are in MILLISECONDS; values are copied with their types, not as JSON.
 *
 * Without a ttl, the lane's applies; a ttl of 0 never ends, as in cache-manager. `wrap` computes once for concurrent
 * callers, and does not store a result that was deleted or cleared while it was computed.
 */
export function laneBackedCache(lane: LaneManager): Cache {
  const store = laneKeyvStore(lane, { namespace: NAMESPACE });
  const keyv = new LaneKeyv({ store, namespace: NAMESPACE, useKeyPrefix: false });
  keyv.serialize = undefined;
  keyv.deserialize = undefined;
  const cache = createCache({ stores: [keyv], ttl: lane.policy.ttlMs });
  const events = cache.off('refresh', () => undefined);
  const { mset } = cache;
  return Object.assign(cache, {
    wrap: laneWrap(lane, NAMESPACE, events),
    mset: async (list: WrittenEntry[]) => mset(list.map(written)),
  });
}

/**
 * A Keyv in which a ttl of 0 never ends, as in cache-manager. Keyv itself passes 0 on as no ttl. `undefined` ends at once,
 * because `wrap` computes where it finds no value.
 */
class LaneKeyv extends Keyv {
  override async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    return super.set(key, value, withEnd({ key, value, ttl }).ttl);
  }

  override async setMany(entries: KeyvEntry[]): Promise<boolean[]> {
    return super.setMany(entries.map(withEnd));
  }
}

type WrittenEntry = Parameters<Cache['mset']>[0][number];

/** Throws TTL_INVALID where Keyv would report an error and store nothing. */
function written(entry: KeyvEntry): WrittenEntry {
  const { key, value, ttl } = readEntry(entry);
  return ttl === undefined ? { key, value } : { key, value, ttl };
}

function withEnd(entry: KeyvEntry): WrittenEntry {
  const read = written(entry);
  if (read.value === undefined) return { ...read, ttl: ENDED_MS };
  return read.ttl === 0 ? { ...read, ttl: FOREVER_MS } : read;
}
