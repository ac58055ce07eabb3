import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { ComputeContext } from '../../lib/cache/call-options.js';
import { expectSound } from '../support/audit.js';
import { Deferred } from '../support/deferred.js';
import { Jobs } from '../support/jobs.js';
import { LaneApp, type LaneAppOptions } from '../support/lane-app.js';
import { ModelDisk, ModelTier } from '../support/model-tier.js';

const fail = (): never => {
  throw new Error('the source is down');
};

const commitAll = async (tier: ModelTier): Promise<void> => {
  for (; tier.queued > 0; await nextTurn()) tier.commit();
};

describe('what has been invalidated', () => {
  let app: LaneApp;
  const jobs = new Jobs();
  const open = (options: LaneAppOptions = {}): ReturnType<LaneApp['manager']> => {
    app = new LaneApp(options);
    return app.manager();
  };
  const overDisk = (): { readonly l2: ModelTier; readonly cache: ReturnType<LaneApp['manager']> } => {
    const l2 = new ModelTier('l2', ['standard'], new ModelDisk(), jobs);
    return { l2, cache: open({ below: [l2] }) };
  };
  afterEach(() => expectSound(app));

  it('is not written back by an expiry that had begun to rewrite it', async () => {
    const { l2, cache } = overDisk();
    l2.reads = 'at-once';
    await cache.getOrSet('k', () => 'old', { grace: '1h' });
    await commitAll(l2);
    l2.reads = 'later';
    const expired = cache.expire('k');
    jobs.run(0);
    const invalidated = cache.invalidate('k');
    await commitAll(l2);
    await invalidated;
    while (jobs.size > 0) jobs.run(0);
    await nextTurn();
    await commitAll(l2);
    await expired;
    l2.reads = 'at-once';
    await expect(cache.getOrSet('k', fail, { grace: '1h' })).rejects.toThrow('the source is down');
  });

  it('is not written back in place of a value that was set while an expiry was under way', async () => {
    const { l2, cache } = overDisk();
    l2.reads = 'at-once';
    await cache.getOrSet('k', () => 'old', { grace: '1h' });
    await commitAll(l2);
    const set = cache.set('k', 'new', { grace: '1h' });
    const expired = cache.expire('k');
    await nextTurn();
    await commitAll(l2);
    await Promise.all([set, expired]);
    app.memory.clearAll();
    const served = await cache.getOrSet('k', fail, { grace: '1h' }).catch(() => 'an error');
    expect(served).not.toBe('old');
  });

  it('has gone from the disk when its expiry resolves, also when a set came in between', async () => {
    const { l2, cache } = overDisk();
    await cache.getOrSet('k', () => 'old', { grace: '1h' });
    await commitAll(l2);
    l2.reads = 'later';
    let left: unknown = 'not resolved yet';
    const expired = cache.expire('k').then(() => (left = [...l2.disk.entries.keys()]));
    const set = cache.set('k', 'new');
    for (; jobs.size > 0; await nextTurn()) jobs.run(0);
    expect(left).toBe('not resolved yet');
    for (; l2.queued > 0 && typeof left === 'string'; await nextTurn()) l2.commit();
    expect(left).toEqual([]);
    await commitAll(l2);
    await Promise.all([expired, set]);
  });

  it('is not served to later callers by a flight that was queued before', async () => {
    const cache = open();
    await cache.set('k', 'old', { ttl: '1s', grace: '1h' });
    const [first, second] = [new Deferred(), new Deferred()];
    await cache.expire('k');
    const answers = [cache.getOrSet('k', () => first.promise)];
    await cache.expire('k');
    answers.push(cache.getOrSet('k', () => second.promise));
    await cache.expire('k');
    const queued = cache.getOrSet('k', fail, { grace: '1h' }).catch(() => 'an error');
    await cache.invalidate('k');
    const later = cache.getOrSet('k', fail, { grace: '1h', softTimeout: 0 }).catch(() => 'an error');
    first.resolve('first');
    second.resolve('second');
    await Promise.all(answers);
    expect(await later).toBe('an error');
    await queued;
  });

  it('is not passed to a computation as its stale value', async () => {
    const cache = open();
    await cache.set('k', 'old', { tags: ['t'] });
    await cache.invalidateByTag('t');
    const seen = await cache.getOrSet('k', (ctx: ComputeContext) => ctx.stale ?? 'nothing', { forceFresh: true });
    expect(seen).toBe('nothing');
  });

  it('is not passed to a computation as its stale value when the disk reports a miss late', async () => {
    const { l2, cache } = overDisk();
    const options = { ttl: '1s', grace: '1h' } as const;
    await cache.getOrSet('k', () => 'old', { ...options, tags: ['t'] });
    await commitAll(l2);
    await app.clock.advance('2s');
    l2.reads = 'later';
    const seen = cache.getOrSet('k', (ctx: ComputeContext) => ctx.stale ?? 'nothing', options);
    await cache.invalidateByTag('t');
    for (; jobs.size > 0; await nextTurn()) jobs.run(0);
    expect(await seen).toBe('nothing');
    await commitAll(l2);
  });

  it('is replaced by what a flight computes that was still searching the tiers', async () => {
    const { l2, cache } = overDisk();
    l2.reads = 'later';
    const asked = cache.getOrSet('k', () => 'new');
    const invalidated = cache.invalidateByTag('t').then(() => cache.invalidate('k'));
    for (let n = 0; n < 20; n++) {
      await nextTurn();
      while (jobs.size > 0) jobs.run(0);
      await commitAll(l2);
    }
    expect([await asked, await invalidated]).toEqual(['new', false]);
    l2.reads = 'at-once';
    expect(await cache.get('k')).toBe('new');
  });

  it('does not expire what a flight computes that was still searching the tiers', async () => {
    const { l2, cache } = overDisk();
    l2.reads = 'later';
    const asked = cache.getOrSet('k', () => 'new', { tags: ['t'] });
    await cache.expireByTag('t');
    for (; jobs.size > 0; await nextTurn()) jobs.run(0);
    expect(await asked).toBe('new');
    await commitAll(l2);
    expect(await cache.getOrSet('k', fail)).toBe('new');
    l2.reads = 'at-once';
  });

  it.each(['invalidateByTag', 'expireByTag'] as const)(
    'is kept where a flight was still searching the tiers, and its computation adds the tag, after %s',
    async (how) => {
      const { l2, cache } = overDisk();
      l2.reads = 'later';
      const asked = cache.getOrSet('k', (ctx) => {
        ctx.setTags(['t']);
        return 'new';
      });
      await cache[how]('t');
      for (; jobs.size > 0; await nextTurn()) jobs.run(0);
      expect(await asked).toBe('new');
      await commitAll(l2);
      expect(await cache.getOrSet('k', fail)).toBe('new');
      l2.reads = 'at-once';
    },
  );

  it('is computed once for those who asked before the invalidation and those who came after it', async () => {
    const { l2, cache } = overDisk();
    l2.reads = 'later';
    let computed = 0;
    const slow = new Deferred<string>();
    const compute = (): Promise<string> => (computed++, slow.promise);
    const before = cache.getOrSet('k', compute, { tags: ['t'] });
    await nextTurn();
    await cache.invalidateByTag('t');
    const after = cache.getOrSet('k', compute, { tags: ['t'] });
    for (; jobs.size > 0; await nextTurn()) jobs.run(0);
    expect(computed).toBe(1);
    slow.resolve('new');
    expect(await Promise.all([before, after])).toEqual(['new', 'new']);
    await commitAll(l2);
    l2.reads = 'at-once';
    expect(await cache.get('k')).toBe('new');
  });

  it('keeps no other key of a bulk call waiting for the computation that another call has begun', async () => {
    const { l2, cache } = overDisk();
    l2.reads = 'later';
    const slow = new Deferred<string>();
    const bulk = cache.getOrSetMany(['k', 'other'], (keys) => new Map(keys.map((key) => [key, `bulk ${key}`])));
    await nextTurn();
    const invalidated = cache.invalidate('k');
    const single = cache.getOrSet('k', () => slow.promise);
    for (; jobs.size > 0; await nextTurn()) jobs.run(0);
    await commitAll(l2);
    await invalidated;
    l2.reads = 'at-once';
    expect(await cache.getOrSet('other', fail)).toBe('bulk other');
    slow.resolve('single');
    expect(await single).toBe('single');
    expect([...(await bulk)]).toEqual([
      ['k', 'single'],
      ['other', 'bulk other'],
    ]);
    await commitAll(l2);
  });

  it('is not what a flight replaces when a value was set while the flight searched, which gets that value', async () => {
    const { l2, cache } = overDisk();
    l2.reads = 'later';
    const asked = cache.getOrSet('k', fail);
    const set = cache.set('k', 'set');
    for (let n = 0; n < 20; n++) {
      await nextTurn();
      while (jobs.size > 0) jobs.run(0);
      await commitAll(l2);
    }
    expect([await asked, await set, await cache.get('k')]).toEqual(['set', true, 'set']);
    l2.reads = 'at-once';
    await commitAll(l2);
  });

  it('is not stored when a listener invalidates it in the step that stores it', async () => {
    const cache = open();
    app.events.on('invalidate', ({ kind }) => {
      if (kind === 'key') void cache.invalidateByTag('t');
    });
    await cache.set('k', 'old', { tags: ['t'] });
    expect(await cache.get('k')).toBeUndefined();
    await cache.putComputed('k', () => 'old', { tags: ['t'] });
    expect(await cache.get('k')).toBeUndefined();
  });

  it('does not come in while something else is evicted for it', async () => {
    const strategy = {
      shouldCache: () => true,
      getEvictionPriority: () => {
        void cache.invalidate('b');
        return 1;
      },
    };
    const cache = open({ lanes: { standard: { l1: { maxEntries: 1 }, strategy } } });
    await cache.getOrSet('a', () => 'a');
    await cache.getOrSet('b', () => 'old');
    expect(await cache.get('b')).toBeUndefined();
  });

  it('is refused to callers who joined after its late tag was expired', async () => {
    const cache = open();
    const slow = new Deferred<string>();
    const first = cache.getOrSet('k', async (ctx: ComputeContext) => {
      const value = await slow.promise;
      ctx.setTags(['t']);
      return value;
    });
    await cache.expireByTag('t');
    const second = cache.getOrSet('k', () => 'new');
    slow.resolve('old');
    expect(await Promise.all([first, second])).toEqual(['old', 'new']);
  });

  it('can still be served inside its grace while the expiry of its key is being stored', async () => {
    const { l2, cache } = overDisk();
    l2.reads = 'at-once';
    const set = cache.set('k', 'old', { grace: '1h' });
    await commitAll(l2);
    await set;
    const expired = cache.expire('k');
    await expect(cache.getOrSet('k', fail, { grace: '1h' })).resolves.toBe('old');
    await nextTurn();
    await commitAll(l2);
    await expired;
  });
});

