import { createHash } from 'node:crypto';

/** The directives of a `Cache-Control` header by their lower-case names; those without a value have an empty one. */
type CacheControl = ReadonlyMap<string, string>;

const DIRECTIVE = /([\w!#$%&'*+.^`|~-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?/g;

/** Never throws: what makes no sense is left out. */
export function readCacheControl(header: unknown): CacheControl {
  const text = Array.isArray(header) ? header.join(',') : typeof header === 'string' ? header : '';
  const directives = new Map<string, string>();
  for (const [, name = '', quoted, plain] of text.matchAll(DIRECTIVE)) {
    directives.set(name.toLowerCase(), quoted ?? plain ?? '');
  }
  return directives;
}

/** Whether a cache that many share may keep the answer. */
export function isShareable(control: CacheControl): boolean {
  return !control.has('private') && !control.has('no-store') && !control.has('no-cache');
}

/** The life of an answer by headers older than `Cache-Control`, which wins over them. */
interface OlderHeaders {
  readonly pragma?: unknown;
  readonly expires?: unknown;
}

/**
 * How long a cache that many share may keep the answer, in seconds; undefined if it does not say. `now` in epoch ms. A
 * date that is none, such as the usual `Expires: 0`, is over.
 */
export function sharedMaxAge(control: CacheControl, older: OlderHeaders, now: number): number | undefined {
  const declared = seconds(control.get('s-maxage')) ?? seconds(control.get('max-age'));
  if (declared !== undefined) return declared;
  if (control.size === 0 && saysNoCache(older.pragma)) return 0;
  if (older.expires === undefined) return undefined;
  return Math.max(0, Math.floor((readDate(older.expires) - now) / 1_000));
}

/** Epoch ms; 0 for what is no date of HTTP, though it be one elsewhere. */
function readDate(header: unknown): number {
  return typeof header === 'string' && header.endsWith(' GMT') ? Date.parse(header) || 0 : 0;
}

/** Whether the client asks for a fresh answer. */
export function wantsFresh(control: CacheControl, pragma: unknown): boolean {
  if (control.size === 0) return saysNoCache(pragma);
  return control.has('no-cache') || control.get('max-age') === '0';
}

/** The greatest age that the client accepts, in seconds. */
export function oldestWanted(control: CacheControl): number {
  return seconds(control.get('max-age')) ?? Infinity;
}

const saysNoCache = (pragma: unknown): boolean => typeof pragma === 'string' && /\bno-cache\b/i.test(pragma);

function seconds(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

/** A weak tag of what a handler gave, or undefined if it has no JSON. Weak, because the bytes are made from it later. */
export function entityTagOf(body: unknown): string | undefined {
  const text = typeof body === 'string' ? body : jsonOf(body);
  if (text === undefined) return undefined;
  const hash = createHash('sha256').update(text, 'utf8').digest('base64url').slice(0, 27);
  return `W/"${Buffer.byteLength(text).toString(16)}-${hash}"`;
}

/** Whether the client's copy is still valid, by `If-None-Match`. Strong and weak tags compare alike. */
export function isHeldBy(ifNoneMatch: unknown, tag: string): boolean {
  if (typeof ifNoneMatch !== 'string') return false;
  if (ifNoneMatch.trim() === '*') return true;
  const opaque = opaqueTag(tag);
  return (ifNoneMatch.match(/(?:W\/)?"[^"]*"/g) ?? []).some((held) => opaqueTag(held) === opaque);
}

const opaqueTag = (tag: string): string => (tag.startsWith('W/') ? tag.slice(2) : tag);

function jsonOf(body: unknown): string | undefined {
  try {
    return JSON.stringify(body);
  } catch {
    // A cycle or a bigint: sending it fails later, with its own error.
    return undefined;
  }
}
