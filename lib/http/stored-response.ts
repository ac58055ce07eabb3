import { StreamableFile } from '@nestjs/common';
import type { Exchange, Headers, HeaderValue } from './exchange.js';
import { entityTagOf, isHeldBy, isShareable, readCacheControl, sharedMaxAge } from './http-caching.js';

// Decides what of a handler's response is stored, and how a stored response is sent again.

/** A response as it is stored. */
export interface StoredResponse {
  readonly kind: 'response';
  readonly status: number;
  readonly body: unknown;
  /** Headers that the handler set. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly entityTag: string | undefined;
  /** Epoch ms. */
  readonly madeAt: number;
}

/** A response that others may get, and for how long. */
interface ShareableResponse {
  readonly response: StoredResponse;
  /** In seconds; undefined if the handler set no limit. */
  readonly maxAge: number | undefined;
}

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

/**
 * The response after the handler returned `body`. Undefined if it may not be shared: streams, statuses other than
 * success, cookies, what `Cache-Control` keeps private, and what depends on a header that the route does not vary by.
 */
export function shareableResponse(
  exchange: Exchange,
  body: unknown,
  { varyHeaders, now }: { readonly varyHeaders: readonly string[]; readonly now: number },
): ShareableResponse | undefined {
  if (body === undefined || isStream(body)) return undefined;
  const { before, isAnswered } = exchange;
  // If a stored response was sent meanwhile, the platform's response shows that one.
  const { status, headers: after } = isAnswered ? before : exchange.head();
  const control = readCacheControl(after['cache-control']);
  const isCacheable = status >= 200 && status < 300 && status !== 206 && after['set-cookie'] === undefined;
  const middleware = fieldNames(before.headers['vary']).filter((name) => OF_THE_MIDDLEWARE.has(name));
  const variesBeyond = namesBeyond(after['vary'], [...varyHeaders, ...middleware]);
  if (!isCacheable || !isShareable(control) || variesBeyond) return undefined;
  const tag = after['etag'];
  const response: StoredResponse = {
    kind: 'response',
    status,
    body,
    headers: headersOfHandler(before.headers, after),
    madeAt: now,
    entityTag: typeof tag === 'string' ? tag : entityTagOf(body),
  };
  return { response, maxAge: sharedMaxAge(control, after, now) };
}

function isStream(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false;
  if (body instanceof StreamableFile || body instanceof Response || Symbol.asyncIterator in body) return true;
  // `getStream` is that of a StreamableFile from another copy of Nest
  return 'pipe' in body || 'getReader' in body || 'getStream' in body;
}

function headersOfHandler(before: Headers, after: Headers): Record<string, string | readonly string[]> {
  const set: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(after)) {
    if (OF_THE_MESSAGE.has(name) || String(value) === String(before[name] ?? '')) continue;
    set[name] = Array.isArray(value) ? value.map(String) : String(value);
  }
  return set;
}

function namesBeyond(vary: HeaderValue | undefined, known: readonly string[]): boolean {
  const names = new Set(known.map((name) => name.toLowerCase()));
  return fieldNames(vary).some((name) => !names.has(name));
}

function fieldNames(header: HeaderValue | undefined): readonly string[] {
  const text = Array.isArray(header) ? header.join(',') : String(header ?? '');
  return text
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
}

/** How a stored response is sent to one client. */
interface ReplayOptions {
  readonly varyHeaders: readonly string[];
  readonly ttlMs: number;
  /** Epoch ms. */
  readonly now: number;
  /** The answer is for one user, or for some; caches on the way must not share it. */
  readonly isPrivate: boolean;
  /** This very request made the response, so its status and headers are set already. */
  readonly isNew: boolean;
}

/** Sets status and headers of the response, and returns the body to send: none for a client with a valid copy. */
export function replay(exchange: Exchange, stored: StoredResponse, options: ReplayOptions): unknown {
  exchange.beginReplay();
  if (!options.isNew) {
    exchange.setStatus(stored.status);
    for (const [name, value] of Object.entries(stored.headers)) exchange.setHeader(name, value);
    exchange.setHeader('age', String(ageOf(stored, options.now)));
  }
  const set = exchange.head().headers;
  if (set['cache-control'] === undefined) {
    // A cookie that middleware sets, such as that of a session, is for one user even when the stored answer is for all.
    const scope = options.isPrivate || set['set-cookie'] !== undefined ? 'private, ' : '';
    exchange.setHeader('cache-control', `${scope}max-age=${Math.floor(options.ttlMs / 1_000)}`);
  }
  const vary = new Set([...fieldNames(set['vary']), ...options.varyHeaders.map((name) => name.toLowerCase())]);
  if (vary.size > 0) exchange.setHeader('vary', [...vary].join(', '));
  if (stored.entityTag === undefined) return stored.body;
  exchange.setHeader('etag', stored.entityTag);
  if (!isHeldBy(exchange.header('if-none-match'), stored.entityTag)) return stored.body;
  exchange.setStatus(304);
  return undefined;
}

/** The age in whole seconds, for the `Age` header. */
export function ageOf(stored: StoredResponse, now: number): number {
  return Math.max(0, Math.floor((now - stored.madeAt) / 1_000));
}
