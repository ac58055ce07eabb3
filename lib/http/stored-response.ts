import * as nest from '@nestjs/common';
import { HttpException, StreamableFile } from '@nestjs/common';
import type { Exchange, Headers, HeaderValue } from './exchange.js';
import { allowsStoring, entityTagOf, fieldNames, readCacheControl, sharedMaxAge } from './http-caching.js';
import { isStillSharedBy, type KnownRequester } from './requester.js';
import type { Route } from './route.js';

// Decides what of a handler's response is stored, and how a stored response is sent again.

const OK = 200;

/** What a handler did to the headers of its response. */
interface HandlerHead {
  /** Those that it set. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** Names of those that middleware had set before, and that it removed. */
  readonly removed: readonly string[];
}

/** An entry that an earlier version has stored may lack the head. */
interface Stored extends Partial<HandlerHead> {
  readonly status: number;
  /** Epoch ms. */
  readonly madeAt: number;
  readonly ttlMs: number;
}

/** What a handler returned, as it is stored. */
interface StoredBody extends Stored {
  readonly kind: 'response';
  readonly body?: unknown;
  readonly entityTag: string | undefined;
}

/** An HttpException that a handler threw, as it is stored. */
interface StoredException extends Stored {
  readonly kind: 'exception';
  readonly body: string | object;
  /** Whether it was of Nest's own class for the status, or of a subclass. */
  readonly isNests: boolean;
}

export type StoredResponse = StoredBody | StoredException;

/** What a handler did: it returned a body, or threw. */
export type Made =
  { readonly kind: 'body'; readonly body: unknown } | { readonly kind: 'exception'; readonly error: HttpException };

