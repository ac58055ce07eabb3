import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CacheManager } from '../../lib/app/cache-app.js';
import { InstancePair } from '../support/instance-pair.js';

describe("computations that wait for each other's turn across instances", () => {
  let pair: InstancePair;
  let one: CacheManager;
  let other: CacheManager;

  beforeEach(async () => {
    pair = new InstancePair({ coalesce: 'cluster' });
    const instances = [pair.start(0), pair.start(1)] as const;
    await pair.pass(500);
    one = instances[0].app.manager();
    other = instances[1].app.manager();
  });
  afterEach(() => pair.end());

  /** How the calls end within a minute of the clock. */
  const ends = async (...calls: readonly Promise<unknown>[]): Promise<readonly string[]> => {
    const outcomes = calls.map((call) =>
      call.then(
        (value) => String(value),
        (error: unknown) => String(Reflect.get(Object(error), 'code')),
      ),
    );
    const all = Promise.all(outcomes);
    let isOver = false;
    void all.then(() => (isOver = true));
    for (let passed = 0; !isOver && passed < 60_000; passed += 500) await pair.pass(500);
    return isOver ? all : ['hangs'];
  };

  it('end by a bounded wait: each caller gets a value, or the error that names the circle', async () => {
    const boss = (cache: CacheManager): Promise<string> =>
      cache.getOrSet('boss', async () => `boss of ${await user(cache)}`);
    const user = (cache: CacheManager): Promise<string> =>
      cache.getOrSet('user', async () => `user of ${await boss(cache)}`);
    const outcomes = await ends(boss(one), user(other));
    expect(outcomes).toHaveLength(2);
    for (const outcome of outcomes) expect(outcome).toBe('REENTRANT');
    // Nothing is left of it.
    expect(
      await ends(
        one.getOrSet('boss', () => 'fresh'),
        other.getOrSet('user', () => 'fresh'),
      ),
    ).toEqual(['fresh', 'fresh']);
  });

  it('get values where no circle closes', async () => {
    const through = (cache: CacheManager): Promise<string> =>
      cache.getOrSet('outer', async () => `outer of ${await cache.getOrSet('inner', () => 'inner')}`);
    expect(await ends(through(one), through(other))).toEqual(['outer of inner', 'outer of inner']);
  });
});
