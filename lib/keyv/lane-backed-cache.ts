import { createCache, type Cache } from 'cache-manager';
import { Keyv, type KeyvEntry } from 'keyv';
import type { LaneManager } from '../cache/lane-manager.js';
import { laneKeyvStore, FOREVER_MS } from './lane-keyv-store.js';
import { laneWrap } from './lane-wrap.js';

/** Keeps its entries apart from those of other Keyv stores on the lane, which have another shape. */
const NAMESPACE = 'cache-manager';

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
  return Object.assign(cache, { wrap: laneWrap(lane, NAMESPACE, events) });
}

/** A Keyv in which a ttl of 0 never ends, as in cache-manager. Keyv itself passes 0 on as no ttl. */
class LaneKeyv extends Keyv {
  override set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    return super.set(key, value, endless(ttl));
  }

  override setMany(entries: KeyvEntry[]): Promise<boolean[]> {
    return super.setMany(entries.map((entry) => ({ ...entry, ...ttlOf(entry) })));
  }
}

const endless = (ttl: number | undefined): number | undefined => (ttl === 0 ? FOREVER_MS : ttl);

function ttlOf({ ttl }: KeyvEntry): { ttl?: number } {
  const given = endless(ttl);
  return given === undefined ? {} : { ttl: given };
}
