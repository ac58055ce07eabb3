import type { LaneManager } from '../cache/lane-manager.js';
import type { BypassReason } from '../events/reasons.js';
import { toMilliseconds } from '../lanes/units.js';
import type { Exchange, NodeResponse, ResponseWatcher } from './exchange.js';
import { entityTagOf, fieldNames, isHeldBy } from './http-caching.js';
import type { Requester } from './requester.js';
import type { Route } from './route.js';
import { ageOf, isStream, type StoredResponse } from './stored-response.js';

/** Where an answer comes from. */
export type AnswerSource =
  | { readonly kind: 'bypass'; readonly reason: BypassReason }
  /** The handler made it for this request. */
  | { readonly kind: 'handler'; readonly why: 'miss' | 'stale' | 'request' }
  | { readonly kind: 'stored'; readonly stored: StoredResponse };

const MISS: AnswerSource = Object.freeze({ kind: 'handler', why: 'miss' });
const REVALIDATED = 'private, no-cache';
const NOTHING = Symbol('nothing');
const PARTIAL = 206;
const NOT_MODIFIED = 304;

/** Sets the headers that say what clients, and caches on the way, may do with one answer. */
export class ClientNotice implements ResponseWatcher {
  private source: AnswerSource = MISS;
  private requester: Requester['kind'] = 'unknown';
  private key: string | undefined;
  private body: unknown = NOTHING;
  private entityTag: string | undefined;
  private isSent = false;

  constructor(
    private readonly exchange: Exchange,
    private readonly route: Route,
    private readonly lane: LaneManager,
  ) {}

  /** The request is looked up, under this key. */
  asked(requester: Requester['kind'], key: string): void {
    this.requester = requester;
    this.key = key;
  }

  /** `body` is what the cache hands to Nest, and `entityTag` its tag if it is known. */
  answered(source: AnswerSource, body: unknown = NOTHING, entityTag?: string): void {
    this.source = source;
    this.body = body;
    this.entityTag = entityTag;
  }

  isHeldByClient(body: unknown): boolean {
    const { exchange, route } = this;
    this.isSent = !isStream(body);
    if (route.rules.clientMaxAge === false || !this.isSent || !isSuccess(exchange.status)) return false;
    if (body === undefined || body === null) return false;
    const tag = this.tagOf(body);
    if (tag === undefined) return false;
    exchange.setHeader('etag', tag);
    return isHeldBy(exchange.header('if-none-match'), tag);
  }

  completeHead(response: NodeResponse): void {
    const { route, exchange } = this;
    const { statusCode } = response;
    if (route.rules.clientMaxAge === false || !this.appliesTo(statusCode)) return;
    const age = this.source.kind === 'stored' ? ageOf(this.source.stored, this.lane.now()) : undefined;
    if (response.getHeader('cache-control') === undefined) {
      const isPersonal = exchange.setsCookie || exchange.isPersonal || exchange.mayGetLateHeaders;
      const isPublic = this.requester !== 'named' && !route.isGuarded && !isPersonal;
      response.setHeader('cache-control', this.cacheControl(isPublic ? 'public' : 'private', age ?? 0));
    }
    const vary = new Set([...fieldNames(response.getHeader('vary')), ...route.varyHeaders, ...route.alsoVaries]);
    if (vary.size > 0) response.setHeader('vary', vary.has('*') ? '*' : [...vary].join(', '));
    if (age !== undefined) response.setHeader('age', String(age));
    const upstream = response.getHeader('cache-status');
    response.setHeader(
      'cache-status',
      [...(upstream === undefined ? [] : [String(upstream)]), this.status()].join(', '),
    );
    if (this.source.kind !== 'bypass') response.setHeader('x-cache', this.source.kind === 'stored' ? 'HIT' : 'MISS');
  }

  /** The tag of a body that an outer interceptor may have changed belongs to what it has become. */
  private tagOf(body: unknown): string | undefined {
    const own = this.exchange.head().headers['etag'];
    if (typeof own === 'string') return own;
    const isAsMade = body === this.body && !this.route.hasOuterInterceptors;
    return (isAsMade ? this.entityTag : undefined) ?? entityTagOf(body);
  }

  /** Errors, streams and parts are left as they are, unless the route keeps their status. */
  private appliesTo(status: number): boolean {
    if (this.route.redirectStatus !== undefined) return this.route.statuses.has(status);
    return this.isSent && (isSuccess(status) || status === NOT_MODIFIED || this.route.statuses.has(status));
  }

  private cacheControl(reach: 'public' | 'private', age: number): string {
    const { clientMaxAge = 0 } = this.route.rules;
    const maxAge = clientMaxAge === false ? 0 : Math.floor(toMilliseconds(clientMaxAge) / 1_000);
    // It is unknown who asks. A client must not keep an answer that may belong to another user.
    if (maxAge === 0 || this.source.kind === 'bypass') return REVALIDATED;
    return `${reach}, max-age=${maxAge + age}`;
  }

  /** RFC 9211. */
  private status(): string {
    const { source, route, key } = this;
    const shownKey = route.rules.showKey === true && key !== undefined ? `; key="${quotable(key)}"` : '';
    if (source.kind === 'bypass') return `lane-cache; fwd=bypass; detail=${source.reason}`;
    if (source.kind === 'handler') return `lane-cache; fwd=${source.why}${shownKey}`;
    const leftMs = source.stored.madeAt + source.stored.ttlMs - this.lane.now();
    return `lane-cache; hit; ttl=${Math.floor(leftMs / 1_000)}${shownKey}`;
  }
}

const isSuccess = (status: number): boolean => status >= 200 && status < 300 && status !== PARTIAL;

/** As a quoted string of a header: printable ASCII, the rest percent-encoded. */
function quotable(text: string): string {
  return Array.from(text, (character) =>
    /[ -~]/.test(character) ? character.replace(/["\\]/, '\\$&') : encodeURIComponent(character.toWellFormed()),
  ).join('');
}
