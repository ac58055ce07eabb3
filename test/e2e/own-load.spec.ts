import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { CacheManager } from '../../lib/app/cache-app.js';
import type { LaneCacheOptions } from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { until } from '../support/gate.js';
import { StorageBench } from '../support/storage.js';

const MANY = 2_000;
const pairs = (): [string, number][] => Array.from({ length: MANY }, (_, n) => [`key:${n}`, n]);

/** Counts the turns of the event loop until the work has settled. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOver = false;
  void work.then(
    () => (isOver = true),
    () => (isOver = true),
  );
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    turns++;
  }
  return turns;
}

describe('a call for many entries', () => {
  const bench = new StorageBench();
  const open: CacheManager[] = [];
  const cache = async (settings: LaneCacheOptions = {}): Promise<CacheManager> => {
    const directory = settings.directory ?? (await bench.path('cache'));
    const opened = await CacheManager.fromSettings({ storage: { minFreeBytes: 0 }, ...settings, directory });
    open.push(opened);
    return opened;
  };
  afterEach(async () => {
    for (const opened of open.splice(0)) await opened.close();
    await bench.dispose();
  });

  it('lets the event loop turn while it stores, and leaves every tier on', async () => {
    const lane = await cache();
    const stored = lane.setMany(pairs(), { tags: ['bulk'] });
    expect(await turnsDuring(stored)).toBeGreaterThan(MANY / 200);
    expect(await stored).toBe(MANY);
    await lane.flush();
    const { l1, l2, l3, refused } = lane.getMetrics();
    expect([l1.state, l2.state, l3.state]).toEqual(['on', 'on', 'on']);
    expect(Object.values(refused).reduce((sum, count) => sum + count, 0)).toBe(0);
    expect(await lane.get('key:0')).toBe(0);
    expect(await lane.get(`key:${MANY - 1}`)).toBe(MANY - 1);
  });

  it('lets the event loop turn while it reads', async () => {
    const lane = await cache({ directory: false, lanes: { standard: { l1: { maxEntries: MANY } } } });
    await lane.setMany(pairs());
    const read = lane.getMany(pairs().map(([key]) => key));
    expect(await turnsDuring(read)).toBeGreaterThan(MANY / 200);
    expect([...(await read)]).toEqual(pairs());
  });

  it('lets the event loop turn while it reads, computes and stores what is missing, by one call of the function', async () => {
    const lane = await cache({ lanes: { standard: { l1: { maxEntries: MANY } } } });
    const keys = pairs().map(([key]) => key);
    await lane.setMany(pairs().slice(0, MANY / 4));
    const asked: number[] = [];
    const answered = lane.getOrSetMany(keys, (missing) => {
      asked.push(missing.length);
      return new Map(missing.map((key) => [key, Number(key.slice('key:'.length))]));
    });
    expect(await turnsDuring(answered)).toBeGreaterThan(MANY / 200);
    expect([[...(await answered)], asked]).toEqual([pairs(), [(MANY * 3) / 4]]);
    await lane.flush();
    expect(await lane.get(`key:${MANY - 1}`)).toBe(MANY - 1);
  });

  it('joins the computations of a call for the same keys in another order that is under way, and neither waits for ever', async () => {
    const lane = await cache({ directory: false, lanes: { standard: { l1: { maxEntries: MANY } } } });
    const keys = pairs().map(([key]) => key);
    let computed = 0;
    const compute = (missing: readonly string[]): Map<string, string> => {
      computed += missing.length;
      return new Map(missing.map((key) => [key, key]));
    };
    const [one, other] = await Promise.all([
      lane.getOrSetMany(keys, compute),
      lane.getOrSetMany(keys.toReversed(), compute),
    ]);
    expect([one.size, other.size, computed]).toEqual([MANY, MANY, MANY]);
    expect([...other.keys()]).toEqual(keys.toReversed());
  });

  it('ends with the error of its function, or of its signal, for all keys', async () => {
    const clock = new FakeClock();
    const lane = await cache({ directory: false, clock });
    const keys = pairs().map(([key]) => key);
    const failure = new Error('the source is down');
    await expect(lane.getOrSetMany(keys, () => Promise.reject(failure))).rejects.toBe(failure);
    const seen: AbortSignal[] = [];
    const slow = lane.getOrSetMany(
      keys,
      (_missing, ctx) =>
        new Promise<Map<string, number>>((resolve) => {
          seen.push(ctx.signal);
          ctx.signal.addEventListener('abort', () => resolve(new Map()), { once: true });
        }),
      { hardTimeout: '100ms' },
    );
    const ended = expect(slow).rejects.toMatchObject({ code: 'COMPUTE_TIMEOUT' });
    await until(() => seen.length > 0);
    await clock.advance('100ms');
    await ended;
    await until(() => seen.every(({ aborted }) => aborted));
    expect(seen).toHaveLength(1);
  });

  it('lets the event loop turn while entries are listed, also those that a pattern leaves out', async () => {
    const lane = await cache({ lanes: { standard: { l1: { maxEntries: MANY / 2 } } } });
    await lane.setMany(pairs());
    await lane.flush();
    for (const [pattern, expected] of [
      ['*', MANY],
      ['nothing*', 0],
    ] as const) {
      const keys = new Set<string>();
      const list = async (): Promise<void> => {
        for await (const { key } of lane.entries(pattern)) keys.add(key);
      };
      expect(await turnsDuring(list())).toBeGreaterThan(MANY / 200);
      expect(keys.size).toBe(expected);
    }
  });

  it('stores no value whose key, tag or lane was invalidated after the call, however late its turn', async () => {
    const lane = await cache({ directory: false, lanes: { standard: { l1: { maxEntries: MANY } } } });
    const late = `key:${MANY - 1}`;
    const ways: readonly (() => Promise<unknown>)[] = [
      () => lane.invalidate(late),
      () => lane.invalidateByTag('bulk'),
      () => lane.invalidateByPattern('key:*'),
      () => lane.clearAll(),
    ];
    for (const invalidate of ways) {
      const stored = lane.setMany(pairs(), { tags: ['bulk'] });
      await invalidate();
      expect(await stored).toBeLessThan(MANY);
      expect(await lane.get(late)).toBeUndefined();
    }
  });

  it('leaves a value that was set after the call, however late the turn of its key', async () => {
    const lane = await cache({ directory: false, lanes: { standard: { l1: { maxEntries: MANY } } } });
    const stored = lane.setMany(pairs());
    await lane.set(`key:${MANY - 1}`, 'newer');
    expect(await stored).toBe(MANY - 1);
    expect(await lane.get(`key:${MANY - 1}`)).toBe('newer');
  });

  it('stores the values of the later of two calls that are under way at once', async () => {
    const lane = await cache({ directory: false, lanes: { standard: { l1: { maxEntries: MANY } } } });
    const keys = pairs().map(([key]) => key);
    const older = lane.setMany(keys.map((key) => [key, 'older']));
    const newer = lane.setMany(keys.map((key) => [key, 'newer']));
    expect(await newer).toBe(MANY);
    await older;
    expect(new Set((await lane.getMany(keys)).values())).toEqual(new Set(['newer']));
  });

  it('stores the last value of a key that is given twice, and counts it once', async () => {
    const lane = await cache({ directory: false });
    expect(
      await lane.setMany([
        ['a', 1],
        ['b', 2],
        ['a', 3],
      ]),
    ).toBe(2);
    expect(await lane.getMany(['a', 'b'])).toEqual(
      new Map([
        ['a', 3],
        ['b', 2],
      ]),
    );
  });
});

describe('invalidateByPattern with a costly pattern', () => {
  it('lets the event loop turn, and nothing that matches is served from the call on', async () => {
    const lane = await CacheManager.fromSettings({
      directory: false,
      lanes: { standard: { l1: { maxEntries: 600 } } },
    });
    const long = 'a'.repeat(8_000);
    const keys = Array.from({ length: 600 }, (_, n) => `${n}${long}b`);
    await lane.setMany(keys.map((key) => [key, 1]));
    const removed = lane.invalidateByPattern(`*${'a'.repeat(509)}b`);
    expect(await lane.get(keys[599] ?? '')).toBeUndefined();
    expect(await turnsDuring(removed)).toBeGreaterThan(10);
    expect(await removed).toBeGreaterThanOrEqual(599);
    await lane.close();
  });

  it('keeps an entry that is stored while it looks', async () => {
    const lane = await CacheManager.fromSettings({
      directory: false,
      lanes: { standard: { l1: { maxEntries: 600 } } },
    });
    const keys = Array.from({ length: 600 }, (_, n) => `${'a'.repeat(8_000)}${n}`);
    await lane.setMany(keys.map((key) => [key, 'old']));
    const removed = lane.invalidateByPattern('a*');
    await lane.set(keys[0] ?? '', 'new');
    await removed;
    expect(await lane.get(keys[0] ?? '')).toBe('new');
    await lane.close();
  });
});

/** A value within values, so many levels deep. */
function nested(levels: number, around: (inner: unknown) => unknown): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = around(value);
  return value;
}

