import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  type CacheManager,
  type ComputeContext,
  type ComputeManyContext,
  type EntryOptions,
  LaneAwareCacheStrategy,
  laneKeyvStore,
} from '../../lib/index.js';
import { nextTurn } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/index.js';
import { Caches } from '../support/caches.js';
import { Deferred } from '../support/deferred.js';

/** What a computation returns and asks for, so that its result is not stored. */
interface Unstored {
  readonly value: unknown;
  readonly ask?: (ctx: Pick<ComputeContext, 'skipCache' | 'setTtl'>) => void;
}

const UNSTORED: Readonly<Record<string, Unstored>> = {
  'asks for it': { value: 'new', ask: (ctx) => ctx.skipCache() },
  'has a ttl of 0': { value: 'new', ask: (ctx) => ctx.setTtl(0) },
  'is too large': { value: 'x'.repeat(5_000) },
  'is undefined': { value: undefined },
  'cannot be stored': { value: { run: () => 1 } },
  'is refused by the strategy': { value: 'refused' },
};

class Refusing extends LaneAwareCacheStrategy {
  override shouldCache({ value }: { readonly value: unknown }): boolean {
    return value !== 'refused';
  }
}

/** Calls whose result is newer than what is stored. */
const CALLS: Readonly<Record<string, (cache: CacheManager, key: string, newer: Unstored) => Promise<unknown>>> = {
  'a forced getOrSet': (cache, key, newer) => cache.getOrSet(key, computing(newer), { forceFresh: true }),
  'a put method': (cache, key, newer) => cache.putComputed(key, computing(newer)),
  'a getOrSet of another version': (cache, key, newer) => cache.getOrSet(key, computing(newer), { version: 2 }),
  'a forced getOrSetMany': (cache, key, newer) =>
    cache.getOrSetMany([key, `beside ${key}`], computingMany(newer), { forceFresh: true }),
  'a getOrSetMany with a ttl of 0': (cache, key, newer) =>
    cache.getOrSetMany([key, `beside ${key}`], computingMany(newer), { ttl: 0 }),
  'a getOrSet with a ttl of 0': (cache, key, { value }) => cache.getOrSet(key, () => value, { ttl: 0 }),
  'a set': (cache, key, { value, ask }) => cache.set(key, value, ask === undefined ? {} : { ttl: 0 }),
  'a setMany': (cache, key, { value, ask }) => cache.setMany([[key, value]], ask === undefined ? {} : { ttl: 0 }),
};

const computing =
  ({ value, ask }: Unstored) =>
  (ctx: ComputeContext): unknown => {
    ask?.(ctx);
    return value;
  };

/** A computation of many keys can only ask for a ttl. */
const computingMany =
  ({ value, ask }: Unstored) =>
  (keys: readonly string[], ctx: ComputeManyContext): Map<string, unknown> => {
    if (ask !== undefined) for (const key of keys) ctx.setTtl(key, 0);
    return new Map(keys.map((key) => [key, value]));
  };

const CASES = Object.keys(CALLS).flatMap((call) =>
  Object.keys(UNSTORED).map((why) => ({ call, why, key: `${call} whose result ${why}` })),
);

/** Where the older values lie. */
type Place = (cache: CacheManager, reopen: () => Promise<CacheManager>) => CacheManager | Promise<CacheManager>;

async function evict(cache: CacheManager): Promise<CacheManager> {
  for (let n = 0; n < CASES.length; n++) await cache.set(`filler ${n}`, n);
  return cache;
}

const PLACES: Readonly<Record<string, Place>> = {
  'in memory': (cache) => cache,
  'on their way to the disk': evict,
  'on disk': async (cache) => {
    await cache.flush();
    return evict(cache);
  },
  'on disk since before a restart': async (cache, reopen) => {
    await cache.close();
    return reopen();
  },
  'past their ttl, and inside their grace': (cache) => {
    clock.step(120_000);
    return cache;
  },
};

const LANES = {
  standard: {
    l1: { maxEntries: CASES.length },
    maxEntryBytes: 1_000,
    ttl: '1m',
    grace: '1h',
    strategy: new Refusing(),
  },
} as const;
const clock = new FakeClock();
const failing = (): Promise<never> => Promise.reject(new Error('the source is down'));

/** The value that a caller gets when the source fails. */
const whenTheSourceFails = (cache: CacheManager, key: string, options?: EntryOptions): Promise<unknown> =>
  cache.getOrSet(key, failing, options).catch(() => undefined);

async function leftIn(cache: CacheManager): Promise<string[]> {
  const left: string[] = [];
  for (const { key } of CASES) {
    const got = [await cache.get(key), await whenTheSourceFails(cache, key, { softTimeout: 0 })];
    if ((await cache.has(key)) || got.some((value) => value !== undefined)) left.push(key);
  }
  return left;
}

