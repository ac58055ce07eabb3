import type { EventEmitter } from 'node:events';
import type { Cache } from 'cache-manager';
import type { LaneManager } from '../cache/lane-manager.js';
import type { ComputeContext, EntryOptions } from '../cache/call-options.js';
import { systemClock } from '../clock/clock.js';
import { either, flag, fn, defineOptions } from '../options/options-shape.js';
import { durationOf, FOREVER_MS, keyBehind, keyPrefix, milliseconds } from './lane-keyv-store.js';

/** A value in the form in which Keyv stores it; `expires` in epoch milliseconds. */
interface KeyvValue<T> {
  readonly value: T;
  readonly expires: number;
}

type Milliseconds<T> = number | ((value: T) => number) | undefined;

type Wrapped<T> = () => T | Promise<T>;

interface WrapOptions<T> {
  readonly ttl?: Milliseconds<T>;
  readonly refreshThreshold?: Milliseconds<T>;
  readonly raw?: boolean;
}

const lifetime = either(milliseconds, fn);
const WRAP_OPTIONS = defineOptions<WrapOptions<never>>('wrap', {
  ttl: lifetime,
  refreshThreshold: lifetime,
  raw: flag,
});

/** Throws TTL_INVALID or OPTIONS_INVALID before anything is computed. */
const readWrap = <T>(given: WrapOptions<T>): WrapOptions<T> => WRAP_OPTIONS.read(given) as WrapOptions<T>;

/** Renews entries in the background, one renewal of a key at a time. Each reports its end. */
class Renewals {
  private readonly keys = new Set<string>();

  constructor(private readonly events: EventEmitter) {}

  start<T>(key: string, found: KeyvValue<T>, renew: () => Promise<KeyvValue<T>>): void {
    if (this.keys.has(key)) return;
    this.keys.add(key);
    const done = (event: object): void => {
      this.keys.delete(key);
      this.events.emit('refresh', event);
    };
    void renew().then(
      ({ value }) => done({ key, value }),
      (error: unknown) => done({ key, value: found.value, error }),
    );
  }
}

/**
 * cache-manager's `wrap` on the lane's `getOrSet`, so that concurrent callers share one computation, and a result whose
 * key is deleted meanwhile is not stored. Less than `refreshThreshold` milliseconds before its end, an entry is renewed
 * in the background.
 */
export function laneWrap(lane: LaneManager, namespace: string, events: EventEmitter): Cache['wrap'] {
  const prefix = keyPrefix(namespace, namespace);
  const renewals = new Renewals(events);

  function wrap<T>(
    key: string,
    compute: Wrapped<T>,
    options: WrapOptions<T> & { readonly raw: true },
  ): Promise<KeyvValue<T>>;
  function wrap<T>(
    key: string,
    compute: Wrapped<T>,
    given?: Milliseconds<T> | WrapOptions<T>,
    refreshThreshold?: Milliseconds<T>,
  ): Promise<T>;
  async function wrap<T>(
    key: string,
    compute: Wrapped<T>,
    given?: Milliseconds<T> | WrapOptions<T>,
    refreshThreshold?: Milliseconds<T>,
  ): Promise<T | KeyvValue<T>> {
    const options = readWrap(typeof given === 'object' ? given : { ttl: given, refreshThreshold });
    const stored = keyBehind(prefix, key, lane.lane);
    const computeValue = (context: ComputeContext) => computed(compute, options, lane, context);
    const get = (freshness: EntryOptions) => lane.getOrSet(stored, computeValue, { isolation: 'clone', ...freshness });
    const found = await get({});
    if (isDue(found, options)) renewals.start(key, found, () => get({ forceFresh: true }));
    return options.raw === true ? found : found.value;
  }
  return wrap;
}

async function computed<T>(
  compute: Wrapped<T>,
  options: WrapOptions<T>,
  lane: LaneManager,
  context: ComputeContext,
): Promise<KeyvValue<T>> {
  const value = await compute();
  if (value === undefined) context.skipCache();
  const ttlMs = ttlMsOf(options.ttl, value) ?? lane.policy.ttlMs;
  context.setTtl(durationOf(ttlMs) ?? 0);
  return { value, expires: systemClock.now() + ttlMs };
}

function isDue<T>({ value, expires }: KeyvValue<T>, options: WrapOptions<T>): boolean {
  const threshold = resolve(options.refreshThreshold, value);
  return threshold !== undefined && expires - systemClock.now() < threshold;
}

function ttlMsOf<T>(ttl: Milliseconds<T>, value: T): number | undefined {
  const ms = resolve(ttl, value);
  return ms === 0 ? FOREVER_MS : ms;
}

const resolve = <T>(span: Milliseconds<T>, value: T): number | undefined =>
  typeof span === 'function' ? span(value) : span;
