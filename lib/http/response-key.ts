import { createHash } from 'node:crypto';

/** What the answer to a request depends on. */
export interface KeyParts {
  /** `Class.method` of the handler: versions and hosts of one URL may have one each. */
  readonly handler: string;
  readonly host: string;
  readonly url: string;
  readonly varyBy: readonly string[];
  /** Values of the headers that the route varies by, in its order. */
  readonly headers: readonly string[];
}

/** The key of a response. Headers are hashed, since they may be credentials. */
export function responseKey({ handler, host, url, varyBy, headers }: KeyParts): string {
  const names = varyBy.length === 0 ? '' : ` ${JSON.stringify(varyBy)}`;
  const hash = headers.length === 0 ? '' : ` #${createHash('sha256').update(JSON.stringify(headers)).digest('hex')}`;
  return `http:${handler}:${host}${canonicalUrl(url)}${names}${hash}`;
}

/**
 * The URL with its query in order of names. What has one name, or one name before its brackets, keeps its order: it is
 * one list.
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

function nameOf(pair: string): string {
  const name = pair.split('=', 1)[0] ?? '';
  return name.replace(/(?:\[|%5B).*$/i, '');
}
