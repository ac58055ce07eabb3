import { createHash } from 'node:crypto';
import type { VaryName } from './cache-response-options.js';
import type { Exchange } from './exchange.js';
import type { KnownRequester } from './requester.js';
import type { Route } from './route.js';

// Decides which requests share an answer: those with an equal key.

/** What the answer to a request depends on. Parts that are undefined do not count. */
export interface KeyParts {
  /** The route's label: different versions or hosts of one URL may have different handlers. */
  readonly handler: string;
  /** The path, or what the route's own `key` gives. */
  readonly subject: string;
  readonly host: string | undefined;
  /** The parameters of path and query as the platform parsed them. */
  readonly params: unknown;
  readonly query: unknown;
  readonly version: string | undefined;
  readonly names: readonly VaryName[] | undefined;
  /** Values of the headers that the route varies by, in its order. Undefined for a missing one. */
  readonly headers: readonly (string | undefined)[];
}

/** Longer names are hashed: they may be tokens. A UUID has as many characters. */
const LONGEST_NAME = 36;
/** Longer subjects are hashed, because a key takes at most 64 KB. */
const LONGEST_SUBJECT = 4_096;
const LONGEST_REST = 8_192;

/**
 * The key of a response: `http:Class.method:`, the subject and JSON of all that counts besides. That JSON is always
 * there and has no space outside its texts, so that no two lists of parts have one key. Throws for what has no JSON.
 *
 * Headers are hashed, since they may be credentials. A hash has more characters than a name that is shown.
 */
export function responseKey({ handler, subject, host, params, query, version, names, headers }: KeyParts): string {
  const rest = JSON.stringify({
    host,
    params: ordered(params),
    query: ordered(query),
    version,
    by: names?.map((name) => (typeof name === 'string' ? short(name, LONGEST_NAME) : name)),
    headers: headers.length === 0 ? undefined : hashed(JSON.stringify(headers)),
  });
  const shownRest = rest.length > LONGEST_REST ? `{"${hashed(rest)}":0}` : rest;
  return `http:${handler}:${short(subject, LONGEST_SUBJECT)} ${shownRest}`;
}

const short = (text: string, longest: number): string => (text.length > longest ? hashed(text) : text);

const hashed = (text: string): string => `#${createHash('sha256').update(text, 'utf16le').digest('hex')}`;

/** The same with its names in order; those of lists keep theirs. Undefined if there is nothing in it. */
function ordered(value: unknown): unknown {
  const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
  return value === undefined || isEmpty ? undefined : sorted(value);
}

function sorted(value: unknown): unknown {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return Array.from(value, sorted);
  if (typeof value !== 'object' || !isPlain(value)) throw new TypeError('A parameter is no plain data.');
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : Number(a > b)));
  const copy: Record<string, unknown> = Object.create(null);
  for (const [name, each] of entries) copy[name] = sorted(each);
  return copy;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** What the answer to this request depends on. Throws what the rules of the route throw, and for what has no key. */
export function keyOf(route: Route, exchange: Exchange, requester: KnownRequester, host: string | undefined): string {
  const own = route.key?.(exchange.request);
  if (route.key !== undefined && (typeof own !== 'string' || own === '')) throw new TypeError('The key is no text.');
  const isOwn = typeof own === 'string';
  const [path = ''] = exchange.url.split('?', 1);
  return responseKey({
    handler: route.label,
    subject: isOwn ? own : path,
    host,
    params: isOwn ? undefined : exchange.request.params,
    query: isOwn ? undefined : countedQuery(route, exchange),
    version: route.versionOf?.(exchange.request),
    names: requester.kind === 'named' ? requester.names : undefined,
    headers: route.varyHeaders.map((name) => exchange.header(name)),
  });
}

/** The query as the platform parsed it, without what does not count. The text of one that it does not parse. */
function countedQuery({ rules, countsQuery }: Route, { request, url }: Exchange): unknown {
  const { query } = request;
  const isParsed = typeof query === 'object' && query !== null && Object.keys(query).length > 0;
  if (rules.query === undefined) return isParsed ? query : url.slice(url.indexOf('?') + 1 || url.length) || undefined;
  return isParsed ? Object.fromEntries(Object.entries(query).filter(([name]) => countsQuery(name))) : undefined;
}

const HOST =
  /^(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\.?|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?$/;
const LONGEST_HOST = 261;
const LAST_PORT = 65_535;

/** The host in lower case, with its port if it has one. Undefined for what no host looks like. */
export function validHost(host: unknown): string | undefined {
  if (typeof host !== 'string' || host.length > LONGEST_HOST) return undefined;
  const lower = host.toLowerCase();
  const port = HOST.exec(lower)?.[1];
  return HOST.test(lower) && Number(port ?? 0) <= LAST_PORT ? lower : undefined;
}

/** What of the host counts. 'refused' = it is invalid, or none of the route's. */
export type Origin = { readonly kind: 'counts'; readonly host: string | undefined } | { readonly kind: 'refused' };

const REFUSED: Origin = Object.freeze({ kind: 'refused' });
const ANY_HOST: Origin = Object.freeze({ kind: 'counts', host: undefined });

/** The host as a part of the key, with the scheme where that is https. */
export function originOf({ rules: { hosts } }: Route, { request, host }: Exchange): Origin {
  if (hosts === false) return ANY_HOST;
  const valid = validHost(host);
  const { protocol } = request;
  if (valid === undefined || (hosts !== undefined && !hosts.includes(valid))) return REFUSED;
  if (protocol !== undefined && protocol !== 'http' && protocol !== 'https') return REFUSED;
  return { kind: 'counts', host: protocol === 'https' ? `https://${valid}` : valid };
}
