import { createHash } from 'node:crypto';

// Decides which requests share an answer: those with an equal key.

/** What the answer to a request depends on. */
export interface KeyParts {
  /** The route's label: different versions or hosts of one URL may have different handlers. */
  readonly handler: string;
  readonly host: string;
  readonly url: string;
  readonly varyBy: readonly string[];
  /** Values of the headers that the route varies by, in its order. */
  readonly headers: readonly string[];
}

/** Longer names are hashed: they may be tokens. */
const LONGEST_NAME = 64;
/** Longer URLs are hashed, because a key takes at most 64 KB. */
const LONGEST_URL = 8_192;

/** The key of a response. Headers are hashed, since they may be credentials. */
export function responseKey({ handler, host, url, varyBy, headers }: KeyParts): string {
  const names = varyBy.length === 0 ? '' : ` ${JSON.stringify(varyBy.map((name) => short(name, LONGEST_NAME)))}`;
  const hash = headers.length === 0 ? '' : ` ${hashed(JSON.stringify(headers))}`;
  return `http:${handler}:${host}${short(canonicalUrl(url), LONGEST_URL)}${names}${hash}`;
}

const short = (text: string, longest: number): string => (text.length > longest ? hashed(text) : text);

const hashed = (text: string): string => `#${createHash('sha256').update(text).digest('hex')}`;

/**
 * The URL with its query sorted by name. Parameters of the same name, up to its brackets, keep their order, because
 * they form one list.
 */
export function canonicalUrl(url: string): string {
  const at = url.indexOf('?');
  if (at === -1) return url;
  const pairs = url
    .slice(at + 1)
    .split('&')
    .filter((pair) => pair !== '');
  if (pairs.length === 0) return url.slice(0, at);
  const named = pairs.map((pair) => ({ pair, name: nameOf(pair) }));
  const sorted = named.toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  return `${url.slice(0, at)}?${sorted.map(({ pair }) => pair).join('&')}`;
}

/** The name as query parsers read it, without brackets. */
function nameOf(pair: string): string {
  const name = (pair.split('=', 1)[0] ?? '').replaceAll('+', ' ');
  return decoded(name).replace(/\[.*$/s, '');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
