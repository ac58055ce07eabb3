import { HttpException, type CallHandler } from '@nestjs/common';
import { lastValueFrom } from 'rxjs';
import type { ComputeContext } from '../cache/call-options.js';
import type { LaneManager } from '../cache/lane-manager.js';
import type { Exchange } from './exchange.js';
import type { KnownRequester } from './requester.js';
import type { Route } from './route.js';
import { type Made, responseToStore, type StoredResponse } from './stored-response.js';

/** One request whose answer others may share. */
export interface CacheableRequest {
  readonly lane: LaneManager;
  readonly route: Route;
  readonly exchange: Exchange;
  readonly next: CallHandler;
  readonly requester: KnownRequester;
  readonly key: string;
  readonly tags: readonly string[];
}

/**
 * The result of a computation that cannot be shared: each of its callers must run the handler. After a client that left,
 * one of them may do so for all.
 */
export interface Unshared {
  readonly kind: 'unshared';
  readonly why: 'private' | 'client-left';
}

/** A client error such as 404 that is not stored. All who wait get it. */
export interface ClientError {
  readonly kind: 'client-error';
  readonly error: HttpException;
}

const PRIVATE: Unshared = Object.freeze({ kind: 'unshared', why: 'private' });
const CLIENT_LEFT: Unshared = Object.freeze({ kind: 'unshared', why: 'client-left' });

/** What the handler made for this request. */
export interface OwnAnswer {
  readonly kind: 'own';
  readonly made: Made | { readonly kind: 'failure'; readonly error: unknown };
  readonly entityTag: string | undefined;
  /** Whether it replaces an answer whose ttl has ended. */
  readonly wasStale: boolean;
}

/** Runs the handler for one request, and decides whether other requests may share what it makes. */
export class HandlerCall {
  /** Undefined while the handler has not run for this request. */
  own: OwnAnswer | undefined;
  /** Resolves with `own` when it is to be sent before others may share it. */
  readonly whenOwn: Promise<OwnAnswer>;
  private resolveOwn: (own: OwnAnswer) => void = () => undefined;

  constructor(private readonly request: CacheableRequest) {
    this.whenOwn = new Promise((resolve) => (this.resolveOwn = resolve));
  }

  /**
   * The computation to cache. Rejects with the handler's error, unless the client has left, which may be the reason: the
   * others who wait do not get that error.
   */
  async run(context: ComputeContext): Promise<StoredResponse | Unshared | ClientError> {
    try {
      return await this.share(context);
    } catch (error) {
      if (!this.request.exchange.hasClientLeft) throw error;
      context.skipCache();
      this.own = { kind: 'own', made: { kind: 'failure', error }, entityTag: undefined, wasStale: false };
      return CLIENT_LEFT;
    }
  }

  private async share(context: ComputeContext): Promise<StoredResponse | Unshared | ClientError> {
    const made = await this.make();
    const { lane, route, exchange, requester } = this.request;
    const laneTtlMs = lane.policy.ttlMs;
    const response = responseToStore(made, { exchange, route, requester, laneTtlMs, now: lane.now() });
    if (made.kind === 'exception' && response === undefined && !this.isAnswerOfClient(made.error)) throw made.error;
    const entityTag = response?.kind === 'response' ? response.entityTag : undefined;
    this.own = { kind: 'own', made, entityTag, wasStale: (context.stale?.expiredMs ?? 0) > 0 };
    const shared = response === undefined ? this.notStored(made) : await this.sharedAfterSending(response);
    if (shared.kind === 'unshared' || shared.kind === 'client-error') {
      context.skipCache();
      return shared;
    }
    if (shared.ttlMs !== (route.ttlMs ?? laneTtlMs)) context.setTtl(`${shared.ttlMs}ms`);
    return shared;
  }

  private notStored(made: Made): Unshared | ClientError {
    if (made.kind === 'body') return PRIVATE;
    return this.request.exchange.hasClientLeft ? CLIENT_LEFT : { kind: 'client-error', error: made.error };
  }

  private async make(): Promise<Made> {
    try {
      return { kind: 'body', body: await lastValueFrom(this.request.next.handle(), { defaultValue: undefined }) };
    } catch (error) {
      if (error instanceof HttpException) return { kind: 'exception', error };
      throw error;
    }
  }

  /** A client error such as 404 is an answer: no stale copy may replace it. */
  private isAnswerOfClient(error: HttpException): boolean {
    return error.getStatus() < 500 && this.request.lane.policy.graceMs > 0;
  }

  /**
   * Middleware such as that of sessions sets its cookie when the head is written. An answer without a name is therefore
   * sent first, and shared if it set none. What is shared is a copy: outer interceptors may change what is sent. After a
   * client that left, it is not known whether a cookie would have been set.
   */
  private async sharedAfterSending(response: StoredResponse): Promise<StoredResponse | Unshared> {
    const { exchange, requester, lane } = this.request;
    if (requester.kind !== 'anyone' || exchange.isAnswered || this.own === undefined) return response;
    const copy = lane.copyOf(response);
    this.resolveOwn(this.own);
    await exchange.whenHeadWritten();
    if (exchange.hasClientLeft) return CLIENT_LEFT;
    return exchange.setsCookie ? PRIVATE : copy;
  }
}
