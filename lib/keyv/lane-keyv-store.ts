import type { LaneManager } from '../cache/lane-manager.js';
import { createHash } from 'node:crypto';
import type { Duration } from '../lanes/units.js';
import { anything, coded, kindOf, text } from '../options/kinds.js';
import { defineOptions } from '../options/options-shape.js';

/** One entry of `setMany`; the ttl in MILLISECONDS. */
export interface KeyvEntry {
  readonly key: string;
  readonly value: unknown;
  readonly ttl?: number | undefined;
}

/** What Keyv, `CacheModule.register({ stores })` and `createCache({ stores })` take as a store. */
export interface LaneKeyvStore<C extends LaneManager = LaneManager> {
  readonly opts: { readonly cache: C; readonly namespace?: string; readonly dialect: string };
  /** Set by Keyv to its own; entries belong to it and to the store's own namespace both. */
  namespace?: string | undefined;
  get<T>(key: string): Promise<T | undefined>;
  /** In the order asked. */
  getMany<T>(keys: string[]): Promise<(T | undefined)[]>;
  /** Without a ttl, or with one of 0, the lane's counts. false = it was refused. */
  set(key: string, value: unknown, ttlMs?: number): Promise<boolean>;
  /** Keyv's types say that nothing comes back, and Keyv reads what does. */
  setMany(entries: KeyvEntry[]): Promise<boolean[]>;
  setMany(entries: KeyvEntry[]): Promise<void>;
  /** true = it was there. */
  delete(key: string): Promise<boolean>;
  /** true = all of them were there. */
  deleteMany(keys: string[]): Promise<boolean>;
  has(key: string): Promise<boolean>;
  hasMany(keys: string[]): Promise<boolean[]>;
  /** Removes what is in the store's namespace, and nothing else of the lane. */
  clear(): Promise<void>;
  /** Keys as they were given, with their values. */
  iterator<T = unknown>(namespace?: string): AsyncGenerator<[string, Awaited<T>], void>;
  /** Takes listeners as Keyv wants, and never calls them: trouble of a tier is the lane's own event. */
  on(event: string, listener: (...args: unknown[]) => void): this;
  /** Waits for the disk. The cache stays open: the app closes it. */
  disconnect(): Promise<void>;
}

/**
 * A lane as a store for Keyv 5. Values are copies, so the caller may change them.
 *
 * Keyv turns values into JSON before it stores them, unless it has `{ serialize: undefined, deserialize: undefined }`. Then
 * dates, maps and listed classes come back as such.
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
  kindOf('a number of MILLISECONDS', (value): value is number => typeof value === 'number' && !Number.isNaN(value)),
);

const ENTRY = defineOptions<KeyvEntry>('An entry', { key: text, value: anything, ttl: milliseconds });

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
    // Keyv offers an iterator over stores of the dialects in its own list, and none over others
    this.opts = { cache, dialect: 'redis', ...(own === undefined ? {} : { namespace: own }) };
  }

  get<T>(key: string): Promise<T | undefined> {
    return this.cache.get<T>(this.prefix() + key, CLONED);
  }

  async getMany<T>(keys: string[]): Promise<(T | undefined)[]> {
    const prefix = this.prefix();
    const found = await this.cache.getMany<T>(
      keys.map((key) => prefix + key),
      CLONED,
    );
    return keys.map((key) => found.get(prefix + key));
  }

  async set(key: string, value: unknown, ttlMs?: number): Promise<boolean> {
    const ttl = durationOf(readEntry({ key, value, ttl: ttlMs ?? undefined }).ttl);
    return this.cache.set(this.prefix() + key, value, ttl === undefined ? undefined : { ttl });
  }

  setMany(entries: KeyvEntry[]): Promise<boolean[]>;
  setMany(entries: KeyvEntry[]): Promise<void>;
  async setMany(entries: KeyvEntry[]): Promise<unknown> {
    const read = entries.map(readEntry);
    return Promise.all(read.map(({ key, value, ttl }) => this.set(key, value, ttl)));
  }

  delete(key: string): Promise<boolean> {
    return this.cache.invalidate(this.prefix() + key);
  }

  async deleteMany(keys: string[]): Promise<boolean> {
    const deleted = await Promise.all(keys.map((key) => this.delete(key)));
    return deleted.every(Boolean);
  }

  has(key: string): Promise<boolean> {
    return this.cache.has(this.prefix() + key);
  }

  hasMany(keys: string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.has(key)));
  }

  async clear(): Promise<void> {
    await this.cache.invalidateByPattern(`${this.prefix()}*`);
  }

  async *iterator<T = unknown>(namespace = this.namespace): AsyncGenerator<[string, Awaited<T>], void> {
    const prefix = keySpace(this.opts.namespace, namespace);
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

  private prefix(): string {
    return keySpace(this.opts.namespace, this.namespace);
  }
}

/** Encodes names so that they stay apart in a key, and match themselves in a pattern. */
const PLAIN = /^[\w.@/-]{1,128}$/;

/**
 * The prefix of the keys of a store, in the lane and in its patterns. A store has its own namespace, and gets another one
 * from Keyv. Different pairs of names have different prefixes.
 */
export function keySpace(own: string | undefined, keyvs: string | undefined): string {
  if (own === undefined || own === keyvs) return `keyv:${segment(keyvs)}:`;
  return keyvs === undefined ? `keyv:${segment(own)}:` : `keyv:${segment(own)}+${segment(keyvs)}:`;
}

function segment(name: string | undefined): string {
  if (name === undefined || PLAIN.test(name)) return name ?? '';
  return `#${createHash('sha256').update(name, 'utf16le').digest('hex')}`;
}

/** Longer than any cache lasts. */
export const FOREVER_MS = Number.MAX_SAFE_INTEGER;

/**
 * A ttl as Keyv and cache-manager have it, in MILLISECONDS, as the lanes have it. None, or 0, which Keyv hands on as
 * none, is undefined: the lane's own. One below 0 is over already, as one of 0 is to the lanes: nothing is kept. Throws
 * TTL_INVALID where it is used, for what is no duration.
 */
export function durationOf(ttlMs: number | undefined): Duration | undefined {
  if (ttlMs === undefined || ttlMs === null || ttlMs === 0) return undefined;
  if (ttlMs < 0) return 0;
  // as text, because a bare number would be seconds
  if (ttlMs > FOREVER_MS) return `${FOREVER_MS}ms`;
  return ttlMs > 0 && ttlMs < 1 ? '1ms' : `${ttlMs}ms`;
}
