import { afterEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../../lib/clock/clock.js';
import type { ComputeContext, EntryOptions } from '../../../lib/cache/call-options.js';
import type { LanePolicyInput } from '../../../lib/lanes/policy.js';
import { expectSound } from '../../support/audit.js';
import { Deferred } from '../../support/deferred.js';
import type { CacheManager } from '../../../lib/app/cache-app.js';
import { LaneApp } from '../../support/lane-app.js';

const error = new Error('the source is down');
const fail = (): Promise<never> => Promise.reject(error);

let app: LaneApp;
const open = (lane: LanePolicyInput = {}): CacheManager => {
  app = new LaneApp({ lanes: { standard: { ttl: '10s', ...lane } } });
  return app.manager();
};
afterEach(() => expectSound(app));

describe.each<[string, LanePolicyInput, EntryOptions]>([
  ['of the lane', { grace: '1m', graceBackoff: '5s' }, {}],
  ['of the call', {}, { grace: '1m', graceBackoff: '5s' }],
])('grace %s', (_, lane, options) => {
  it('serves the old value while the source fails, and asks the source once in a back-off', async () => {
    const cache = open(lane);
    await cache.getOrSet('k', () => 'old', options);
    await app.clock.advance('30s');
    let asked = 0;
    const failing = (): Promise<never> => {
      asked++;
      return fail();
    };
    for (let n = 0; n < 30; n++) expect(await cache.getOrSet('k', failing, options)).toBe('old');
    expect(asked).toBe(1);
    await app.clock.advance('5s');
    await cache.getOrSet('k', failing, options);
    expect([asked, cache.getMetrics().staleServed]).toEqual([2, 31]);
  });

  it('ends, counted from the end of the ttl', async () => {
    const cache = open(lane);
    await cache.getOrSet('k', () => 'old', options);
    await app.clock.advance('69s');
    expect(await cache.getOrSet('k', fail, options)).toBe('old');
    await app.clock.advance('6s');
    await expect(cache.getOrSet('k', fail, options)).rejects.toBe(error);
  });

  it('does not make a plain get serve what is past its ttl', async () => {
    const cache = open(lane);
    await cache.getOrSet('k', () => 'old', options);
    await app.clock.advance('11s');
    expect([await cache.get('k'), await cache.has('k')]).toEqual([undefined, false]);
  });
});

describe('the back-off', () => {
  it('ends with the first computation that succeeds', async () => {
    const cache = open({ grace: '1h', graceBackoff: '1h' });
    await cache.getOrSet('k', () => 'old');
    await app.clock.advance('11s');
    expect(await cache.getOrSet('k', fail)).toBe('old');
    expect(await cache.getOrSet('k', () => 'new', { forceFresh: true })).toBe('new');
    await app.clock.advance('11s');
    expect(await cache.getOrSet('k', () => 'newer')).toBe('newer');
  });
});

describe('grace', () => {
  it('is never more than the writer gave, and may be less for a reader', async () => {
    const cache = open();
    await cache.getOrSet('k', () => 'old', { grace: '20s' });
    await app.clock.advance('15s');
    await expect(cache.getOrSet('k', fail, { grace: '1s', graceBackoff: 0 })).rejects.toBe(error);
    expect(await cache.getOrSet('k', fail, { grace: '1h', graceBackoff: 0 })).toBe('old');
    await app.clock.advance('20s');
    await expect(cache.getOrSet('k', fail, { grace: '1h' })).rejects.toBe(error);
  });

  it('does not hold for what was invalidated, and does for what was expired', async () => {
    const cache = open({ grace: '1m', graceBackoff: 0 });
    await cache.set('k', 'old', { tags: ['t'] });
    expect(await cache.expire('k')).toBe(true);
    expect([await cache.get('k'), await cache.getOrSet('k', fail)]).toEqual([undefined, 'old']);
    await cache.invalidate('k');
    await expect(cache.getOrSet('k', fail)).rejects.toBe(error);
    await cache.set('k', 'old', { tags: ['t'] });
    await cache.expireByTag('t');
    expect([await cache.get('k'), await cache.getOrSet('k', fail)]).toEqual([undefined, 'old']);
    await cache.invalidateByTag('t');
    await expect(cache.getOrSet('k', fail)).rejects.toBe(error);
  });

  it('shows the computation what is there', async () => {
    const cache = open({ grace: '1m' });
    await cache.getOrSet('k', () => ({ etag: 1 }));
    await app.clock.advance('12s');
    const seen = await cache.getOrSet('k', (ctx: ComputeContext) => ctx.stale);
    expect(seen).toEqual({ value: { etag: 1 }, ageMs: 12_000, expiredMs: 2_000 });
  });
});

describe('softTimeout', () => {
  it('serves the old value when the computation takes longer, and stores its result', async () => {
    const cache = open({ grace: '1m', softTimeout: '1s' });
    await cache.getOrSet('k', () => 'old');
    await app.clock.advance('11s');
    const slow = new Deferred<string>();
    const answer = cache.getOrSet('k', () => slow.promise);
    await app.clock.advance('1s');
    expect(await answer).toBe('old');
    slow.resolve('new');
    await nextTurn();
    expect(await cache.get('k')).toBe('new');
  });

  it('of 0 serves the old value at once, to all, with one computation behind them', async () => {
    const cache = open({ grace: '1m' });
    await cache.getOrSet('k', () => 'old');
    await app.clock.advance('11s');
    let computed = 0;
    const answers = Array.from({ length: 20 }, () => cache.getOrSet('k', () => ++computed, { softTimeout: 0 }));
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['old']));
    await nextTurn();
    expect([computed, await cache.get('k')]).toEqual([1, 1]);
  });

  it('waits where nothing old is there', async () => {
    const cache = open({ grace: '1m', softTimeout: 0 });
    expect(await cache.getOrSet('k', () => 'first')).toBe('first');
  });
});

