import { HttpException, type CallHandler } from '@nestjs/common';
import { lastValueFrom } from 'rxjs';
import type { ComputeContext } from '../cache/call-options.js';
import type { LaneManager } from '../cache/lane-manager.js';
import { toMilliseconds } from '../lanes/units.js';
import type { Exchange } from './exchange.js';
import type { CacheResponseOptions, Route } from './route.js';
import { shareableResponse, type StoredResponse } from './stored-response.js';

/** One request whose answer others may share. */
export interface CacheableRequest {
  readonly lane: LaneManager;
  readonly route: Route;
  readonly exchange: Exchange;
  readonly next: CallHandler;
  /** Who or what the answer is for. Empty if it is for all. */
  readonly varyBy: readonly string[];
}

/** The result of a computation that cannot be shared: each of its callers must run the handler. */
export interface Unshared {
  readonly kind: 'unshared';
}

const UNSHARED: Unshared = Object.freeze({ kind: 'unshared' });

type Outcome =
  | { readonly kind: 'made'; readonly body: unknown; readonly response: StoredResponse | undefined }
  | { readonly kind: 'refused'; readonly error: unknown };

/** Runs the handler for one request, and decides whether other requests may share what it makes. */
export class HandlerCall {
  /** Undefined while the handler has not run for this request. */
  outcome: Outcome | undefined;

  constructor(private readonly request: CacheableRequest) {}

  /** The computation to cache. Rejects with the handler's error. */
  async run(context: ComputeContext): Promise<StoredResponse | Unshared> {
    const { route, lane, next } = this.request;
    let body: unknown;
    try {
      body = await lastValueFrom(next.handle());
    } catch (error) {
      // A client error such as 404 is an answer: no stale copy may replace it.
      if (!(error instanceof HttpException) || error.getStatus() >= 500 || lane.policy.graceMs === 0) throw error;
      this.outcome = { kind: 'refused', error };
      return unshared(context);
    }
    const { response, maxAge } = this.shareable(body);
    this.outcome = { kind: 'made', body, response };
    if (response === undefined) return unshared(context);
    if (maxAge !== undefined && maxAge * 1_000 < ttlOf(route.rules, lane)) context.setTtl(`${maxAge}s`);
    return response;
  }

  private shareable(body: unknown): { readonly response?: StoredResponse; readonly maxAge?: number | undefined } {
    const { exchange, route, lane, varyBy } = this.request;
    // The user may have become known after the interceptor started.
    if (exchange.isPersonal && varyBy.length === 0) return {};
    const made = shareableResponse(exchange, body, { varyHeaders: route.rules.varyHeaders ?? [], now: lane.now() });
    return made === undefined || made.maxAge === 0 ? {} : made;
  }
}

function unshared(context: ComputeContext): Unshared {
  context.skipCache();
  return UNSHARED;
}

/** In milliseconds. */
export function ttlOf(rules: CacheResponseOptions, lane: LaneManager): number {
  return rules.ttl === undefined ? lane.policy.ttlMs : toMilliseconds(rules.ttl);
}
