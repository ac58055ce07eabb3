import { createHash } from 'node:crypto';
import type { HeaderValue } from './exchange.js';

// Reads the headers of HTTP caching (RFC 9111) and makes entity tags.

/** The directives of a `Cache-Control` header by lower-case name; the value is empty for a directive without one. */
type CacheControl = ReadonlyMap<string, string>;

const DIRECTIVE = /([\w!#$%&'*+.^`|~-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?/g;

/** Ignores what it cannot read; never throws. */
export function readCacheControl(header: unknown): CacheControl {
  const text = Array.isArray(header) ? header.join(',') : typeof header === 'string' ? header : '';
  const directives = new Map<string, string>();
  for (const [, name = '', quoted, plain] of text.matchAll(DIRECTIVE)) {
    directives.set(name.toLowerCase(), quoted ?? plain ?? '');
  }
  return directives;
}

/** Whether the handler lets the server keep the answer for this requester. `private` allows it for one name only. */
export function allowsStoring(control: CacheControl, requester: { readonly kind: string }): boolean {
  return !control.has('no-store') && (requester.kind === 'named' || !control.has('private'));
}

/** How long a shared cache may keep the answer, in seconds; undefined if the header sets no limit. */
export function sharedMaxAge(control: CacheControl): number | undefined {
  return seconds(control.get('s-maxage'));
}

/** Whether the client asks for a fresh answer. */
export function wantsFresh(control: CacheControl, pragma: unknown): boolean {
  if (control.size === 0) return hasNoCache(pragma);
  return control.has('no-cache') || control.get('max-age') === '0';
}

/** The greatest age that the client accepts, in seconds. */
export function oldestWanted(control: CacheControl): number {
  return seconds(control.get('max-age')) ?? Infinity;
}

const hasNoCache = (pragma: unknown): boolean => typeof pragma === 'string' && /\bno-cache\b/i.test(pragma);

function seconds(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

/** A weak tag of the body, or undefined if it has no JSON. Weak, because the body is turned into bytes later. */
export function entityTagOf(body: unknown): string | undefined {
  const text = typeof body === 'string' ? body : jsonOf(body);
  if (text === undefined) return undefined;
  const hash = createHash('sha256').update(text, 'utf8').digest('base64url').slice(0, 27);
  return `W/"${Buffer.byteLength(text).toString(16)}-${hash}"`;
}

function jsonOf(body: unknown): string | undefined {
  try {
    return JSON.stringify(body);
  } catch {
    // A cycle or a bigint: sending it fails later, with its own error.
    return undefined;
  }
}

/** Whether the client's copy is still valid, by `If-None-Match`. Strong and weak tags compare alike. */
export function isHeldBy(ifNoneMatch: unknown, tag: string): boolean {
  if (typeof ifNoneMatch !== 'string') return false;
  if (ifNoneMatch.trim() === '*') return true;
  const opaque = opaqueTag(tag);
  return (ifNoneMatch.match(/(?:W\/)?"[^"]*"/g) ?? []).some((held) => opaqueTag(held) === opaque);
}

const opaqueTag = (tag: string): string => (tag.startsWith('W/') ? tag.slice(2) : tag);

/** The names in a header such as `Vary`, in lower case. */
export function fieldNames(header: HeaderValue | undefined): readonly string[] {
  return String(header ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
}