describe('older values', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it.each(Object.keys(PLACES))(
    'that lie %s are gone once a newer result was seen, although it was not stored',
    async (place) => {
      const directory = await caches.directory();
      const open = (): Promise<CacheManager> => caches.open({ directory, lanes: LANES, clock, checkpoints: false });
      const first = await open();
      for (const { key } of CASES) await first.getOrSet(key, () => 'old');
      const cache = (await PLACES[place]?.(first, open)) ?? first;
      const atOnce: string[] = [];
      for (const { call, why, key } of CASES) {
        const newer = UNSTORED[why];
        if (newer !== undefined) await CALLS[call]?.(cache, key, newer);
        if ((await cache.get(key)) !== undefined) atOnce.push(key);
      }
      expect(atOnce).toEqual([]);
      expect(await leftIn(cache)).toEqual([]);
      await cache.flush();
      expect(await leftIn(cache)).toEqual([]);
      await cache.close();
      expect(await leftIn(await open())).toEqual([]);
    },
    60_000,
  );

  it('that are renewed in the background are gone once the renewal was not stored', async () => {
    const cache = await caches.open({ directory: await caches.directory(), lanes: LANES, clock });
    const options = { refreshAhead: 0.000_001 } as const;
    for (const [why, newer] of Object.entries(UNSTORED)) {
      await cache.getOrSet(why, () => 'old', options);
      clock.step(1_000);
      expect(await cache.getOrSet(why, computing(newer), options)).toBe('old');
      await nextTurn();
      expect([why, await cache.get(why)]).toEqual([why, undefined]);
    }
  });

  it('of a Keyv store are gone once a newer value was refused', async () => {
    const cache = await caches.open({ directory: await caches.directory(), lanes: LANES, clock });
    const store = laneKeyvStore(cache);
    for (const [why, { value, ask }] of Object.entries(UNSTORED)) {
      await store.set(why, 'old');
      expect(await store.set(why, value, ask === undefined ? undefined : -1)).toBe(false);
      expect([why, await store.get(why)]).toEqual([why, undefined]);
    }
  });

  it('stay if the newer result is not newer than they are', async () => {
    const cache = await caches.open({ lanes: LANES, clock });
    const slow = new Deferred<string>();
    const answers = [
      cache.getOrSet('k', () => slow.promise, { ttl: 0 }),
      cache.getOrSet(
        'k',
        async (ctx) => {
          ctx.skipCache();
          return slow.promise;
        },
        { forceFresh: true },
      ),
    ];
    await cache.set('k', 'set meanwhile');
    slow.resolve('started before');
    expect(await Promise.all(answers)).toEqual(['started before', 'started before']);
    expect(await cache.get('k')).toBe('set meanwhile');
  });

  it('that do not carry the tag are gone once a result was seen that was invalidated by it', async () => {
    const cache = await caches.open({ lanes: LANES, clock });
    await cache.set('k', 'old');
    const slow = new Deferred<string>();
    const answer = cache.getOrSet('k', () => slow.promise, { forceFresh: true, tags: ['t'] });
    await cache.invalidateByTag('t');
    slow.resolve('new');
    expect(await answer).toBe('new');
    expect(await cache.get('k')).toBeUndefined();
  });

  it('that another computation stored after the search are gone as well', async () => {
    const lanes = { standard: { l1: { maxEntries: 1 } } } as const;
    const cache = await caches.open({ directory: await caches.directory(), lanes, clock });
    const [older, newer] = [new Deferred<string>(), new Deferred<string>()];
    const options = { hardTimeout: '1s' } as const;
    const hasty = expect(cache.getOrSet('k', () => older.promise, options)).rejects.toMatchObject({
      code: 'COMPUTE_TIMEOUT',
    });
    const patient = cache.getOrSet('k', () => 'never called');
    await clock.advance('1s');
    await hasty;
    const second = cache.getOrSet('k', async (ctx) => {
      ctx.skipCache();
      return newer.promise;
    });
    older.resolve('older');
    expect(await patient).toBe('older');
    await cache.set('evicts it from memory', 1);
    newer.resolve('newer');
    expect(await second).toBe('newer');
    expect(await cache.get('k')).toBeUndefined();
  });

  it('that an expired computation has not stored yet are not stored any more', async () => {
    const cache = await caches.open({ lanes: LANES, clock });
    const slow = new Deferred<string>();
    const older = cache.getOrSet('k', () => slow.promise);
    await cache.expire('k');
    const newer = await cache.getOrSet('k', (ctx) => {
      ctx.skipCache();
      return 'newer';
    });
    slow.resolve('older');
    expect([newer, await older]).toEqual(['newer', 'older']);
    expect(await whenTheSourceFails(cache, 'k')).toBeUndefined();
  });

  it('that are past their ttl, and that only the disk has, are gone as well', async () => {
    const lanes = { standard: { l1: { maxEntries: 1 } } } as const;
    const cache = await caches.open({ directory: await caches.directory(), lanes, clock });
    await cache.set('k', 'old', { ttl: '1s', grace: '1h' });
    await cache.set('evicts it from memory', 1);
    clock.step(2_000);
    expect(await cache.getOrSet('k', () => 'newer', { ttl: 0 })).toBe('newer');
    const failing = cache.getOrSet('k', () => Promise.reject(new Error('of the source')), { grace: '1h' });
    await expect(failing).rejects.toThrow('of the source');
  });

  it('that only the disk has are gone once storing a newer result failed', async () => {
    const lanes = { standard: { l1: { maxEntries: 1 } } } as const;
    const cache = await caches.open({ directory: await caches.directory(), lanes, clock });
    await cache.set('k', 'old');
    await cache.set('evicts it from memory', 1);
    jest.spyOn(cache['context'].shared.log, 'stored').mockImplementationOnce(() => {
      throw new Error('of the log');
    });
    expect(await cache.getOrSet('k', () => 'newer', { forceFresh: true })).toBe('newer');
    expect(cache.getMetrics().refused.unstorable).toBe(1);
    expect(await cache.get('k')).toBeUndefined();
  });

  it('cost a result that is not stored nothing if there are none', async () => {
    const cache = await caches.open({ lanes: LANES, clock });
    const { log } = cache['context'].shared;
    const removals = jest.spyOn(log, 'older');
    for (const newer of Object.values(UNSTORED)) await cache.getOrSet('k', computing(newer));
    await cache.getOrSet('k', () => 1, { ttl: 0 });
    expect(removals).not.toHaveBeenCalled();
    await cache.set('k', 'old');
    await cache.getOrSet('k', () => 1, { ttl: 0, forceFresh: true });
    expect(removals).toHaveBeenCalledTimes(1);
  });
});
