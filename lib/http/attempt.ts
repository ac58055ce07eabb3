import { HttpException, type CallHandler } from '@nestjs/common';
import { lastValueFrom } from 'rxjs';
import type { LaneManager } from '../cache/lane-manager.js';
import type { ComputeContext } from '../cache/call-options.js';
import { toMilliseconds } from '../lanes/duration.js';
import type { Exchange } from './exchange.js';
import type { CacheResponseOptions } from './response-rules.js';
import type { Route } from './route.js';
import { madeResponse, type StoredResponse } from './stored-response.js';

/** One request for a response that others may share. */
export interface Asked {
  readonly lane: LaneManager;
  readonly route: Route;
  readonly exchange: Exchange;
  readonly next: CallHandler;
  /** Who or what the answer is for; none if it is for everybody. */
  readonly varyBy: readonly string[];
}

/** What a flight brings that each caller has to make for himself. */
export interface Unshared {
  readonly kind: 'unshared';
}

const UNSHARED: Unshared = Object.freeze({ kind: 'unshared' });

/** What came of a caller's own call of the handler, for himself. */
export type Outcome =
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
      // an answer such as 404, which no stale copy may stand in for
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
    // who asks may have become known behind this interceptor
    if (exchange.isPersonal && varyBy.length === 0) return {};
    const how = { varyHeaders: route.rules.varyHeaders ?? [], now: lane.insides.space.parts.clock.now() };
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
