import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { ComputeContext } from '../../lib/cache/call-options.js';
import { expectSound } from '../support/audit.js';
import { Deferred } from '../support/deferred.js';
import type { CacheManager } from '../../lib/app/cache-app.js';
import { LaneApp } from '../support/lane-app.js';

describe('many callers of a key', () => {
  let app: LaneApp;
  let cache: CacheManager;
  beforeEach(() => {
    app = new LaneApp();
    cache = app.manager();
  });
  afterEach(() => expectSound(app));

  it('share one computation, 1,000 of them', async () => {
    const slow = new Deferred<{ readonly page: number }>();
    let computed = 0;
    const compute = (): Promise<{ readonly page: number }> => {
      computed++;
      return slow.promise;
    };
    const answers = Array.from({ length: 1_000 }, () => cache.getOrSet('k', compute));
    slow.resolve({ page: 1 });
    const values = new Set(await Promise.all(answers));
    expect([computed, values.size]).toEqual([1, 1]);
    expect(cache.getMetrics()).toMatchObject({ requests: 1_000, misses: 1_000, joined: 999, computed: 1 });
  });

  it('each get the very error of the one computation, which is not kept', async () => {
    const slow = new Deferred<string>();
    const answers = Array.from({ length: 1_000 }, () =>
      cache.getOrSet('k', () => slow.promise).catch((e: unknown) => e),
    );
    const error = new Error('the source is down');
    slow.reject(error);
    expect(new Set(await Promise.all(answers))).toEqual(new Set([error]));
    expect((await Promise.all(answers)).every((caught) => caught === error)).toBe(true);
    await expect(cache.getOrSet('k', () => 'again')).resolves.toBe('again');
  });

  it('count once each, also where some asked for a fresh value and came after an invalidation of something else', async () => {
    const slow = new Deferred<string>();
    const first = cache.getOrSet('k', () => slow.promise, { forceFresh: true });
    const joined = cache.getOrSet('k', () => 'never called');
    await cache.invalidate('something else');
    const late = cache.getOrSet('k', () => 'after', { forceFresh: true });
    await cache.invalidate('k');
    slow.resolve('before');
    expect(await Promise.all([first, joined, late])).toEqual(['before', 'before', 'after']);
    expect(cache.getMetrics()).toMatchObject({ requests: 3, misses: 1, computed: 2 });
  });

  it('start at most two computations, for any number of invalidations meanwhile', async () => {
    const running: Deferred<number>[] = [];
    const compute = (): Promise<number> => {
      running.push(new Deferred());
      return running.at(-1)?.promise ?? Promise.resolve(0);
    };
    const answers: Promise<number>[] = [];
    for (let round = 0; round < 100; round++) {
      answers.push(cache.getOrSet('k', compute));
      await cache.invalidate('k');
    }
    expect(running).toHaveLength(2);
    for (let ended = 0; ended < 100 && ended < running.length; ended++) {
      running[ended]?.resolve(ended);
      await nextTurn();
    }
    await Promise.all(answers);
    expect(running.length).toBeLessThanOrEqual(4);
  });

  it('get the value of the computation that they joined, and leave the forced one stored', async () => {
    const [plain, forced] = [new Deferred<string>(), new Deferred<string>()];
    const first = cache.getOrSet('k', () => plain.promise);
    const second = cache.getOrSet('k', () => forced.promise, { forceFresh: true });
    const third = cache.getOrSet('k', () => 'never called', { forceFresh: true });
    forced.resolve('new');
    expect(await Promise.all([second, third])).toEqual(['new', 'new']);
    plain.resolve('old');
    expect(await first).toBe('old');
    expect(await cache.get('k')).toBe('new');
  });
});

describe('a caller that comes after a forced computation has failed', () => {
  it('waits for nothing that ended before it', async () => {
    const cache = new LaneApp().manager();
    const [plain, forced] = [new Deferred<string>(), new Deferred<string>()];
    const first = cache.getOrSet('k', () => plain.promise);
    const second = cache.getOrSet('k', () => forced.promise, { forceFresh: true });
    plain.reject(new Error('first'));
    await expect(first).rejects.toThrow('first');
    forced.reject(new Error('second'));
    await expect(second).rejects.toThrow('second');
    expect(await cache.getOrSet('k', () => 'anew')).toBe('anew');
  });
});

/** The full number in the long run. */
const COMPUTATIONS = Number(process.env['LANE_CACHE_ROUNDS'] ?? 3_000);
const TOGETHER = 200;

describe(`${COMPUTATIONS} computations that fail, are aborted or take too long`, () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  beforeEach(() => void process.on('unhandledRejection', note));
  afterEach(() => void process.off('unhandledRejection', note));

  const error = new Error('the source is down');
  const failing = (): Promise<never> => Promise.reject(error);
  const throwing = (): never => {
    throw error;
  };
  const untilAborted = ({ signal }: Pick<ComputeContext, 'signal'>): Promise<never> =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(error), { once: true }));
  const late = (): Promise<string> => new Promise((resolve) => app.clock.schedule(1_500, () => resolve('late')));

  /** Ways in which a call fails. Some of the answers are never awaited. */
  const WAYS: readonly ((cache: CacheManager, key: string) => unknown)[] = [
    (cache, key) => cache.getOrSet(key, failing),
    (cache, key) => cache.getOrSet(key, throwing, { forceFresh: true }),
    (cache, key) => cache.getOrSet(key, untilAborted, { hardTimeout: '1s' }),
    (cache, key) => cache.getOrSet(key, late, { hardTimeout: '1s', softTimeout: 0, grace: '1m' }),
    (cache, key) => cache.getOrSetMany([key], (_, ctx) => untilAborted(ctx), { hardTimeout: '1s' }),
    (cache, key) => cache.getOrSetMany([key], failing, { forceFresh: true }),
    (cache, key) => cache.putComputed(key, failing),
    (cache, key) => {
      const leaving = new AbortController();
      const answer = cache.getOrSet(key, untilAborted, { signal: leaving.signal, hardTimeout: '2s' });
      leaving.abort(error);
      return answer;
    },
    (cache, key) => {
      const answer = cache.getOrSet(key, untilAborted, { hardTimeout: '1s' });
      void cache.invalidate(key);
      return Promise.any([answer, cache.getOrSet(key, failing)]);
    },
    async (cache, key) => {
      const options = { refreshAhead: 0.000_001, ttl: '1s', hardTimeout: '1s' } as const;
      await cache.getOrSet(key, () => 'good', options);
      await new Promise<void>((resolve) => app.clock.schedule(10, resolve));
      void cache.getOrSet(key, untilAborted, options);
      await new Promise<void>((resolve) => app.clock.schedule(1_500, resolve));
      return cache.getOrSet(key, failing, options);
    },
  ];

  let app: LaneApp;

  it('reject only the callers that wait, and leave nothing behind', async () => {
    app = new LaneApp();
    const cache = app.manager();
    let disappointed = 0;
    for (let first = 0; first < COMPUTATIONS; first += TOGETHER) {
      const answers = Array.from({ length: TOGETHER }, (_, n) => WAYS[n % WAYS.length]?.(cache, `k${first + n}`));
      const settled = Promise.allSettled(answers);
      await app.clock.advance('2s');
      disappointed += (await settled).filter(({ status }) => status === 'rejected').length;
    }
    await nextTurn();
    expect(disappointed).toBe(COMPUTATIONS);
    expect(unhandled).toEqual([]);
    expectSound(app);
  }, 300_000);
});