describe('a flight', () => {
  let app: LaneApp;
  const open = (options: LaneAppOptions = {}): ReturnType<LaneApp['manager']> => {
    app = new LaneApp(options);
    return app.manager();
  };
  afterEach(() => expectSound(app));

  it('stores nothing once the cache has been closed', async () => {
    const cache = open();
    const slow = new Deferred<string>();
    const answer = cache.getOrSet('k', () => slow.promise);
    await cache.close();
    slow.resolve('late');
    expect(await answer).toBe('late');
    expect(await cache.getOrSet('k', () => 'computed')).toBe('computed');
    expect(app.memory.usage('standard').entries).toBe(0);
  });

  it('that was forced and failed lets callers join the one before it again', async () => {
    const cache = open();
    const slow = new Deferred<string>();
    let computed = 0;
    const count = (): Promise<string> => {
      computed++;
      return slow.promise;
    };
    const first = cache.getOrSet('k', count);
    await expect(cache.getOrSet('k', fail, { forceFresh: true })).rejects.toThrow('the source is down');
    const joined = cache.getOrSet('k', count);
    slow.resolve('value');
    expect(await Promise.all([first, joined])).toEqual(['value', 'value']);
    expect(computed).toBe(1);
  });

  it('that has not started is computed for a forced call, even when a tier holds the entry by then', async () => {
    const l2 = new ModelTier('l2', ['standard'], new ModelDisk(), new Jobs());
    const cache = open({ below: [l2] });
    const running = [new Deferred<string>(), new Deferred<string>()] as const;
    const answers: Promise<string>[] = [];
    for (const { promise } of running) {
      answers.push(cache.getOrSet('k', () => promise));
      await Promise.all([cache.invalidate('k'), commitAll(l2)]);
    }
    answers.push(cache.getOrSet('k', () => 'queued'));
    const forced = cache.getOrSet('k', () => 'forced', { forceFresh: true });
    await Promise.all([cache.set('k', 'set'), commitAll(l2)]);
    running[0].resolve('first');
    expect(await forced).toBe('queued');
    running[1].resolve('second');
    expect(await Promise.all(answers)).toEqual(['first', 'second', 'queued']);
    await commitAll(l2);
  });

  it('that had to queue falls back on what is stale when it starts', async () => {
    const cache = open();
    const running = [new Deferred<string>(), new Deferred<string>()] as const;
    const answers: Promise<string>[] = [];
    for (const { promise } of running) {
      answers.push(cache.getOrSet('k', () => promise));
      await cache.invalidate('k');
    }
    answers.push(cache.getOrSet('k', fail, { grace: '1m' }));
    await cache.set('k', 'set', { ttl: '1s', grace: '1m' });
    await app.clock.advance('2s');
    for (const [n, { resolve }] of running.entries()) resolve(`computed ${n}`);
    expect(await Promise.all(answers)).toEqual(['computed 0', 'computed 1', 'set']);
  });

  it('counts each of its callers once, also those that moved to another flight', async () => {
    const cache = open();
    const slow = new Deferred<string>();
    const late = async (ctx: ComputeContext): Promise<string> => {
      ctx.setTags(['late']);
      return slow.promise;
    };
    const answers = [cache.getOrSet('k', late), cache.getOrSet('k', late)];
    await cache.invalidateByTag('late');
    answers.push(
      cache.getOrSet('k', () => 'new'),
      cache.getOrSet('k', () => 'new'),
    );
    slow.resolve('old');
    expect(await Promise.all(answers)).toEqual(['old', 'old', 'new', 'new']);
    const { requests, misses, joined, computed } = cache.getMetrics();
    expect([requests, misses, joined, computed]).toEqual([4, 4, 2, 2]);
  });

  it('that was forced and fails gives its error, not the good entry, where no grace was asked for', async () => {
    const cache = open();
    await cache.set('k', 'good');
    await expect(cache.getOrSet('k', fail, { forceFresh: true })).rejects.toThrow('the source is down');
  });

  it('never falls back on a copy that the reader’s schema refuses', async () => {
    const cache = open();
    await cache.set('k', 'not a number', { grace: '1h' });
    const validate = (value: unknown): object => (typeof value === 'number' ? { value } : { issues: ['no'] });
    const schema = { '~standard': { version: 1, vendor: 'test', validate } } as const;
    await expect(cache.getOrSet('k', fail, { schema, grace: '1h' })).rejects.toThrow('the source is down');
  });

  it('may be asked for again by what its computation left running', async () => {
    const cache = open();
    const later = new Deferred<void>();
    let again: Promise<unknown> | undefined;
    await cache.getOrSet('k', () => {
      again = later.promise.then(() => cache.getOrSet('k', () => 'second'));
      return 'first';
    });
    await cache.invalidate('k');
    later.resolve();
    await expect(again).resolves.toBe('second');
  });

  it('may be asked for again by what a put computation left running', async () => {
    const cache = open();
    const later = new Deferred<void>();
    let again: Promise<unknown> | undefined;
    await cache.putComputed('k', () => {
      again = later.promise.then(() => cache.getOrSet('k', () => 'second'));
      return 'first';
    });
    await cache.invalidate('k');
    later.resolve();
    await expect(again).resolves.toBe('second');
  });

  it('computes in the async context of its own caller, also when it was queued', async () => {
    const cache = open();
    const tenants = new AsyncLocalStorage<string>();
    const [first, second] = [new Deferred<string>(), new Deferred<string>()];
    const answers = [tenants.run('one', () => cache.getOrSet('k', () => first.promise))];
    await cache.invalidate('k');
    answers.push(tenants.run('two', () => cache.getOrSet('k', () => second.promise)));
    await cache.invalidate('k');
    answers.push(tenants.run('three', () => cache.getOrSet('k', () => String(tenants.getStore()))));
    first.resolve('');
    second.resolve('');
    expect((await Promise.all(answers))[2]).toBe('three');
  });

  it('computes in the async context of its own caller, also for one that moved from another flight', async () => {
    const cache = open();
    const tenants = new AsyncLocalStorage<string>();
    const slow = new Deferred<string>();
    const first = tenants.run('one', () =>
      cache.getOrSet('k', async (ctx: ComputeContext) => {
        const value = await slow.promise;
        ctx.setTags(['t']);
        return value;
      }),
    );
    await cache.invalidateByTag('t');
    const second = tenants.run('two', () => cache.getOrSet('k', () => String(tenants.getStore())));
    slow.resolve('one');
    expect(await Promise.all([first, second])).toEqual(['one', 'two']);
  });

  it('counts a caller’s hard timeout from its call, also for a caller that moved to another flight', async () => {
    const cache = open();
    const [slow, never] = [new Deferred<string>(), new Deferred<string>()];
    const first = cache.getOrSet('k', async (ctx: ComputeContext) => {
      const value = await slow.promise;
      ctx.setTags(['t']);
      return value;
    });
    await cache.invalidateByTag('t');
    const second = cache.getOrSet('k', () => never.promise, { hardTimeout: '10s' });
    const failed = expect(second).rejects.toMatchObject({ code: 'COMPUTE_TIMEOUT' });
    await app.clock.advance('9s');
    slow.resolve('value');
    await first;
    await app.clock.advance('2s');
    await failed;
    never.resolve('late');
    await nextTurn();
  });
});

