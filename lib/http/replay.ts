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

/** In whole seconds, as `Age` says it. */
export function ageOf(stored: StoredResponse, now: number): number {
  return Math.max(0, Math.floor((now - stored.madeAt) / 1_000));
}

/** Sets status and headers of the response, and gives the body to send: none for who holds a good copy. */
export function replay(
  exchange: Exchange,
  stored: StoredResponse,
  rules: CacheResponseOptions,
  terms: ReplayTerms,
): unknown {
  exchange.beginReplay();
  if (!terms.isNew) {
    exchange.setStatus(stored.status);
    for (const [name, value] of Object.entries(stored.headers)) exchange.setHeader(name, value);
    exchange.setHeader('age', String(ageOf(stored, terms.now)));
  }
  const set = exchange.head().headers;
  if (set['cache-control'] === undefined) {
    // a cookie beside the copy, of a session for instance, is for one person whoever the copy is for
    const scope = terms.isPrivate || set['set-cookie'] !== undefined ? 'private, ' : '';
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
