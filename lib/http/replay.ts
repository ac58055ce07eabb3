import { isHeldBy } from './entity-tag.js';
import type { Exchange } from './exchange.js';
import type { CacheResponseOptions } from './response-rules.js';
import { fieldNames, type StoredResponse } from './stored-response.js';

interface ReplayTerms {
  readonly ttlMs: number;
  /** Epoch ms. */
  readonly now: number;
  /** For one person, or some; other caches on the way must not share it. */
  readonly isPrivate: boolean;
  /** Made by this very request. */
  readonly isNew: boolean;
}

/** Sets status and headers of the response, and gives the body to send: none for who holds a good copy. */
export function replay(
  exchange: Exchange,
  stored: StoredResponse,
  rules: CacheResponseOptions,
  terms: ReplayTerms,
): unknown {
  if (!terms.isNew) {
    exchange.setStatus(stored.status);
    for (const [name, value] of Object.entries(stored.headers)) exchange.setHeader(name, value);
    exchange.setHeader('age', String(Math.max(0, Math.floor((terms.now - stored.madeAt) / 1_000))));
  }
  const set = exchange.responseHeaders();
  if (set['cache-control'] === undefined) {
    const scope = terms.isPrivate ? 'private, ' : '';
    exchange.setHeader('cache-control', `${scope}max-age=${Math.floor(terms.ttlMs / 1_000)}`);
  }
  const vary = [
    ...new Set([...fieldNames(set['vary']), ...(rules.varyHeaders ?? []).map((name) => name.toLowerCase())]),
  ];
  if (vary.length > 0) exchange.setHeader('vary', vary.join(', '));
  if (stored.entityTag === undefined) return stored.body;
  exchange.setHeader('etag', stored.entityTag);
  if (!isHeldBy(exchange.header('if-none-match'), stored.entityTag)) return stored.body;
  exchange.setStatus(304);
  return undefined;
}