describe('a value that is nested deeply', () => {
  const kinds: readonly [string, (inner: unknown) => unknown][] = [
    ['objects', (inner) => ({ inner })],
    ['arrays', (inner) => [inner]],
    ['errors', (cause) => new Error('outer', { cause })],
    ['maps', (inner) => new Map([['inner', inner]])],
    ['keys of maps', (inner) => new Map([[inner, 'inner']])],
    ['sets', (inner) => new Set([inner])],
  ];

  it.each(kinds)('is stored down to 1,000 levels, and returned uncached below (%s)', async (_, around) => {
    const lane = await CacheManager.fromSettings({ directory: false, lanes: { standard: { isolation: 'clone' } } });
    const deepest = nested(1_000, around);
    await lane.getOrSet('deepest', () => deepest);
    expect(await lane.has('deepest')).toBe(true);
    const tooDeep = nested(around([]) instanceof Error ? 1_100 : 20_000, around);
    expect(await lane.getOrSet('too deep', () => tooDeep)).toBe(tooDeep);
    expect(await lane.has('too deep')).toBe(false);
    expect(lane.getMetrics().refused.unstorable).toBe(1);
    await lane.close();
  });

  it('is refused as a checkpoint', async () => {
    const bench = new StorageBench();
    const lane = await CacheManager.fromSettings({
      directory: await bench.path('cache'),
      storage: { minFreeBytes: 0 },
    });
    const tooDeep = nested(200_000, (inner) => ({ inner }));
    await expect(lane.snapshots.cacheCheckpoint('deep', tooDeep)).rejects.toMatchObject({
      code: 'CHECKPOINT_UNSTORABLE',
    });
    await lane.close();
    await bench.dispose();
  });
});

describe.each([
  ['modern', {}],
  ['legacy', { legacyFakeTimers: true }],
])('an app under the %s fake timers of Jest', (_, kind) => {
  const bench = new StorageBench();
  afterEach(async () => {
    jest.useRealTimers();
    await bench.dispose();
  });

  it.each(['memory', 'disk'])('answers, and closes after its timers have run (%s)', async (where) => {
    const directory = where === 'memory' ? false : await bench.path('cache');
    jest.useFakeTimers(kind);
    const lane = await CacheManager.fromSettings({ directory, storage: { minFreeBytes: 0 } });
    expect(await lane.getOrSet('k', () => 1)).toBe(1);
    await lane.flush();
    jest.advanceTimersByTime(61_000);
    expect(await lane.getOrSet('k', () => 2)).toBe(1);
    await lane.close();
    expect(await lane.get('k')).toBeUndefined();
  });
});
