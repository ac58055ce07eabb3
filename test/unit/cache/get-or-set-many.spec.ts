import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ComputeManyContext } from '../../../lib/cache/call-options.js';
import type { Turn } from '../../../lib/cache/turns.js';
import { nextTurn } from '../../../lib/clock/clock.js';
import { OffTier } from '../../../lib/tiers/off-tier.js';
import { expectSound } from '../../support/audit.js';
import { Deferred } from '../../support/deferred.js';
import type { CacheManager } from '../../../lib/app/cache-app.js';
import { Jobs } from '../../support/jobs.js';
import { ModelDisk, ModelTier } from '../../support/model-tier.js';
import { LaneApp, QuietLog, type SharedParts } from '../../support/lane-app.js';

describe('many keys at once', () => {
  let app: LaneApp;
  let cache: CacheManager;
  const asked: (readonly string[])[] = [];
  const lengths = (missing: readonly string[]): Map<string, string> => {
    asked.push(missing);
    return new Map(missing.map((key) => [key, `computed ${key}`]));
  };
  beforeEach(() => {
    app = new LaneApp();
    cache = app.manager();
    asked.length = 0;
  });
  afterEach(() => expectSound(app));

  it('are answered in the order asked, each once, with one computation for those that are missing', async () => {
    await cache.set('b', 'stored b');
    const values = await cache.getOrSetMany(['c', 'b', 'a', 'c'], lengths);
    expect([...values]).toEqual([
      ['c', 'computed c'],
      ['b', 'stored b'],
      ['a', 'computed a'],
    ]);
    expect(asked).toEqual([['c', 'a']]);
    expect(await cache.getMany(['a', 'x', 'c'])).toEqual(
      new Map([
        ['a', 'computed a'],
        ['c', 'computed c'],
      ]),
    );
  });

  it('do not wait for one of them that has to queue', async () => {
    const running = [new Deferred<string>(), new Deferred<string>()] as const;
    const others: Promise<string>[] = [];
    for (const { promise } of running) {
      others.push(cache.getOrSet('a', () => promise));
      await cache.invalidate('a');
    }
    const many = cache.getOrSetMany(['a', 'b'], lengths);
    expect(await cache.getOrSet('b', () => 'own')).toBe('computed b');
    for (const { resolve } of running) resolve('before');
    expect([...(await many).values(), ...(await Promise.all(others))]).toEqual([
      ...['computed a', 'computed b', 'before', 'before'],
    ]);
    expect(asked).toEqual([['b'], ['a']]);
  });

  it('are aborted when the last waiting caller has left, and not before', async () => {
    const source = new Deferred<string>();
    let signal: AbortSignal | undefined;
    const slow = async (missing: readonly string[], ctx: ComputeManyContext): Promise<Map<string, string>> => {
      signal = ctx.signal;
      const value = await source.promise;
      return new Map(missing.map((key) => [key, value]));
    };
    const many = cache.getOrSetMany(['a', 'b'], slow, { hardTimeout: '1s' });
    const patient = cache.getOrSet('a', () => 'own', { hardTimeout: '3s' });
    const failed = expect(many).rejects.toMatchObject({ code: 'COMPUTE_TIMEOUT' });
    await app.clock.advance('2s');
    await failed;
    expect(signal?.aborted).toBe(false);
    const late = expect(patient).rejects.toMatchObject({ code: 'COMPUTE_TIMEOUT' });
    await app.clock.advance('2s');
    await late;
    expect(signal?.aborted).toBe(true);
    source.resolve('late');
  });

  it('are computed again for callers that asked after an invalidation', async () => {
    const source = new Deferred<string>();
    const first = cache.getOrSet('a', async (ctx) => {
      const value = await source.promise;
      ctx.setTags(['t']);
      return value;
    });
    await cache.invalidateByTag('t');
    const later = cache.getOrSetMany(['a'], lengths);
    source.resolve('old');
    expect(await first).toBe('old');
    expect([...(await later)]).toEqual([['a', 'computed a']]);
  });

  it('may be no keys at all', async () => {
    expect(await cache.getOrSetMany([], lengths)).toEqual(new Map());
    expect(asked).toEqual([]);
  });

  it('lack what the function left out, which is asked for again the next time', async () => {
    const some = (): Map<string, number> => new Map([['a', 1]]);
    expect(await cache.getOrSetMany(['a', 'b'], some)).toEqual(new Map([['a', 1]]));
    await cache.getOrSetMany(['a', 'b'], lengths);
    expect(asked).toEqual([['b']]);
  });

  it('join what others compute, and are joined', async () => {
    const [single, batch] = [new Deferred<string>(), new Deferred<ReadonlyMap<string, string>>()];
    const first = cache.getOrSet('a', () => single.promise);
    const many = cache.getOrSetMany(['a', 'b'], (missing) => {
      asked.push(missing);
      return batch.promise;
    });
    const second = cache.getOrSet('b', () => 'never called');
    batch.resolve(new Map([['b', 'of the batch']]));
    expect(await second).toBe('of the batch');
    single.resolve('single');
    expect(await first).toBe('single');
    expect(await many).toEqual(
      new Map([
        ['a', 'single'],
        ['b', 'of the batch'],
      ]),
    );
    expect(asked).toEqual([['b']]);
  });

  it('are guarded, tagged and given a ttl key by key', async () => {
    const batch = new Deferred<void>();
    const compute = async (missing: readonly string[], ctx: ComputeManyContext): Promise<Map<string, string>> => {
      await batch.promise;
      ctx.setTags('a', ['t']);
      ctx.setTtl('b', '1s');
      return lengths(missing);
    };
    const many = cache.getOrSetMany(['a', 'b', 'c'], compute, { ttl: '1h' });
    await cache.invalidate('c');
    await cache.invalidateByTag('t');
    batch.resolve();
    expect((await many).size).toBe(3);
    expect([...(await cache.getMany(['a', 'b', 'c'])).keys()]).toEqual(['b']);
    await app.clock.advance('1s');
    expect(await cache.get('b')).toBeUndefined();
  });

  it('fail together, with the very error, and are not kept', async () => {
    const error = new Error('the source is down');
    const failing = (): never => {
      throw error;
    };
    await expect(cache.getOrSetMany(['a', 'b'], failing)).rejects.toBe(error);
    expect((await cache.getOrSetMany(['a', 'b'], lengths)).size).toBe(2);
  });

  it('are all computed when they are forced', async () => {
    await cache.setMany([
      ['a', 1],
      ['b', 2],
    ]);
    await cache.getOrSetMany(['a', 'b'], lengths, { forceFresh: true });
    expect([asked, cache.getMetrics().bypassed.forced]).toEqual([[['a', 'b']], 2]);
  });

  it('are stored one by one, and counted', async () => {
    const unstorable = (): void => undefined;
    expect(
      await cache.setMany([
        ['a', 1],
        ['b', unstorable],
        ['c', 3],
      ]),
    ).toBe(2);
  });
});

