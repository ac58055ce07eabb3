import { HttpException, type CallHandler } from '@nestjs/common';
import { lastValueFrom } from 'rxjs';
import type { LaneManager } from '../cache/lane-manager.js';
import type { ComputeContext } from '../cache/call-options.js';
import { toMilliseconds } from '../lanes/units.js';
import type { Exchange } from './exchange.js';
import type { CacheResponseOptions, Route } from './response-key.js';
import { madeResponse, type StoredResponse, fieldNames } from './stored-response.js';
import { isHeldBy } from './http-caching.js';

/** One request for a response that others may share. */
export interface Asked {
  readonly lane: LaneManager;
  readonly route: Route;
  readonly exchange: Exchange;
  readonly next: CallHandler;
  /** Who or what the answer is for. Empty if it is for all. */
  readonly varyBy: readonly string[];
}

/** The result of a flight whose callers must each run the handler. */
export interface Unshared {
  readonly kind: 'unshared';
}

const UNSHARED: Unshared = Object.freeze({ kind: 'unshared' });

/** What came of a caller's own call of the handler, for himself. */
type Outcome =
  | { readonly kind: 'made'; readonly body: unknown; readonly response: StoredResponse | undefined }
  | { readonly kind: 'refused'; readonly error: unknown };

/** One caller's own go at the handler, if it comes to that. */
export class Attempt {
  outcome: Outcome | undefined;

  constructor(private readonly asked: Asked) {}

  async run(context: ComputeContext): Promise<StoredResponse | Unshared> {
    const { route, lane, next } = this.asked;
    let body: unknown;
    try {
      body = await lastValueFrom(next.handle());
    } catch (error) {
      // An answer such as 404: no stale copy may replace it.
      if (!(error instanceof HttpException) || error.getStatus() >= 500 || lane.policy.graceMs === 0) throw error;
      this.outcome = { kind: 'refused', error };
      return unshared(context);
    }
    const { response, maxAge } = this.made(body);
    this.outcome = { kind: 'made', body, response };
    if (response === undefined) return unshared(context);
    if (maxAge !== undefined && maxAge * 1_000 < ttlOf(route.rules, lane)) context.setTtl(`${maxAge}s`);
    return response;
  }

  private made(body: unknown): { readonly response?: StoredResponse; readonly maxAge?: number | undefined } {
    const { exchange, route, lane, varyBy } = this.asked;
    // The user may have become known after this interceptor started.
    if (exchange.isPersonal && varyBy.length === 0) return {};
    const how = { varyHeaders: route.rules.varyHeaders ?? [], now: lane.now() };
    const made = madeResponse(exchange, body, how);
    return made === undefined || made.maxAge === 0 ? {} : made;
  }
}

/** In milliseconds. */
export function ttlOf(rules: CacheResponseOptions, lane: LaneManager): number {
  return rules.ttl === undefined ? lane.policy.ttlMs : toMilliseconds(rules.ttl);
}

function unshared(context: ComputeContext): Unshared {
  context.skipCache();
  return UNSHARED;
}

interface ReplayTerms {
  readonly ttlMs: number;
  /** Epoch ms. */
  readonly now: number;
  /** For one person, or some; other caches on the way must not share it. */
  readonly isPrivate: boolean;
  /** Made by this very request. */
  readonly isNew: boolean;
}

/** The age in whole seconds, for the `Age` header. */
export function ageOf(stored: StoredResponse, now: number): number {
  return Math.max(0, Math.floor((now - stored.madeAt) / 1_000));
}

/** Sets status and headers of the response, and returns the body to send: none for a client with a valid copy. */
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
    // A cookie beside the copy, such as of a session, is for one person, also when the copy is for all.
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