/** Headers of one connection or one message, which are not sent again. */
const OF_THE_MESSAGE: ReadonlySet<string> = new Set([
  'age',
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Header names in `Vary` that middleware handles for every answer, stored or new: CORS and compression. */
const OF_THE_MIDDLEWARE: ReadonlySet<string> = new Set([
  'accept-encoding',
  'access-control-request-headers',
  'access-control-request-method',
  'origin',
]);

/** The request of which an answer is kept, and for whom. */
export interface Keeping {
  readonly exchange: Exchange;
  readonly route: Route;
  readonly requester: KnownRequester;
  /** Of the lane, for a route without a ttl. */
  readonly laneTtlMs: number;
  /** Epoch ms. */
  readonly now: number;
}

/**
 * The response to store. Undefined if it must not be kept: streams, statuses that the route does not keep, cookies, what
 * `Cache-Control` forbids, and what depends on who asks or on a header that the route does not vary by.
 */
export function responseToStore(made: Made, keeping: Keeping): StoredResponse | undefined {
  const { exchange, route, requester } = keeping;
  if (made.kind === 'body' && isStream(made.body)) return undefined;
  const { before } = exchange;
  if (exchange.isAnsweredByOthers && route.mayChangeResponse) return undefined;
  // If a stored response was sent meanwhile, the platform's response shows that one.
  const { status: set, headers: after } = exchange.isAnswered ? before : exchange.head();
  const status = statusOf(made, route, set);
  const ttlMs = ttlOf(status, after, keeping);
  if (ttlMs === undefined || ttlMs === 0 || !isStillSharedBy(requester, exchange)) return undefined;
  if (!allowsStoring(readCacheControl(after['cache-control']), requester)) return undefined;
  const ownCookie = String(after['set-cookie'] ?? '') !== String(before.headers['set-cookie'] ?? '');
  if (ownCookie || (requester.kind === 'anyone' && exchange.setsCookie)) return undefined;
  if (variesBeyond(after['vary'], keeping)) return undefined;
  const { headers, removed } = headOfHandler(before.headers, after);
  const stored = { status, headers, removed, madeAt: keeping.now, ttlMs };
  if (made.kind === 'exception') return exceptionToStore(made.error, stored, route);
  if (made.body === undefined && status === OK) return undefined;
  return bodyToStore(made.body, stored);
}

/** Undefined if a filter of the route would tell the exception from the one that is thrown instead of it later. */
function exceptionToStore(
  error: HttpException,
  { status, headers, removed, madeAt, ttlMs }: Stored & HandlerHead,
  { caught }: Route,
): StoredException | undefined {
  const Nests = NESTS_EXCEPTIONS.get(status);
  const isNests = Nests !== undefined && error instanceof Nests;
  const body = error.getResponse();
  const stored: StoredException = { kind: 'exception', status, headers, removed, body, isNests, madeAt, ttlMs };
  const later = exceptionOf(stored);
  return caught.some((type) => error instanceof type !== later instanceof type) ? undefined : stored;
}

function bodyToStore(body: unknown, { status, headers, removed, madeAt, ttlMs }: Stored & HandlerHead): StoredBody {
  const tag = headers['etag'];
  const entityTag = typeof tag === 'string' ? tag : entityTagOf(body);
  const stored: StoredBody = { kind: 'response', status, headers, removed, entityTag, madeAt, ttlMs };
  return body === undefined ? stored : Object.assign(stored, { body });
}

/** The status that is going to be sent. A redirect gets its own only when Nest sends it. */
function statusOf(made: Made, { redirectStatus }: Route, set: number): number {
  if (made.kind === 'exception') return made.error.getStatus();
  if (redirectStatus === undefined) return set;
  const { statusCode }: { readonly statusCode?: unknown } = Object(made.body);
  return typeof statusCode === 'number' ? statusCode : redirectStatus;
}

/** Undefined for a status that the route does not keep. */
function ttlOf(status: number, headers: Headers, { route, laneTtlMs }: Keeping): number | undefined {
  if (!route.statuses.has(status)) return undefined;
  const ttlMs = route.statuses.get(status) ?? route.ttlMs ?? laneTtlMs;
  const maxAge = sharedMaxAge(readCacheControl(headers['cache-control']));
  return maxAge === undefined ? ttlMs : Math.min(ttlMs, maxAge * 1_000);
}

export function isStream(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false;
  if (body instanceof StreamableFile || body instanceof Response || Symbol.asyncIterator in body) return true;
  // `getStream` is that of a StreamableFile from another copy of Nest
  return 'pipe' in body || 'getReader' in body || 'getStream' in body;
}

function headOfHandler(before: Headers, after: Headers): HandlerHead {
  const headers: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(after)) {
    if (OF_THE_MESSAGE.has(name) || String(value) === String(before[name] ?? '')) continue;
    headers[name] = Array.isArray(value) ? value.map(String) : String(value);
  }
  const removed = Object.keys(before).filter((name) => after[name] === undefined && !OF_THE_MESSAGE.has(name));
  return { headers, removed };
}

/** Only `varyHeaders` states what the handler reads. A sender that nothing identifies sent neither of the personal headers. */
function variesBeyond(vary: HeaderValue | undefined, { exchange, route, requester }: Keeping): boolean {
  const middleware = fieldNames(exchange.before.headers['vary']).filter((name) => OF_THE_MIDDLEWARE.has(name));
  const absent = requester.kind === 'anyone' ? ['authorization', 'cookie'] : [];
  const known = new Set([...route.varyHeaders, ...middleware, ...absent]);
  return fieldNames(vary).some((name) => !known.has(name));
}

/** Sets status and headers of a stored response. Throws a stored exception, so that filters answer it. */
export function replay(exchange: Exchange, stored: StoredResponse, route: Route): unknown {
  exchange.beginReplay();
  const { headers = {}, removed = [] } = stored;
  for (const name of removed) exchange.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) exchange.setHeader(name, value);
  if (stored.kind === 'exception') throw exceptionOf(stored);
  // Nest sets the status of a redirect by the body, after the interceptors.
  if (route.redirectStatus === undefined) exchange.setStatus(stored.status);
  return stored.body;
}

type ExceptionClass = new (body: object) => HttpException;

/** Nest's exceptions by status, which filters may be declared for. */
const NESTS_EXCEPTIONS: ReadonlyMap<number, ExceptionClass> = new Map<number, ExceptionClass>([
  [400, nest.BadRequestException],
  [401, nest.UnauthorizedException],
  [403, nest.ForbiddenException],
  [404, nest.NotFoundException],
  [405, nest.MethodNotAllowedException],
  [406, nest.NotAcceptableException],
  [409, nest.ConflictException],
  [410, nest.GoneException],
  [415, nest.UnsupportedMediaTypeException],
  [422, nest.UnprocessableEntityException],
  [500, nest.InternalServerErrorException],
  [501, nest.NotImplementedException],
  [502, nest.BadGatewayException],
  [503, nest.ServiceUnavailableException],
  [504, nest.GatewayTimeoutException],
]);

function exceptionOf({ status, body, isNests }: StoredException): HttpException {
  const Exception = isNests ? NESTS_EXCEPTIONS.get(status) : undefined;
  if (Exception === undefined || typeof body === 'string') return new HttpException(body, status);
  return new Exception(body);
}

/** The age in whole seconds, for the `Age` header. */
export function ageOf(stored: Stored, now: number): number {
  return Math.max(0, Math.floor((now - stored.madeAt) / 1_000));
}