describe('many keys in a lane where processes compute one at a time', () => {
  /** Turns that the test gives out, by key. */
  let asked: { readonly key: string; readonly block: () => void; readonly give: (turn: 'ended' | 'taken') => void }[];
  let ended: string[];
  let computed: (readonly string[])[];
  let cache: CacheManager;
  const lengths = (missing: readonly string[]): Map<string, string> => {
    computed.push(missing);
    return new Map(missing.map((key) => [key, `computed ${key}`]));
  };
  beforeEach(() => {
    asked = [];
    ended = [];
    computed = [];
    const take = (_: string, key: string, blocked?: () => void): Promise<Turn | 'ended'> =>
      new Promise((resolve) => {
        const turn: Turn = { isHeld: () => Promise.resolve(true), end: () => void ended.push(key) };
        asked.push({ key, block: () => blocked?.(), give: (given) => resolve(given === 'taken' ? turn : given) });
      });
    const share = (): SharedParts => ({ tier: new OffTier('l4', 'policy'), log: new QuietLog(), turns: { take } });
    cache = new LaneApp({ share, lanes: { standard: { l4: { coalesce: 'cluster' } } } }).manager();
  });
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) await nextTurn();
  };
  /** What was asked for since the last time. */
  const questions = async (): Promise<typeof asked> => {
    await turns();
    return asked.splice(0);
  };

  it('ask once more whether they have their turns, after they have waited for room', async () => {
    const answers = [true, false];
    const rooms: Promise<void>[] = [];
    const isHeld = async (): Promise<boolean> => {
      if (answers.length === 2) rooms.push(Promise.resolve());
      return answers.shift() ?? false;
    };
    const l2 = new ModelTier('l2', ['standard'], new ModelDisk(), new Jobs());
    const below = [Object.assign(l2, { whenRoom: () => rooms.shift() })];
    const take = async (): Promise<Turn> => ({ isHeld, end: () => undefined });
    const share = (): SharedParts => ({ tier: new OffTier('l4', 'policy'), log: new QuietLog(), turns: { take } });
    cache = new LaneApp({ below, share, lanes: { standard: { l4: { coalesce: 'cluster' } } } }).manager();
    expect([...(await cache.getOrSetMany(['a'], lengths)).keys()]).toEqual(['a']);
    expect([answers, cache.getMetrics().refused.fenced]).toEqual([[], 1]);
    expect(await cache.get('a')).toBeUndefined();
  });

  it('are computed together once each has its turn or is blocked, and their turns end before those of others', async () => {
    const many = cache.getOrSetMany(['a', 'b', 'c'], lengths);
    const [a, b, c] = await questions();
    a?.give('taken');
    b?.block();
    await turns();
    expect(computed).toEqual([]);
    c?.give('taken');
    await turns();
    expect(computed).toEqual([['a', 'c']]);
    expect(ended).toEqual(['a', 'c']);
    b?.give('taken');
    expect([...(await many).keys()]).toEqual(['a', 'b', 'c']);
    expect(computed).toEqual([['a', 'c'], ['b']]);
  });

  it('are computed together as well when the process that had their turns is gone', async () => {
    const many = cache.getOrSetMany(['a', 'b', 'c', 'd'], lengths);
    const [first, ...others] = await questions();
    for (const { block } of others) block();
    first?.give('taken');
    await turns();
    for (const { give } of others) give('ended');
    for (const { give } of await questions()) give('taken');
    expect((await many).size).toBe(4);
    expect(computed).toEqual([['a'], ['b', 'c', 'd']]);
  });

  it('that are blocked join the first computation if they get their turn before it', async () => {
    const many = cache.getOrSetMany(['a', 'b'], lengths);
    const [a, b] = await questions();
    a?.block();
    a?.give('taken');
    await turns();
    expect(computed).toEqual([]);
    b?.give('taken');
    expect((await many).size).toBe(2);
    expect(computed).toEqual([['a', 'b']]);
  });

  it('are not held up by a key whose caller has left', async () => {
    const leaving = new AbortController();
    const many = cache.getOrSetMany(['a', 'b'], lengths, { signal: leaving.signal });
    const left = expect(many).rejects.toThrow('left');
    const [a, b] = await questions();
    b?.block();
    leaving.abort(new Error('left'));
    a?.give('taken');
    await left;
    await turns();
    expect([computed, ended]).toEqual([[['a']], ['a']]);
    // Another caller waits for the turn of the key.
    const single = cache.getOrSet('b', () => 'not called');
    b?.give('taken');
    expect(await single).toBe('computed b');
  });

  it('end their turns when their function fails, and those that come later are computed all the same', async () => {
    let fails = true;
    const failing = (missing: readonly string[]): Map<string, string> => {
      if (fails) throw new Error('the source is down');
      return lengths(missing);
    };
    const many = cache.getOrSetMany(['a', 'b'], failing);
    const failed = expect(many).rejects.toThrow('the source is down');
    const [a, b] = await questions();
    b?.block();
    a?.give('taken');
    await turns();
    expect(ended).toEqual(['a']);
    fails = false;
    b?.give('taken');
    await failed;
    expect([computed, ended, await cache.get('b')]).toEqual([[['b']], ['a', 'b'], 'computed b']);
  });
});