describe('softTimeout', () => {
  it('that has passed stays passed: a caller that moves to another flight receives its stale value at once', async () => {
    const cache = open();
    const options = { softTimeout: '1s', grace: '1m' } as const;
    const [first, second] = [new Deferred<string>(), new Deferred<string>()];
    const late = async (ctx: ComputeContext): Promise<string> => {
      const value = await first.promise;
      ctx.setTags(['late']);
      return value;
    };
    const early = cache.getOrSet('k', late);
    await cache.invalidateByTag('late');
    const joined = cache.getOrSet('k', () => second.promise, options);
    await cache.set('k', 'set', { ttl: '1s', grace: '1m' });
    await app.clock.advance('2s');
    first.resolve('computed');
    expect(await Promise.all([early, joined])).toEqual(['computed', 'set']);
    second.resolve('new');
    await nextTurn();
    expect(await cache.get('k')).toBe('new');
  });
});

describe('hardTimeout', () => {
  it('fails with a typed error, aborts the signal and drops the late result', async () => {
    const cache = open();
    const slow = new Deferred<string>();
    let signal: AbortSignal | undefined;
    const answer = cache.getOrSet(
      'k',
      (ctx: ComputeContext) => {
        signal = ctx.signal;
        return slow.promise;
      },
      { hardTimeout: '2s' },
    );
    const failed = expect(answer).rejects.toMatchObject({ code: 'COMPUTE_TIMEOUT', timeoutMs: 2_000, key: 'k' });
    await app.clock.advance('2s');
    await failed;
    expect(signal?.aborted).toBe(true);
    slow.resolve('late');
    await nextTurn();
    expect(await cache.get('k')).toBeUndefined();
  });

  it('is each caller’s own: the computation continues for the other waiting callers', async () => {
    const cache = open();
    const slow = new Deferred<string>();
    const patient = cache.getOrSet('k', () => slow.promise);
    const hasty = expect(cache.getOrSet('k', fail, { hardTimeout: '1s' })).rejects.toMatchObject({
      code: 'COMPUTE_TIMEOUT',
    });
    await app.clock.advance('1s');
    await hasty;
    slow.resolve('value');
    expect([await patient, await cache.get('k')]).toEqual(['value', 'value']);
  });
});

describe('signal', () => {
  it('ends one caller’s waiting with its own reason, and nothing else', async () => {
    const cache = open();
    const slow = new Deferred<string>();
    const leaving = new AbortController();
    const [one, other] = [
      cache.getOrSet('k', () => slow.promise, { signal: leaving.signal }),
      cache.getOrSet('k', () => slow.promise),
    ];
    leaving.abort(error);
    await expect(one).rejects.toBe(error);
    slow.resolve('value');
    expect([await other, await cache.get('k')]).toEqual(['value', 'value']);
  });

  it('that is aborted already ends it before it began', async () => {
    const cache = open();
    await expect(cache.getOrSet('k', () => 1, { signal: AbortSignal.abort(error) })).rejects.toBe(error);
    await nextTurn();
  });
});

