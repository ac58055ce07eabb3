import type { Route } from './route.js';

// What the boot says about routes whose @CacheResponse does nothing, or whose key does not cover what they read.

/** Nest's numbers of the parameter decorators `@Headers()` and `@Ip()`. */
const HEADERS = 6;
const IP = 11;

/** What a handler reads of a request by decorators of its parameters. */
export interface HandlerInput {
  /** Names of headers in lower case. `*` = all of them. */
  readonly headers: readonly string[];
  readonly readsIp: boolean;
}

/** From Nest's metadata of a handler's parameters. */
export function handlerInput(parameters: object): HandlerInput {
  const read = Object.entries(parameters).map(([name, { data }]: [string, { readonly data?: unknown }]) => {
    return [Number(name.split(':')[0]), typeof data === 'string' ? data.toLowerCase() : '*'] as const;
  });
  return {
    headers: read.filter(([kind]) => kind === HEADERS).map(([, name]) => name),
    readsIp: read.some(([kind]) => kind === IP),
  };
}

/** Requests with these are recognized as personal, by which answers are kept apart already. */
const PERSONAL = new Set(['authorization', 'cookie']);

/** What a cached route reads that its key does not depend on, in words. */
export function unkeyedInput({ rules, isCached, input, varyHeaders }: Route): readonly string[] {
  if (!isCached || rules.shared === true || rules.varyBy !== undefined || typeof rules.key === 'function') return [];
  const headers = input.headers
    .filter((name) => !varyHeaders.includes(name) && !PERSONAL.has(name))
    .map((name) => (name === '*' ? 'all headers (@Headers())' : `the header '${name}' (@Headers)`));
  return input.readsIp ? [...headers, "the caller's address (@Ip)"] : headers;
}
