import { afterEach, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isLaneCacheError } from '../../../lib/errors/lane-cache.error.js';
import type { CacheManager } from '../../../lib/index.js';
import { Caches } from '../../support/caches.js';
import { roundsOf } from '../../support/fault-table.js';
import { anyHostile, type HostileValue, hostileValues, Listed } from '../../support/hostile-values.js';
import { isHidden, isSameInOrder } from '../../support/same-in-order.js';

const LANES = {
  standard: { l1: { maxEntries: 1 } },
  clones: { extends: 'standard', l1: { maxEntries: 1 }, isolation: 'clone' },
  live: { extends: 'standard', isolation: 'shared', l2: { enabled: false }, l3: { enabled: false } },
} as const;

/** What a text says about the difference of two values; undefined if there is none. */
function difference(actual: unknown, expected: unknown): string | undefined {
  // It gives another answer each time it is read.
  if (Array.isArray(expected) && Object.getOwnPropertyDescriptor(expected, 0)?.get !== undefined) return undefined;
  if (!isSameInOrder(actual, expected)) return 'not equal';
  const isObject = typeof expected === 'object' && expected !== null;
  if (isObject && Object.getPrototypeOf(actual) !== Object.getPrototypeOf(expected)) return 'of another prototype';
  if (isObject && isHidden(expected) !== isHidden(Object(actual))) return 'of another kind';
  return undefined;
}

/** What `await` would take for a promise, or cannot look at, lies in a list: the language gives no such result. */
async function asResult({ name, value }: HostileValue): Promise<HostileValue> {
  const awaited = await (async () => value)().catch(() => undefined);
  return { name, value: awaited === value ? value : [value] };
}

const withKeys = (values: readonly HostileValue[]): readonly (HostileValue & { readonly key: string })[] =>
  values.map((one, index) => ({ ...one, key: `key ${index}` }));

/** Stores each value in a lane, and reads it from memory, the disk of the session, and the one across restarts. */
async function throughAllTiers(caches: Caches, lane: keyof typeof LANES, values: readonly HostileValue[]) {
  const options = { directory: await caches.directory(), lanes: LANES, types: [Listed], checkpoints: false } as const;
  const wrong: string[] = [];
  const stored: (typeof entries)[number][] = [];
  const entries = withKeys(await Promise.all(values.map(asResult)));
  const check = (where: string, { name, value }: HostileValue, answer: unknown): void => {
    const problem = difference(answer, value);
    if (problem !== undefined) wrong.push(`${name}, ${where}: ${problem}`);
  };
  const read = async (cache: CacheManager, where: string, entry: (typeof entries)[number]): Promise<void> => {
    const missing = Symbol('missing');
    const answer: unknown = await cache.getOrSet<unknown>(entry.key, (ctx) => {
      ctx.skipCache();
      return missing;
    });
    if (answer === missing) wrong.push(`${entry.name}, ${where}: not there`);
    else check(where, entry, answer);
  };

  const app = await caches.open(options);
  const cache = app.forLane(lane);
  for (const entry of entries) {
    const refusedBefore = cache.getMetrics().refused.unstorable;
    const first: unknown = await cache.getOrSet(entry.key, () => entry.value);
    if (cache.getMetrics().refused.unstorable === refusedBefore) {
      check('computed', entry, first);
      await read(cache, 'from memory', entry);
      stored.push(entry);
    } else if (first !== entry.value) wrong.push(`${entry.name}: refused, and not returned as it is`);
  }
  await app.flush();
  if (lane !== 'live') {
    for (const entry of stored) await read(cache, 'from the disk', entry);
    await app.close();
    const restarted = (await caches.open(options)).forLane(lane);
    for (const entry of stored) await read(restarted, 'after a restart', entry);
  }
  return { wrong, stored: stored.length };
}

describe('a value that is made to mislead', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it.each(['standard', 'clones', 'live'] as const)(
    'comes back faithfully from every tier of a lane (%s), or is refused as unstorable',
    async (lane) => {
      const { wrong, stored } = await throughAllTiers(caches, lane, hostileValues());
      expect(wrong).toEqual([]);
      expect(stored).toBeGreaterThan(50);
    },
  );

  it('does so inside other values', async () => {
    const seed = Date.now() % 2 ** 31;
    process.stdout.write(`hostile values: seed ${seed}\n`);
    const values = fc.sample(anyHostile(), { numRuns: roundsOf(300, 5_000), seed });
    expect((await throughAllTiers(caches, 'standard', values)).wrong).toEqual([]);
  });

  it('is saved as a checkpoint that can be restored, or the save rejects', async () => {
    const { snapshots } = await caches.open({ directory: await caches.directory(), types: [Listed] });
    const wrong: string[] = [];
    const values = withKeys([...hostileValues(), ...fc.sample(anyHostile(), roundsOf(200, 3_000))]);
    const saves = await Promise.allSettled(values.map(({ key, value }) => snapshots.cacheCheckpoint(key, value)));
    for (const [index, save] of saves.entries()) {
      const { key, name, value } = values[index] ?? fail();
      if (save.status === 'fulfilled') {
        const problem = difference(await snapshots.restoreCheckpoint(key).catch(String), value);
        if (problem !== undefined) wrong.push(`${name}: ${problem}`);
      } else if (!isLaneCacheError(save.reason) || save.reason.code !== 'CHECKPOINT_UNSTORABLE') {
        wrong.push(`${name}: ${String(save.reason)}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

const fail = (): never => {
  throw new Error('there is no such value');
};