describe('refreshAhead', () => {
  it('refreshes once in the background, without making callers wait', async () => {
    const cache = open({ refreshAhead: 0.5 });
    await cache.getOrSet('k', () => 'first');
    await app.clock.advance('6s');
    const slow = new Deferred<string>();
    let computed = 0;
    const renew = (ctx: ComputeContext): Promise<unknown> => {
      computed++;
      return slow.promise.then((text) => `${text} after ${String(ctx.stale?.value)}`);
    };
    for (let n = 0; n < 10; n++) expect(await cache.getOrSet('k', renew)).toBe('first');
    slow.resolve('second');
    await nextTurn();
    expect([computed, await cache.get('k')]).toEqual([1, 'second after first']);
  });

  it('stores nothing that was invalidated while it was computed', async () => {
    const cache = open({ refreshAhead: 0.5 });
    await cache.getOrSet('k', () => 'first', { tags: ['t'] });
    await app.clock.advance('6s');
    const slow = new Deferred<string>();
    await cache.getOrSet('k', () => slow.promise, { tags: ['t'] });
    await cache.invalidateByTag('t');
    slow.resolve('stale');
    await nextTurn();
    expect(await cache.get('k')).toBeUndefined();
  });

  it('leaves a failing source alone for the back-off', async () => {
    const cache = open({ refreshAhead: 0.1, graceBackoff: '3s' });
    await cache.getOrSet('k', () => 'first');
    let asked = 0;
    const failing = (): Promise<never> => {
      asked++;
      return fail();
    };
    await app.clock.advance('2s');
    for (let n = 0; n < 10; n++, await nextTurn()) expect(await cache.getOrSet('k', failing)).toBe('first');
    expect(asked).toBe(1);
  });
});

describe('the ttl of a computed value', () => {
  it('is counted from the end of the computation', async () => {
    const cache = open();
    const slow = new Deferred<string>();
    const answer = cache.getOrSet('k', () => slow.promise);
    await app.clock.advance('1m');
    slow.resolve('value');
    await answer;
    await app.clock.advance('9s');
    expect(await cache.get('k')).toBe('value');
    await app.clock.advance('1s');
    expect(await cache.get('k')).toBeUndefined();
  });

  it('comes up to jitter sooner, never later', async () => {
    const cache = open({ jitter: '5s' });
    await cache.setMany(Array.from({ length: 200 }, (_, n) => [`k${n}`, n] as const));
    const keys = Array.from({ length: 200 }, (_, n) => `k${n}`);
    await app.clock.advance('4999ms');
    expect((await cache.getMany(keys)).size).toBe(200);
    await app.clock.advance('2500ms');
    const left = (await cache.getMany(keys)).size;
    expect(left > 20 && left < 180).toBe(true);
    await app.clock.advance('2501ms');
    expect((await cache.getMany(keys)).size).toBe(0);
  });

  it('follows a wall clock set forward, and no wall clock set back', async () => {
    const cache = open();
    await cache.set('k', 1);
    app.clock.step(-3_600_000);
    await app.clock.advance('9s');
    expect(await cache.get('k')).toBe(1);
    app.clock.step(2_000);
    expect(await cache.get('k')).toBeUndefined();
  });

  it('is what the computation sets, if it sets one', async () => {
    const cache = open();
    await cache.getOrSet('short', (ctx: ComputeContext) => (ctx.setTtl('1s'), 1));
    await cache.getOrSet('never', (ctx: ComputeContext) => (ctx.setTtl(0), 1));
    await cache.getOrSet('skipped', (ctx: ComputeContext) => (ctx.skipCache(), 1));
    expect(await cache.getMany(['short', 'never', 'skipped'])).toEqual(new Map([['short', 1]]));
    await app.clock.advance('1s');
    expect(await cache.get('short')).toBeUndefined();
  });
});

describe('forceFresh', () => {
  it('computes although a good entry is there, is counted as bypassed, and replaces it', async () => {
    const cache = open();
    await cache.set('k', 'old');
    expect(await cache.getOrSet('k', () => 'new', { forceFresh: true })).toBe('new');
    expect([await cache.get('k'), cache.getMetrics().bypassed.forced]).toEqual(['new', 1]);
  });
});

describe('forceFresh with a softTimeout', () => {
  it('does not get the good entry that it forced a computation past', async () => {
    const cache = open();
    await cache.set('k', 'old', { grace: '1m' });
    const slow = new Deferred<string>();
    const forced = cache.getOrSet('k', () => slow.promise, { forceFresh: true, softTimeout: '1s', grace: '1m' });
    await app.clock.advance('2s');
    slow.resolve('new');
    expect(await forced).toBe('new');
  });
});

describe('a computation that asks for its own key', () => {
  it('is rejected instead of waiting for itself, directly and through another key', async () => {
    const cache = open();
    const reentrant = { code: 'REENTRANT' };
    await expect(cache.getOrSet('k', () => cache.getOrSet('k', () => 1))).rejects.toMatchObject(reentrant);
    const around = (): Promise<unknown> => cache.getOrSet('b', () => cache.getOrSet('a', () => 1));
    await expect(cache.getOrSet('a', around)).rejects.toMatchObject(reentrant);
    const many = (): Promise<never> => cache.getOrSetMany(['x'], () => new Map()) as Promise<never>;
    await expect(cache.getOrSetMany(['x', 'y'], many)).rejects.toMatchObject(reentrant);
    await expect(cache.getOrSet('k', () => cache.getOrSet('other', () => 2))).resolves.toBe(2);
  });
});
