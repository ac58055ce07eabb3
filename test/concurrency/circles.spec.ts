import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { CacheManager, ReentrantError } from '../../lib/index.js';
import { expectSound } from '../support/audit.js';
import { Deferred } from '../support/deferred.js';
import { LaneApp } from '../support/lane-app.js';

/** What a caller ends with: its value, or the circle that it would have closed, or another error. */
const endOf = (answer: Promise<unknown>): Promise<unknown> =>
  answer.catch((error: unknown) => (isReentrant(error) ? error.circle : error));

const isReentrant = (error: unknown): error is ReentrantError =>
  error instanceof Error && 'code' in error && error.code === 'REENTRANT';

describe('computations that would wait for each other', () => {
  let app: LaneApp;
  let cache: CacheManager;
  let docs: CacheManager;
  beforeEach(() => {
    app = new LaneApp();
    cache = app.manager();
    docs = app.manager('docs');
  });
  afterEach(() => expectSound(app));

  /** Computes by asking for the next key one turn later, so that all have started. Notes who was refused. */
  const asking = (lane: CacheManager, next: string, refused: unknown[]) => async (): Promise<string> => {
    await nextTurn();
    const value = await lane
      .getOrSet(next, () => 'never computed')
      .catch((error: unknown) => {
        refused.push(isReentrant(error) ? error.circle : error);
        return 'without it';
      });
    return `after ${value}`;
  };

  it('end with values, except for the one that closes the circle: two started from outside at once', async () => {
    const refused: unknown[] = [];
    const [user, boss] = await Promise.all([
      docs.getOrSet('user', asking(docs, 'boss', refused)),
      docs.getOrSet('boss', asking(docs, 'user', refused)),
    ]);
    expect(refused).toEqual([['docs:user', 'docs:boss', 'docs:user']]);
    expect([user, boss]).toEqual(['after after without it', 'after without it']);
  });

  it('give each caller the error of its computation if none handles it', async () => {
    const ask = (next: string) => async (): Promise<unknown> => {
      await nextTurn();
      return docs.getOrSet(next, () => 'never computed');
    };
    const ends = await Promise.all([endOf(docs.getOrSet('a', ask('b'))), endOf(docs.getOrSet('b', ask('a')))]);
    expect(ends).toEqual([
      ['docs:a', 'docs:b', 'docs:a'],
      ['docs:a', 'docs:b', 'docs:a'],
    ]);
    expect(await docs.getOrSet('a', () => 'anew')).toBe('anew');
  });

  it('end over any number of keys and lanes', async () => {
    const refused: unknown[] = [];
    const keys = Array.from({ length: 20 }, (_, n) => n);
    const laneOf = (n: number): CacheManager => (n % 2 === 0 ? docs : cache);
    const answers = keys.map((n) => {
      const next = (n + 1) % keys.length;
      return laneOf(n).getOrSet(`k${n}`, asking(laneOf(next), `k${next}`, refused));
    });
    await Promise.all(answers);
    expect(refused).toHaveLength(1);
    expect(refused[0]).toHaveLength(21);
  });

  it('name each computation of the circle in the text', async () => {
    const error = await docs
      .getOrSet('a', () => cache.getOrSet('b', () => docs.getOrSet('a', () => 1)))
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'ReentrantError', code: 'REENTRANT', lane: 'docs', key: 'a' });
    expect(String(error)).toContain('docs:a -> standard:b -> docs:a');
  });

  it('end when they ask for many keys at once', async () => {
    const refused: unknown[] = [];
    const many =
      (next: string) =>
      async (missing: readonly string[]): Promise<Map<string, string>> => {
        await nextTurn();
        await cache
          .getOrSetMany([next, 'other'], (keys) => new Map(keys.map((key) => [key, key])))
          .catch((error) => {
            refused.push(isReentrant(error) ? error.circle : error);
          });
        return new Map(missing.map((key) => [key, `value of ${key}`]));
      };
    const [first, second] = await Promise.all([
      cache.getOrSetMany(['a', 'b'], many('c')),
      cache.getOrSetMany(['c', 'd'], many('b')),
    ]);
    expect(refused).toEqual([['standard:b', 'standard:c', 'standard:b']]);
    expect([first.get('a'), second.get('d')]).toEqual(['value of a', 'value of d']);
  });

  it('end when the one is forced, and when it refreshes in the background', async () => {
    const refused: unknown[] = [];
    await Promise.all([
      cache.getOrSet('a', asking(cache, 'b', refused), { forceFresh: true }),
      cache.getOrSet('b', asking(cache, 'a', refused), { forceFresh: true }),
    ]);
    expect(refused).toHaveLength(1);
    const options = { ttl: '100s', refreshAhead: 0.1 } as const;
    await cache.set('c', 'old', { ttl: '100s' });
    await cache.getOrSet('d', () => 'old', options);
    await app.clock.advance('50s');
    expect(await cache.getOrSet('d', asking(cache, 'e', refused), options)).toBe('old');
    await cache.getOrSet('e', asking(cache, 'd', refused));
    await nextTurn();
    expect(refused).toHaveLength(1);
  });

  it('end when one was queued behind two that were invalidated, and asks for its own key', async () => {
    const [first, second] = [new Deferred<string>(), new Deferred<string>()];
    const answers = [cache.getOrSet('k', () => first.promise)];
    await cache.invalidate('k');
    answers.push(cache.getOrSet('k', () => second.promise));
    await cache.invalidate('k');
    const queued = endOf(cache.getOrSet('k', () => cache.getOrSet('k', () => 'inner')));
    first.resolve('first');
    expect(await queued).toEqual(['standard:k', 'standard:k']);
    second.resolve('second');
    expect(await Promise.all(answers)).toEqual(['first', 'second']);
  });

  it('end when one is queued behind computations that wait for the one that asks', async () => {
    const gate = new Deferred<void>();
    const refused: unknown[] = [];
    const waitsForB = async (): Promise<string> => {
      await gate.promise;
      return cache.getOrSet('b', () => 'never computed');
    };
    const first = cache.getOrSet('a', waitsForB);
    await cache.invalidate('a');
    const second = cache.getOrSet('a', waitsForB);
    await cache.invalidate('a');
    const b = cache.getOrSet('b', async () => {
      gate.resolve();
      await nextTurn();
      return asking(cache, 'a', refused)();
    });
    await Promise.all([first, second, b]);
    expect(refused).toEqual([['standard:a', 'standard:b', 'standard:a']]);
  });

  it('are not refused a place behind computations of which one ends by itself', async () => {
    const gate = new Deferred<void>();
    const free = new Deferred<string>();
    const first = cache.getOrSet('a', async () => {
      await gate.promise;
      return cache.getOrSet('b', () => 'never computed');
    });
    await cache.invalidate('a');
    const second = cache.getOrSet('a', () => free.promise);
    await cache.invalidate('a');
    const b = cache.getOrSet('b', async () => {
      gate.resolve();
      await nextTurn();
      return cache.getOrSet('a', () => 'third');
    });
    await nextTurn();
    await nextTurn();
    free.resolve('second');
    expect(await Promise.all([first, second, b])).toEqual(['third', 'second', 'third']);
  });

  it('end when the one that ends by itself then joins the circle', async () => {
    const gate = new Deferred<void>();
    const refused: unknown[] = [];
    const first = cache.getOrSet('a', async () => {
      await gate.promise;
      return cache.getOrSet('b', () => 'never computed');
    });
    await cache.invalidate('a');
    const second = cache.getOrSet('a', async () => {
      await gate.promise;
      for (let turn = 0; turn < 4; turn++) await nextTurn();
      return asking(cache, 'b', refused)();
    });
    await cache.invalidate('a');
    const b = cache.getOrSet('b', async () => {
      gate.resolve();
      await nextTurn();
      return cache.getOrSet('a', () => 'third');
    });
    await Promise.all([first, second, b]);
    expect(refused).toHaveLength(1);
  });

  it('end when a caller is moved to another computation by a late tag', async () => {
    const slow = new Deferred<string>();
    const first = cache.getOrSet('a', async (ctx) => {
      const value = await slow.promise;
      ctx.setTags(['t']);
      return value;
    });
    await cache.invalidateByTag('t');
    // Waits for the first computation of `a`, and has to move to another one when that ends.
    const b = endOf(cache.getOrSet('b', () => cache.getOrSet('a', () => cache.getOrSet('b', () => 'never computed'))));
    await nextTurn();
    slow.resolve('first');
    expect(await first).toBe('first');
    expect(await b).toEqual(['standard:b', 'standard:a', 'standard:b']);
  });

  it('end when a caller would be moved to a computation that waits for its own', async () => {
    const slow = new Deferred<string>();
    const first = cache.getOrSet('a', async (ctx) => {
      const value = await slow.promise;
      ctx.setTags(['t']);
      return value;
    });
    await cache.invalidateByTag('t');
    const b = endOf(cache.getOrSet('b', () => cache.getOrSet('a', () => 'never computed')));
    const forced = endOf(cache.getOrSet('a', () => cache.getOrSet('b', () => 'never computed'), { forceFresh: true }));
    slow.resolve('first');
    expect(await first).toBe('first');
    expect(await Promise.all([b, forced])).toEqual([
      ['standard:a', 'standard:b', 'standard:a'],
      ['standard:a', 'standard:b', 'standard:a'],
    ]);
  });

  it('end when one asks for its own key after it has invalidated it', async () => {
    const compute = async (): Promise<unknown> => {
      await cache.invalidate('k');
      return cache.getOrSet('k', () => 'inner');
    };
    expect(await endOf(cache.getOrSet('k', compute))).toEqual(['standard:k', 'standard:k']);
  });

  it('end when a value is put in between', async () => {
    const put = (): Promise<unknown> => cache.putComputed('p', () => cache.getOrSet('a', () => 'never computed'));
    expect(await endOf(cache.getOrSet('a', put))).toEqual(['standard:a', 'standard:p', 'standard:a']);
  });
});

