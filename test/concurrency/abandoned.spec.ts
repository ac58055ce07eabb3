import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { CacheManager, ComputeContext } from '../../lib/index.js';
import { expectSound, unevenNumbers } from '../support/audit.js';
import { Deferred } from '../support/deferred.js';
import { LaneApp } from '../support/lane-app.js';

const TIMEOUT = { code: 'COMPUTE_TIMEOUT' };
const OPTIONS = { hardTimeout: '1s' } as const;

describe('computations that are given up at their hardTimeout', () => {
  let app: LaneApp;
  let cache: CacheManager;
  let running: Deferred<string>[];
  const deaf = (): Promise<string> => {
    const computation = new Deferred<string>();
    running.push(computation);
    return computation.promise;
  };
  beforeEach(() => {
    app = new LaneApp();
    cache = app.manager();
    running = [];
  });
  afterEach(async () => {
    for (const { resolve } of running) resolve('late');
    await nextTurn();
    expectSound(app);
  });

  /** Each caller comes after the one before has timed out. */
  async function giveUp(count: number, ask: () => Promise<unknown> = () => cache.getOrSet('k', deaf, OPTIONS)) {
    for (let given = 0; given < count; given++) {
      const answer = expect(ask()).rejects.toMatchObject(TIMEOUT);
      await app.clock.advance('1s');
      await answer;
    }
  }

  it('let the next caller start anew, each time', async () => {
    await giveUp(8);
    expect(running).toHaveLength(8);
    expect(cache.getMetrics().abandoned).toBe(8);
  });

  it('count as the misses of those who asked', async () => {
    await giveUp(2, () => Promise.all([1, 2, 3].map(() => cache.getOrSet('k', deaf, OPTIONS))));
    const { requests, misses, joined } = cache.getMetrics();
    expect({ requests, misses, joined }).toEqual({ requests: 6, misses: 6, joined: 4 });
  });

  it('are at most 8 of a key: the next callers are refused at once, with what happened, and nothing is started', async () => {
    await giveUp(8);
    for (const options of [OPTIONS, {}, { forceFresh: true }]) {
      const refused = cache.getOrSet('k', deaf, options);
      await expect(refused).rejects.toMatchObject({ ...TIMEOUT, timeoutMs: 1_000 });
      await expect(refused).rejects.toThrow(/was not started: 8 computations of the key were given up/);
    }
    await expect(cache.getOrSetMany(['k'], async () => new Map([['k', await deaf()]]))).rejects.toMatchObject(TIMEOUT);
    expect(running).toHaveLength(8);
    expect(unevenNumbers(app)).toEqual([]);
  });

  it('take no place of other keys and lanes', async () => {
    await giveUp(8);
    expect(await cache.getOrSet('other', () => 'value')).toBe('value');
    expect(await app.manager('docs').getOrSet('k', () => 'value')).toBe('value');
  });

  it('give their place back when they end, and their late results to nobody', async () => {
    await giveUp(8);
    running[3]?.resolve('late');
    running[4]?.reject(new Error('late'));
    await nextTurn();
    expect(cache.getMetrics()).toMatchObject({ abandoned: 6, refused: { fenced: 1 } });
    expect(await cache.get('k')).toBeUndefined();
    await giveUp(2);
    await expect(cache.getOrSet('k', deaf, OPTIONS)).rejects.toThrow(/was not started/);
    expect(running).toHaveLength(10);
  });

  it('give their place back after ten times their hardTimeout, and are counted for as long as they run', async () => {
    await giveUp(8);
    await app.clock.advance('2999ms');
    await expect(cache.getOrSet('k', deaf, OPTIONS)).rejects.toThrow(/was not started/);
    await app.clock.advance('1ms');
    expect(await cache.getOrSet('k', () => 'anew', OPTIONS)).toBe('anew');
    await app.clock.advance('1m');
    expect(cache.getMetrics().abandoned).toBe(8);
    for (const { resolve } of running) resolve('late');
    await nextTurn();
    expect(cache.getMetrics().abandoned).toBe(0);
  });

  it('give their place back once, also where they end after ten times their hardTimeout', async () => {
    for (let given = 0; given < 6; given++) {
      const answer = expect(cache.getOrSet('k', deaf, { hardTimeout: '10s' })).rejects.toMatchObject(TIMEOUT);
      await app.clock.advance('10s');
      await answer;
    }
    await giveUp(2);
    await app.clock.advance('10s');
    for (const { resolve } of running.slice(6)) resolve('late');
    await nextTurn();
    await giveUp(2);
    const refused = expect(cache.getOrSet('k', deaf, OPTIONS)).rejects.toThrow('was not started');
    await app.clock.advance('1s');
    await refused;
    expect(running).toHaveLength(10);
  });

  it('leave stale copies, which callers get while nothing may be started', async () => {
    const options = { ttl: '1s', grace: '1h', graceBackoff: 0, ...OPTIONS } as const;
    await cache.getOrSet('k', () => 'old', options);
    await app.clock.advance('2s');
    for (let given = 0; given < 8; given++) {
      const answer = cache.getOrSet('k', deaf, options);
      await app.clock.advance('1s');
      expect(await answer).toBe('old');
    }
    expect(await cache.getOrSet('k', deaf, options)).toBe('old');
    expect(running).toHaveLength(8);
  });

  it('are not joined, although callers come before the others have left', async () => {
    const answers: Promise<unknown>[] = [];
    for (let asked = 0; asked < 10; asked++) {
      answers.push(expect(cache.getOrSet('k', deaf, OPTIONS)).rejects.toMatchObject(TIMEOUT));
      await app.clock.advance('400ms');
    }
    expect(running.length).toBeGreaterThan(2);
    await app.clock.advance('2s');
    await Promise.all(answers);
  });

  it('go on for a caller that is more patient, and hold their place until it leaves', async () => {
    const hasty = expect(cache.getOrSet('k', deaf, OPTIONS)).rejects.toMatchObject(TIMEOUT);
    const patient = cache.getOrSet('k', deaf);
    await app.clock.advance('1s');
    await hasty;
    expect(cache.getMetrics().abandoned).toBe(0);
    running[0]?.resolve('in the end');
    expect(await patient).toBe('in the end');
    expect(await cache.get('k')).toBe('in the end');
  });

  it('have their signal aborted, and let a queued caller start', async () => {
    let signal: AbortSignal | undefined;
    const first = expect(
      cache.getOrSet(
        'k',
        (ctx: ComputeContext) => {
          ({ signal } = ctx);
          return deaf();
        },
        OPTIONS,
      ),
    ).rejects.toMatchObject(TIMEOUT);
    await cache.invalidate('k');
    const second = expect(cache.getOrSet('k', deaf, OPTIONS)).rejects.toMatchObject(TIMEOUT);
    await cache.invalidate('k');
    const third = cache.getOrSet('k', () => 'third');
    await app.clock.advance('1s');
    await Promise.all([first, second]);
    expect(signal?.aborted).toBe(true);
    expect(await third).toBe('third');
  });
});

describe('the text of a ComputeTimeoutError', () => {
  it('emits that a computation took too long, or was not started because others still run', async () => {
    const app = new LaneApp();
    const cache = app.manager();
    const never = new Deferred<string>();
    const answers = [cache.getOrSet('k', () => never.promise)];
    await cache.invalidate('k');
    answers.push(cache.getOrSet('k', () => never.promise));
    const slow = expect(cache.getOrSet('k', () => 'joins', OPTIONS)).rejects.toThrow(
      /'k' in lane 'standard' took longer than its hardTimeout of 1000 ms/,
    );
    await app.clock.advance('1s');
    await slow;
    await cache.invalidate('k');
    const queued = expect(cache.getOrSet('k', () => 'queued', OPTIONS)).rejects.toThrow(
      /was not started within its hardTimeout of 1000 ms, because two earlier computations/,
    );
    await app.clock.advance('1s');
    await queued;
    never.resolve('late');
    await Promise.all(answers);
    expectSound(app);
  });
});
