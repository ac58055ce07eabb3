import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CacheManager } from '../../lib/app/cache-app.js';
import { nextTurn } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Caches } from '../support/caches.js';
import { Deferred } from '../support/deferred.js';
import { InstancePair } from '../support/instance-pair.js';

const KEYS = Array.from({ length: 120 }, (_, number) => `key:${number}`);

/** Computes the keys of one caller, and notes them. */
const computing =
  (computed: string[]) =>
  (missing: readonly string[]): Map<string, string> => {
    computed.push(...missing);
    return new Map(missing.map((key) => [key, `value of ${key}`]));
  };

describe("bulk calls of two processes of a directory with coalesce: 'host'", () => {
  const caches = new Caches();
  let members: readonly CacheManager[];
  beforeEach(async () => {
    const directory = await caches.directory();
    const lanes = { standard: { l4: { coalesce: 'host' } } } as const;
    // No wait for another process ends by time.
    const clock = new FakeClock();
    const opened: CacheManager[] = [];
    for (let member = 0; member < 3; member++) opened.push(await caches.open({ directory, lanes, clock }));
    members = opened;
  });
  afterEach(() => caches.close());

  it('compute each key once, whatever the order in which each names them', async () => {
    const computed: string[] = [];
    const orders = [KEYS, KEYS.toReversed(), [...KEYS.slice(60), ...KEYS.slice(0, 60)]];
    const answers = await Promise.all(
      members.map((cache, member) => cache.getOrSetMany(orders[member] ?? [], computing(computed))),
    );
    for (const answer of answers) expect(answer.size).toBe(KEYS.length);
    expect(computed.toSorted()).toEqual(KEYS.toSorted());
  });

  it('compute and store what no other process computes, while one of the keys is being computed there', async () => {
    const [owner, one, other] = members;
    const [started, slow] = [new Deferred<void>(), new Deferred<string>()];
    const single = one?.getOrSet('slow', () => {
      started.resolve();
      return slow.promise;
    });
    await started.promise;
    const computed: string[] = [];
    const ran = new Deferred<void>();
    const many = other?.getOrSetMany(['quick', 'slow'], (missing) => {
      ran.resolve();
      return computing(computed)(missing);
    });
    await ran.promise;
    expect(await owner?.getOrSetMany(['quick'], computing(computed))).toEqual(new Map([['quick', 'value of quick']]));
    expect(computed).toEqual(['quick']);
    slow.resolve('of the other process');
    expect([await single, (await many)?.get('slow')]).toEqual(['of the other process', 'of the other process']);
    expect(computed).toEqual(['quick']);
  });

  it('compute what another process failed to compute', async () => {
    const [, one, other] = members;
    const [started, source] = [new Deferred<void>(), new Deferred<never>()];
    const error = new Error('the source is down');
    const failing = one?.getOrSetMany(KEYS, () => {
      started.resolve();
      return source.promise;
    });
    const failed = expect(failing).rejects.toBe(error);
    await started.promise;
    const computed: string[] = [];
    const many = other?.getOrSetMany(KEYS.toReversed(), computing(computed));
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    source.reject(error);
    await failed;
    expect((await many)?.size).toBe(KEYS.length);
    expect(computed.toSorted()).toEqual(KEYS.toSorted());
  });
});

describe("bulk calls of two instances with coalesce: 'cluster'", () => {
  let pair: InstancePair;
  beforeEach(() => {
    pair = new InstancePair({ coalesce: 'cluster' });
  });
  afterEach(() => pair.end());

  it('compute what the other one does not, while it computes one of the keys', async () => {
    const [one, other] = [pair.start(0).app.manager(), pair.start(1).app.manager()];
    await pair.pass(500);
    const slow = new Deferred<string>();
    const single = one.getOrSet('slow', () => slow.promise);
    await pair.pass(500);
    const computed: string[] = [];
    const many = other.getOrSetMany([...KEYS, 'slow'], computing(computed));
    await pair.pass(1_000);
    expect(computed).toEqual(KEYS);
    expect((await pair.during(one.getOrSetMany(KEYS.toReversed(), computing(computed)))).size).toBe(KEYS.length);
    slow.resolve('of the other instance');
    expect((await pair.during(many)).get('slow')).toBe('of the other instance');
    expect([await single, computed]).toEqual(['of the other instance', KEYS]);
  });
});