describe('a computation that no circle passes through', () => {
  let app: LaneApp;
  let cache: CacheManager;
  beforeEach(() => {
    app = new LaneApp();
    cache = app.manager();
  });
  afterEach(() => expectSound(app));

  it('gets the values of keys that others wait for as well', async () => {
    const slow = new Deferred<string>();
    const leaf = (): Promise<string> => cache.getOrSet('leaf', () => slow.promise);
    const left = cache.getOrSet('left', leaf);
    const top = cache.getOrSet('top', async () => {
      const [one, two, three] = await Promise.all([
        cache.getOrSet('left', leaf),
        cache.getOrSet('right', leaf),
        leaf(),
      ]);
      return `${one} ${two} ${three}`;
    });
    slow.resolve('leaf');
    expect(await Promise.all([left, top])).toEqual(['leaf', 'leaf leaf leaf']);
  });

  it('may ask for a key whose computation does not wait for it any more', async () => {
    const options = { ttl: '1s', grace: '1h', softTimeout: 0 } as const;
    await cache.getOrSet('b', () => 'old b', options);
    await app.clock.advance('2s');
    const inner = new Deferred();
    const a = cache.getOrSet('a', async () => {
      const b = await cache.getOrSet(
        'b',
        () => {
          const answer = nextTurn().then(() => cache.getOrSet('a', () => 'never computed'));
          inner.resolve(answer);
          return answer;
        },
        options,
      );
      await nextTurn();
      await nextTurn();
      return `a with ${b}`;
    });
    expect(await a).toBe('a with old b');
    expect(await inner.promise).toBe('a with old b');
  });

  it('may have been started by one that has ended', async () => {
    let later: Promise<unknown> | undefined;
    const go = new Deferred<void>();
    await cache.getOrSet('a', () => {
      later = go.promise.then(() => cache.getOrSet('a', () => 'again', { forceFresh: true }));
      return 'first';
    });
    go.resolve();
    expect(await later).toBe('again');
  });

  it('puts a value made from the old one under its key', async () => {
    await cache.set('n', 1);
    expect(await cache.putComputed('n', async () => (await cache.getOrSet('n', () => 0)) + 1)).toBe(2);
    await cache.invalidate('n');
    const again = async (): Promise<number> => {
      await cache.set('another', 1);
      return (await cache.getOrSet('n', () => 0)) + 1;
    };
    expect(await cache.putComputed('n', again)).toBe(1);
    expect(await cache.get('n')).toBe(1);
  });

  it('may lie 2,000 computations deep', async () => {
    const at = (depth: number): Promise<number> =>
      cache.getOrSet(`level ${depth}`, async () => {
        await Promise.resolve();
        return depth === 0 ? 0 : (await at(depth - 1)) + 1;
      });
    expect(await at(2_000)).toBe(2_000);
  });
});
