import { createCache, type Cache } from 'cache-manager';
import { Keyv, type KeyvEntry } from 'keyv';
import type { LaneManager } from '../cache/lane-manager.js';
import { laneKeyvStore, FOREVER_MS } from './lane-keyv-store.js';
import { laneWrap } from './lane-wrap.js';

/** Its own corner of the lane: what others store there has another shape. */
const NAMESPACE = 'cache-manager';

/**
 * A lane as cache-manager's `Cache`: ttls in MILLISECONDS, values as copies of their own kind and not as JSON.
 *
 * Without a ttl it is the lane's; a ttl of 0 never ends, as with cache-manager. `wrap` computes once for concurrent callers,
 * and does not store a result that was deleted or cleared while it was computed.
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

/** A Keyv whose 0 means what it means to cache-manager's users, where Keyv itself would forget it. */
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
