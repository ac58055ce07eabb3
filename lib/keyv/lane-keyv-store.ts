import type { WriteOptions } from '../cache/call-options.js';
import type { LaneManager } from '../cache/lane-manager.js';
import { checkKey } from '../cache/validate-call.js';
import { createHash } from 'node:crypto';
import { inSlices } from '../clock/slices.js';
import { storePrefix } from '../entries/pattern.js';
import type { Duration } from '../lanes/units.js';
import { anything, coded, kindOf, required, text, defineOptions } from '../options/options-shape.js';

/** One entry of `setMany`; the ttl in MILLISECONDS. */
export interface KeyvEntry {
  readonly key: string;
  readonly value: unknown;
  /** Milliseconds. Default: the lane's. */
  readonly ttl?: number | undefined;
}

/** A store for Keyv, `CacheModule.register({ stores })` and `createCache({ stores })`. */
export interface LaneKeyvStore<C extends LaneManager = LaneManager> {
  readonly opts: { readonly cache: C; readonly namespace?: string; readonly dialect: string };
  /** Keyv sets this to its own namespace. An entry belongs to this namespace and to that of the store, `opts`. */
  namespace?: string | undefined;
  get<T>(key: string): Promise<T | undefined>;
  /** In the order of `keys`. */
  getMany<T>(keys: string[]): Promise<(T | undefined)[]>;
  /** Without a ttl, or with 0, the lane's ttl applies. false = the value was refused. */
  set(key: string, value: unknown, ttlMs?: number): Promise<boolean>;
  /** Declared twice, because Keyv's types expect no result and its code reads one. */
  setMany(entries: KeyvEntry[]): Promise<boolean[]>;
  setMany(entries: KeyvEntry[]): Promise<void>;
  /** true = the key had an entry. */
  delete(key: string): Promise<boolean>;
  /** true = every key had an entry. */
  deleteMany(keys: string[]): Promise<boolean>;
  has(key: string): Promise<boolean>;
  hasMany(keys: string[]): Promise<boolean[]>;
  /** Removes the entries of the store's namespace, and no others of the lane. */
  clear(): Promise<void>;
  /** Keys without the prefix of the namespace, with their values. */
  iterator<T = unknown>(namespace?: string): AsyncGenerator<[string, Awaited<T>], void>;
  /** Accepts listeners for Keyv and never calls them: faults of a tier are events of the lane. */
  on(event: string, listener: (...args: unknown[]) => void): this;
  /** Waits until all writes are on disk. Does not close the cache, which belongs to the app. */
  disconnect(): Promise<void>;
}

/**
 * A lane as a store for Keyv 5. Values are copies, so the caller may change them.
 *
 * Keyv stores values as JSON unless it is given `{ serialize: undefined, deserialize: undefined }`; then dates, maps
 * and listed classes keep their types.
 *
 * @example
 * ```ts
 * const keyv = new Keyv({ store: laneKeyvStore(cache) });
 * ```
 */
export function laneKeyvStore<C extends LaneManager>(
  cache: C,
  options?: { readonly namespace?: string },
): LaneKeyvStore<C> {
  return new KeyvStore(cache, STORE_OPTIONS.read(options).namespace);
}

const CLONED = Object.freeze({ isolation: 'clone' });

const STORE_OPTIONS = defineOptions<{ readonly namespace?: string }>('laneKeyvStore', { namespace: text });

/** As Keyv and cache-manager have it. */
export const milliseconds = coded(
  'TTL_INVALID',
  kindOf(
    'a number of MILLISECONDS, such as 30_000 for half a minute',
    (value): value is number => typeof value === 'number' && !Number.isNaN(value),
  ),
);

const ENTRY = defineOptions<KeyvEntry>('An entry', { key: required(text), value: anything, ttl: milliseconds });

/** Throws TTL_INVALID for a ttl that is no number, and OPTIONS_INVALID for what is no part of an entry. */
export const readEntry = (entry: KeyvEntry): KeyvEntry => ENTRY.read(entry);

class KeyvStore<C extends LaneManager> implements LaneKeyvStore<C> {
  readonly opts: LaneKeyvStore<C>['opts'];
  namespace: string | undefined;

  constructor(
    private readonly cache: C,
    own: string | undefined,
  ) {
    this.namespace = own;
    // Keyv offers an iterator only for the dialects in its own list
    this.opts = { cache, dialect: 'redis', ...(own === undefined ? {} : { namespace: own }) };
  }

  async get<T>(key: string): Promise<T | undefined> {
    return this.cache.get<T>(this.keyOf(key), CLONED);
  }

