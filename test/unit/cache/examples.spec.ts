import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CacheManager } from '../../../lib/app/cache-app.js';
import { nextTurn } from '../../../lib/clock/clock.js';
import { StorageBench } from '../../support/storage.js';

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');
const TURNS = 8;

describe('after a collection of the whole heap, a hit on disk', () => {
  const bench = new StorageBench();
  let cache: CacheManager;

  beforeEach(async () => {
    cache = await CacheManager.fromSettings({
      directory: await bench.path('cache'),
      logger: false,
      storage: { sweepEvery: false, minFreeBytes: '1MB' },
      lanes: { standard: { l1: { maxEntries: 1 } } },
    });
  });
  afterEach(async () => {
    await cache.close();
    await bench.dispose();
  });

  /** The value of a hit that memory has let go of since. */
  const hitOf = async (text: string): Promise<WeakRef<object>> => {
    await cache.set('read', { text });
    await cache.flush();
    await cache.set('other', 1);
    const value = await cache.get<object>('read');
    if (value === undefined || cache.getMetrics().l2.hits !== 1) throw new Error('no hit on disk');
    await cache.set('another', 1);
    return new WeakRef(value);
  };
  const isAlive = async (value: WeakRef<object>): Promise<boolean> => {
    if (typeof collect !== 'function') throw new Error('garbage cannot be collected here');
    await cache.flush();
    for (let turn = 0; turn < TURNS; turn++) {
      await nextTurn();
      collect();
    }
    return value.deref() !== undefined;
  };

  it('still has one of each kind of its objects, so that V8 keeps the compiled code', async () => {
    expect(await isAlive(await hitOf('small'))).toBe(true);
  });

  it('keeps no large value in memory beyond the limits of the lane', async () => {
    expect(await isAlive(await hitOf('large '.repeat(2_000)))).toBe(false);
  });
});
