/** The directives of a `Cache-Control` header by their lower-case names; those without a value have an empty one. */
export type CacheControl = ReadonlyMap<string, string>;

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

/** How long a cache that many share may keep the answer, in seconds; undefined if it does not say. */
export function sharedMaxAge(control: CacheControl): number | undefined {
  return seconds(control.get('s-maxage')) ?? seconds(control.get('max-age'));
}

/** Whether who asks wants it made anew. */
export function wantsFresh(control: CacheControl, pragma: unknown): boolean {
  if (control.size === 0) return typeof pragma === 'string' && /\bno-cache\b/i.test(pragma);
  return control.has('no-cache') || control.get('max-age') === '0';
}

/** The age beyond which who asks does not want a copy, in seconds. */
export function oldestWanted(control: CacheControl): number {
  return seconds(control.get('max-age')) ?? Infinity;
}

function seconds(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}