  async getMany<T>(keys: string[]): Promise<(T | undefined)[]> {
    const own = keys.map((key) => this.keyOf(key));
    const found = await this.cache.getMany<T>(own, CLONED);
    return own.map((key) => found.get(key));
  }

  async set(key: string, value: unknown, ttlMs?: number): Promise<boolean> {
    const { ttl } = readEntry({ key, value, ttl: ttlMs ?? undefined });
    return this.cache.set(this.keyOf(key), value, optionsOf(ttl));
  }

  setMany(entries: KeyvEntry[]): Promise<boolean[]>;
  setMany(entries: KeyvEntry[]): Promise<void>;
  async setMany(entries: KeyvEntry[]): Promise<unknown> {
    const refused = await this.cache.setEach(entries, (entry) => {
      const { key, value, ttl } = readEntry(entry);
      return { key: this.keyOf(key), value, options: optionsOf(ttl) };
    });
    return entries.map(({ key }) => !refused.has(this.keyOf(key)));
  }

  async delete(key: string): Promise<boolean> {
    return this.cache.invalidate(this.keyOf(key));
  }

  async deleteMany(keys: string[]): Promise<boolean> {
    const deleted = await inSlices(this.cache.clock, keys, (key) => this.delete(key));
    return deleted.every(Boolean);
  }

  async has(key: string): Promise<boolean> {
    return this.cache.has(this.keyOf(key));
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    return [...(await inSlices(this.cache.clock, keys, (key) => this.has(key)))];
  }

  async clear(): Promise<void> {
    await this.cache.invalidateByPattern(`${this.prefix()}*`);
  }

  async *iterator<T = unknown>(namespace = this.namespace): AsyncGenerator<[string, Awaited<T>], void> {
    const prefix = keyPrefix(this.opts.namespace, namespace);
    for await (const { key } of this.cache.entries(`${prefix}*`)) {
      const value = await this.cache.get<Awaited<T>>(key, CLONED);
      if (value !== undefined) yield [key.slice(prefix.length), value];
    }
  }

  on(): this {
    return this;
  }

  disconnect(): Promise<void> {
    return this.cache.flush();
  }

  private keyOf(key: string): string {
    return keyBehind(this.prefix(), key, this.cache.lane);
  }

  private prefix(): string {
    return keyPrefix(this.opts.namespace, this.namespace);
  }
}

/** Names that need no hash: they contain no separator of prefixes, and match only themselves in a pattern. */
const PLAIN = /^[\w.@/-]{1,128}$/;

/**
 * The prefix of the store's keys in the lane, made from the store's own namespace and the one that Keyv sets. Different
 * pairs of names have different prefixes.
 */
export function keyPrefix(own: string | undefined, ofKeyv: string | undefined): string {
  if (own === undefined || own === ofKeyv) return storePrefix(segment(ofKeyv));
  return storePrefix(ofKeyv === undefined ? segment(own) : `${segment(own)}+${segment(ofKeyv)}`);
}

/** The key of an entry in the lane. Throws KEY_INVALID for what is no text: `undefined` would be one key for all callers. */
export const keyBehind = (prefix: string, key: string, lane: string): string =>
  key === '' ? prefix : prefix + checkKey(key, lane);

function segment(name: string | undefined): string {
  if (name === undefined || PLAIN.test(name)) return name ?? '';
  return `#${createHash('sha256').update(name, 'utf16le').digest('hex')}`;
}

/** A ttl that never ends in practice. */
export const FOREVER_MS = Number.MAX_SAFE_INTEGER;

/**
 * Converts a ttl of Keyv or cache-manager, in MILLISECONDS, into a duration of the lanes. None, or 0, which Keyv treats
 * as none, is undefined: the lane's ttl applies. A negative ttl has ended already, which is 0 to the lanes: nothing is
 * stored. What is not a duration is passed on, and the lane throws TTL_INVALID.
 */
export function durationOf(ttlMs: number | undefined): Duration | undefined {
  if (ttlMs === undefined || ttlMs === null || ttlMs === 0) return undefined;
  if (ttlMs < 0) return 0;
  // as text, because a bare number would be seconds
  if (ttlMs > FOREVER_MS) return `${FOREVER_MS}ms`;
  return ttlMs > 0 && ttlMs < 1 ? '1ms' : `${ttlMs}ms`;
}

function optionsOf(ttlMs: number | undefined): WriteOptions | undefined {
  const ttl = durationOf(ttlMs);
  return ttl === undefined ? undefined : { ttl };
}