describe('what is not stored', () => {
  const outcomes = async (app: LaneApp, key: string, value: unknown): Promise<unknown> => {
    const cache = app.manager();
    const answers = [await cache.getOrSet(key, () => value), await cache.has(key)];
    expectSound(app);
    return answers;
  };

  it('is returned all the same, and counted by its reason', async () => {
    const standard = { maxEntryBytes: 20, include: ['k*'], exclude: ['*secret'] };
    const app = new LaneApp({ lanes: { standard } });
    const stream = (): void => undefined;
    expect(await outcomes(app, 'k', 'fits')).toEqual(['fits', true]);
    expect(await outcomes(app, 'k large', 'x'.repeat(50))).toEqual(['x'.repeat(50), false]);
    expect(await outcomes(app, 'k stream', stream)).toEqual([stream, false]);
    expect(await outcomes(app, 'k nothing', undefined)).toEqual([undefined, false]);
    expect(await outcomes(app, 'k secret', 1)).toEqual([1, false]);
    expect(await outcomes(app, 'other', 1)).toEqual([1, false]);
    const { refused, bypassed } = app.manager().getMetrics();
    expect(refused).toMatchObject({ 'too-large': 1, unstorable: 1, undefined: 1 });
    expect(bypassed.excluded).toBe(2);
  });

  it('is what the strategy refuses; a strategy that throws accepts', async () => {
    const strategy = {
      shouldCache: ({ key }: { readonly key: string }) => {
        if (key === 'throws') throw new Error('mine');
        return key !== 'no';
      },
      getEvictionPriority: () => 0,
    };
    const app = new LaneApp({ lanes: { standard: { strategy } } });
    expect(await outcomes(app, 'yes', 1)).toEqual([1, true]);
    expect(await outcomes(app, 'no', 1)).toEqual([1, false]);
    expect(await outcomes(app, 'throws', 1)).toEqual([1, true]);
    expect(app.warnings).toHaveLength(1);
  });

  it('leaves no older value when it was set', async () => {
    const app = new LaneApp({ lanes: { standard: { maxEntryBytes: 20 } } });
    const cache = app.manager();
    await cache.set('k', 'old');
    expect(await cache.set('k', 'x'.repeat(50))).toBe(false);
    expect(await cache.get('k')).toBeUndefined();
    await cache.set('k', 'old');
    expect(await cache.set('k', 'new', { ttl: 0 })).toBe(false);
    expect(await cache.get('k')).toBeUndefined();
  });

  it('with a ttl of 0 is computed past the cache, though something is there, and leaves nothing older', async () => {
    const cache = new LaneApp().manager();
    await cache.set('k', 'stored');
    expect(await cache.getOrSet('k', () => 'computed', { ttl: 0 })).toBe('computed');
    expect(await cache.getOrSet('k', () => 'computed', { ttl: '0s' })).toBe('computed');
    expect([await cache.get('k'), cache.getMetrics().bypassed['ttl-zero']]).toEqual([undefined, 2]);
  });
});

describe('a value of another shape', () => {
  it('is a miss for a reader of another version', async () => {
    const cache = new LaneApp().manager();
    await cache.getOrSet('k', () => 'one', { version: 1 });
    expect([await cache.get('k'), await cache.get('k', { version: 1 })]).toEqual([undefined, 'one']);
    expect(await cache.getOrSet('k', () => 'two', { version: 2 })).toBe('two');
    expect(await cache.get('k', { version: 2 })).toBe('two');
  });

  it('is a miss for a reader whose schema refuses it', async () => {
    const cache = new LaneApp().manager();
    const validate = (value: unknown): object => (typeof value === 'number' ? { value } : { issues: ['no'] });
    const schema = { '~standard': { version: 1, vendor: 'test', validate } } as const;
    await cache.set('k', 'text');
    expect([await cache.get('k', { schema }), await cache.getOrSet('k', () => 5, { schema })]).toEqual([undefined, 5]);
    expect(await cache.get('k', { schema })).toBe(5);
  });
});