describe('a note for the next owner that cannot be left', () => {
  it('rejects every kind of invalidation, and leaves nothing pending behind', async () => {
    const persistence = {
      directory: 'l3',
      invalidateAll: () => Promise.resolve(),
      isEmpty: () => false,
      noteMissed: () => Promise.reject(new Error('the disk is full')),
    };
    const app = new LaneApp({ persistence });
    const cache = app.manager();
    const notDurable = { code: 'INVALIDATION_NOT_DURABLE' };
    await expect(cache.invalidate('k')).rejects.toMatchObject(notDurable);
    await expect(cache.invalidateByPattern('k*')).rejects.toMatchObject(notDurable);
    await expect(cache.invalidateByTag('t')).rejects.toMatchObject(notDurable);
    await expect(cache.clearAll()).rejects.toMatchObject(notDurable);
    await expect(cache.expire('k')).rejects.toMatchObject(notDurable);
    await expect(cache.set('k', 1)).rejects.toMatchObject(notDurable);
    expectSound(app);
  });
});

describe('a computation that never ends', () => {
  const never = (): Promise<never> => new Promise(() => undefined);

  it('is abandoned after the hard timeout of a caller that has left', async () => {
    const app = new LaneApp();
    const cache = app.manager();
    const leaving = new AbortController();
    let signal: AbortSignal | undefined;
    const hang = (ctx: ComputeContext): Promise<never> => {
      signal = ctx.signal;
      return never();
    };
    const answer = cache.getOrSet('k', hang, { signal: leaving.signal, hardTimeout: '1s' });
    leaving.abort(new Error('left'));
    await expect(answer).rejects.toThrow('left');
    await app.clock.advance('2s');
    expect(signal?.aborted).toBe(true);
    await expect(cache.getOrSet('k', () => 'anew')).resolves.toBe('anew');
  });

  it('is abandoned after the hard timeout when it refreshes in the background, and not restarted at once', async () => {
    const app = new LaneApp();
    const cache = app.manager();
    const options = { ttl: '100s', refreshAhead: 0.5, hardTimeout: '1s', graceBackoff: '10s' } as const;
    await cache.getOrSet('k', () => 'good', options);
    await app.clock.advance('60s');
    let started = 0;
    const hang = (): Promise<never> => {
      started++;
      return never();
    };
    await cache.getOrSet('k', hang, options);
    await app.clock.advance('2s');
    await cache.getOrSet('k', hang, options);
    expect(started).toBe(1);
    await app.clock.advance('10s');
    await cache.getOrSet('k', hang, options);
    expect(started).toBe(2);
  });

  it('counts as a failure of the source, which is left alone while there is a stale copy', async () => {
    const app = new LaneApp();
    const cache = app.manager();
    const options = { ttl: '1s', grace: '1h', hardTimeout: '1s', graceBackoff: '10s' } as const;
    await cache.getOrSet('k', () => 'old', options);
    await app.clock.advance('2s');
    const first = cache.getOrSet('k', never, options);
    await app.clock.advance('2s');
    expect(await first).toBe('old');
    let asked = 0;
    expect(await cache.getOrSet('k', () => ++asked, options)).toBe('old');
    expect(asked).toBe(0);
  });
});
