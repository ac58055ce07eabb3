import { afterEach, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { CacheManager } from '../../../lib/index.js';
import { FakeClock } from '../../../lib/testing/index.js';
import { auditManager } from '../../support/audit-manager.js';
import { Caches } from '../../support/caches.js';
import { roundsOf } from '../../support/fault-table.js';

/** One operation on a lane; its calls may still be pending. */
type Step = (cache: CacheManager) => Promise<unknown>;

const KEYS = ['a', 'b', 'c', 'd', 'page:1', 'draft:1'];
const TAGS = ['x', 'y'];
const failure = new Error('the computation failed');

const key = (): fc.Arbitrary<string> => fc.constantFrom(...KEYS);
const settled = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

const compute = (kind: string): (() => unknown) => {
  switch (kind) {
    case 'fails':
      return () => Promise.reject(failure);
    case 'throws':
      return () => {
        throw failure;
      };
    case 'later':
      return () => Promise.resolve({ kind });
    case 'undefined':
      return () => undefined;
    case 'unstorable':
      return () => () => kind;
    default:
      return () => ({ kind });
  }
};

const anyStep = (): fc.Arbitrary<Step> => {
  const kind = fc.constantFrom('now', 'later', 'later', 'fails', 'throws', 'undefined', 'unstorable');
  const options = fc.record(
    {
      ttl: fc.constantFrom('1s', '1h', 0),
      tags: fc.subarray(TAGS),
      forceFresh: fc.boolean(),
      grace: fc.constantFrom('0s', '5s'),
      refreshAhead: fc.constantFrom(0.1, 0.9),
      softTimeout: fc.constantFrom('0s', '1s'),
      version: fc.constantFrom(0, 0, 1),
      isolation: fc.constantFrom('frozen' as const, 'clone' as const),
    },
    { requiredKeys: [] },
  );
  const subset = fc.subarray(KEYS, { minLength: 1 });
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc.tuple(key(), kind, options).map(
        ([at, how, given]): Step =>
          (cache) =>
            settled(cache.getOrSet(at, compute(how), given as never)),
      ),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(key(), kind, fc.integer({ min: 2, max: 5 })).map(
        ([at, how, callers]): Step =>
          (cache) =>
            Promise.all(Array.from({ length: callers }, () => settled(cache.getOrSet(at, compute(how))))),
      ),
    },
    {
      weight: 2,
      arbitrary: key().map(
        (at): Step =>
          (cache) =>
            cache.get(at),
      ),
    },
    {
      weight: 1,
      arbitrary: subset.map(
        (keys): Step =>
          (cache) =>
            cache.getMany(keys),
      ),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(subset, options).map(
        ([keys, given]): Step =>
          (cache) =>
            settled(
              cache.getOrSetMany(keys, (missing) => new Map(missing.map((each) => [each, each])), given as never),
            ),
      ),
    },
    {
      weight: 1,
      arbitrary: subset.map(
        (keys): Step =>
          (cache) =>
            settled(cache.getOrSetMany(keys, () => Promise.reject(failure))),
      ),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(key(), fc.subarray(TAGS)).map(
        ([at, tags]): Step =>
          (cache) =>
            cache.set(at, { at }, { tags }),
      ),
    },
    {
      weight: 1,
      arbitrary: key().map(
        (at): Step =>
          (cache) =>
            cache.has(at),
      ),
    },
    {
      weight: 1,
      arbitrary: key().map(
        (at): Step =>
          (cache) =>
            cache.invalidate(at),
      ),
    },
    {
      weight: 1,
      arbitrary: key().map(
        (at): Step =>
          (cache) =>
            cache.expire(at),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(...TAGS).map(
        (tag): Step =>
          (cache) =>
            cache.invalidateByTag(tag),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom('*', 'page:*').map(
        (pattern): Step =>
          (cache) =>
            cache.invalidateByPattern(pattern),
      ),
    },
    { weight: 1, arbitrary: fc.constant<Step>((cache) => cache.clearAll()) },
    { weight: 2, arbitrary: fc.constant<Step>((cache) => cache.flush()) },
  );
};

describe('the numbers of a lane', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const lanes = { standard: { l1: { maxEntries: 2 }, exclude: ['draft:*'] } } as const;

  it.each([
    ['in memory', false],
    ['on disk', true],
  ])(
    'add up after any calls, one after another or all at once, %s',
    async (_, onDisk) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(anyStep(), fc.boolean()), { minLength: 5, maxLength: 40 }),
          async (steps) => {
            const clock = new FakeClock();
            const cache = await caches.open({
              clock,
              lanes,
              ...(onDisk ? { directory: await caches.directory() } : {}),
            });
            const running: Promise<unknown>[] = [];
            for (const [step, waits] of steps) {
              running.push(step(cache));
              if (waits) {
                await Promise.all(running.splice(0));
                await cache.flush();
                await clock.advance('300ms');
              }
            }
            await Promise.all(running);
            await cache.flush();
            await auditManager(cache);
            await cache.close();
            await cache.getOrSet('a', () => 1);
            await auditManager(cache);
            await caches.close();
          },
        ),
        { numRuns: onDisk ? roundsOf(10, 100) : roundsOf(50, 1_000) },
      );
    },
    60_000,
  );

  it('count each call once', async () => {
    const cache = await caches.open({ directory: await caches.directory(), lanes });
    await cache.getOrSet('a', () => 1);
    await cache.getOrSet('a', () => 1);
    await Promise.all([cache.getOrSet('b', async () => 2), cache.getOrSet('b', async () => 2)]);
    await cache.getOrSet('c', () => 3, { forceFresh: true });
    await cache.getOrSet('c', () => 3, { ttl: 0 });
    await cache.getOrSet('draft:1', () => 4);
    await cache.get('nothing');
    await cache.flush();
    await cache.get('a');
    await cache.getOrSet('page:1', () => Promise.reject(failure)).catch(() => undefined);
    expect(cache.getMetrics()).toMatchObject({
      requests: 10,
      misses: 5,
      joined: 1,
      computed: 3,
      failed: 1,
      l1: {
        hits: 1,
        misses: 6,
        hitRate: 14.3,
      },
      l2: {
        hits: 1,
        misses: 4,
        hitRate: 20,
      },
      l3: {
        hits: 0,
        misses: 4,
        hitRate: 0,
      },
      bypassed: {
        forced: 1,
        'ttl-zero': 1,
        excluded: 1,
        closed: 0,
      },
      hitRate: 20,
    });
  });
});
