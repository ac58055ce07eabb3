import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/turn.js';
import type { ComputeContext } from '../../lib/cache/options.js';
import { expectSound } from '../support/audit.js';
import { Deferred } from '../support/deferred.js';
import { LaneApp, type WatchedManager } from '../support/lane-app.js';

describe('many callers of a key', () => {
  let app: LaneApp;
  let cache: WatchedManager;
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

  it('start at most two computations, however often it is invalidated meanwhile', async () => {
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

  it('fork from a computation that a forced one took the place of', async () => {
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

describe('100,000 computations that fail, are given up or take too long', () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  beforeEach(() => void process.on('unhandledRejection', note));
  afterEach(() => void process.off('unhandledRejection', note));

  it('reject nobody who does not ask, and leave nothing behind', async () => {
    const app = new LaneApp();
    const cache = app.manager();
    const error = new Error('the source is down');
    const wait = ({ signal }: ComputeContext): Promise<never> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(error), { once: true }));
    const outcomes = { failed: 0, timeout: 0, left: 0 };
    for (let batch = 0; batch < 100; batch++) {
      const answers = Array.from({ length: 1_000 }, (_, n): Promise<unknown> => {
        const key = `k${n % 399}`;
        if (n % 3 === 0) return cache.getOrSet(key, () => Promise.reject(error));
        if (n % 3 === 1) return cache.getOrSet(key, wait, { hardTimeout: '1s' });
        const leaving = new AbortController();
        const answer = cache.getOrSet(key, wait, { signal: leaving.signal, hardTimeout: '2s' });
        leaving.abort(error);
        return answer;
      });
      const settled = Promise.allSettled(answers);
      await app.clock.advance('3s');
      await app.clock.advance('3s');
      for (const { status, reason } of (await settled) as PromiseRejectedResult[]) {
        if (status !== 'rejected') continue;
        if (reason === error) outcomes.failed++;
        else outcomes.timeout++;
      }
    }
    await nextTurn();
    expect(outcomes.failed + outcomes.timeout).toBe(100_000);
    expect(unhandled).toEqual([]);
    expectSound(app);
  }, 120_000);
});
