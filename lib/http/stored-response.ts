import {
  StreamableFile,
  Injectable,
  UnsupportedMediaTypeException,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { isShareable, readCacheControl, sharedMaxAge, entityTagOf } from './http-caching.js';
import type { Exchange, Headers, HeaderValue } from './exchange.js';

/** A response as it is kept. */
export interface StoredResponse {
  readonly kind: 'response';
  readonly status: number;
  readonly body: unknown;
  /** Those that the handler set. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly entityTag: string | undefined;
  /** Epoch ms. */
  readonly madeAt: number;
}

/** What a handler made, and how long it may be kept. */
interface Made {
  readonly response: StoredResponse;
  /** In seconds; undefined if the handler did not say. */
  readonly maxAge: number | undefined;
}

/** Headers of one connection or one message, which are not replayed. */
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

/** Named in `Vary` by what sees to them for every answer anew: CORS and compression. */
const OF_THE_MIDDLEWARE: ReadonlySet<string> = new Set([
  'accept-encoding',
  'access-control-request-headers',
  'access-control-request-method',
  'origin',
]);

/**
 * What a handler just made, or undefined if it is not for others: streams, other statuses than success, cookies, what
 * `Cache-Control` keeps private, and what depends on a header that the route does not vary by.
 */
export function madeResponse(
  exchange: Exchange,
  body: unknown,
  how: { readonly varyHeaders: readonly string[]; readonly now: number },
): Made | undefined {
  if (body === undefined || isStream(body)) return undefined;
  const { before, isAnswered } = exchange;
  // If a copy was sent in the meantime, the response shows that copy.
  const { status, headers: after } = isAnswered ? before : exchange.head();
  const control = readCacheControl(after['cache-control']);
  const isKept = status >= 200 && status < 300 && status !== 206 && after['set-cookie'] === undefined;
  const seenTo = [
    ...how.varyHeaders,
    ...fieldNames(before.headers['vary']).filter((name) => OF_THE_MIDDLEWARE.has(name)),
  ];
  if (!isKept || !isShareable(control) || variesBeyond(after['vary'], seenTo)) return undefined;
  const tag = after['etag'];
  const response: StoredResponse = {
    kind: 'response',
    status,
    body,
    headers: setMeanwhile(before.headers, after),
    madeAt: how.now,
    entityTag: typeof tag === 'string' ? tag : entityTagOf(body),
  };
  return { response, maxAge: sharedMaxAge(control, after, how.now) };
}

function isStream(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false;
  if (body instanceof StreamableFile || body instanceof Response || Symbol.asyncIterator in body) return true;
  // the last one is a StreamableFile of another copy of Nest
  return 'pipe' in body || 'getReader' in body || 'getStream' in body;
}

function setMeanwhile(before: Headers, after: Headers): Record<string, string | readonly string[]> {
  const set: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(after)) {
    if (OF_THE_MESSAGE.has(name) || String(value) === String(before[name] ?? '')) continue;
    set[name] = Array.isArray(value) ? value.map(String) : String(value);
  }
  return set;
}

function variesBeyond(vary: HeaderValue | undefined, known: readonly string[]): boolean {
  const names = new Set(known.map((name) => name.toLowerCase()));
  return fieldNames(vary).some((name) => !names.has(name));
}

export function fieldNames(header: HeaderValue | undefined): readonly string[] {
  const text = Array.isArray(header) ? header.join(',') : String(header ?? '');
  return text
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
}

/**
 * Lets JSON in and nothing else: a page of another site can make a browser send a form, with the user's cookies, but no
 * JSON without being asked first.
 */
@Injectable()
export class JsonBodies implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context
      .switchToHttp()
      .getRequest<{ readonly headers: Readonly<Record<string, string | undefined>> }>();
    const type = headers['content-type']?.split(';')[0] ?? '';
    if (type.trim().toLowerCase() === 'application/json') return true;
    throw new UnsupportedMediaTypeException('Send JSON: content-type: application/json.');
  }
}
