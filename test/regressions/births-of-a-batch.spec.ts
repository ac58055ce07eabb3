import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CacheManager } from '../../lib/app/cache-app.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Caches } from '../support/caches.js';
import { Deferred } from '../support/deferred.js';

// So many keys are claimed in several turns of the event loop, and computed after the last one.
const KEYS = Array.from({ length: 40 }, (_, number) => `key:${number}`);
const computed = (missing: readonly string[]): Map<string, string> => new Map(missing.map((key) => [key, 'computed']));

describe('what one call computes of many keys, after something happened to a key that it had claimed', () => {
  const caches = new Caches();
  let cache: CacheManager;
  beforeEach(async () => {
    cache = await caches.open();
  });
  afterEach(() => caches.close());

  it('replaces what was set before the computation began, as it is newer', async () => {
    const all = cache.getOrSetMany(KEYS, computed);
    await cache.set('key:0', 'set');
    expect((await all).get('key:0')).toBe('computed');
    expect(await cache.get('key:0')).toBe('computed');
  });

  it.each([
    ['the key was invalidated', () => cache.invalidate('key:0')],
    ['the lane was cleared', () => cache.clearAll()],
    ['a tag of the call was invalidated', () => cache.invalidateByTag('asked')],
    ['a tag that the computation adds was invalidated', () => cache.invalidateByTag('added')],
    ['the key was expired', () => cache.expire('key:0')],
  ])('is stored if %s before the computation began', async (_what, happens) => {
    const compute = (
      missing: readonly string[],
      ctx: { setTags: (key: string, tags: readonly string[]) => void },
    ): Map<string, string> => {
      ctx.setTags('key:0', ['added']);
      return computed(missing);
    };
    const all = cache.getOrSetMany(KEYS, compute, { tags: ['asked'] });
    await happens();
    await all;
    expect(await cache.get('key:0')).toBe('computed');
  });

  it('is not stored if the key was invalidated after the computation began', async () => {
    const [begun, end] = [new Deferred<void>(), new Deferred<void>()];
    const all = cache.getOrSetMany(KEYS, async (missing) => {
      begun.resolve();
      await end.promise;
      return computed(missing);
    });
    await begun.promise;
    await cache.invalidate('key:0');
    end.resolve();
    await all;
    expect([await cache.get('key:0'), await cache.get('key:1')]).toEqual([undefined, 'computed']);
  });

  it('does not give way to a stale copy that was invalidated before the computation began, if that fails', async () => {
    const clock = new FakeClock();
    const graceful = await caches.open({ clock, lanes: { standard: { grace: '1h' } } });
    await graceful.set('key:0', 'old', { ttl: '1s' });
    await clock.advance('2s');
    const [begun, source] = [new Deferred<void>(), new Deferred<ReadonlyMap<string, string>>()];
    const all = graceful.getOrSetMany(KEYS, () => {
      begun.resolve();
      return source.promise;
    });
    await graceful.invalidate('key:0');
    await begun.promise;
    const late = graceful.getOrSet('key:0', () => 'of another computation');
    source.reject(new Error('source down'));
    const answers = await Promise.allSettled([all, late]);
    expect(answers.map((answer) => answer.status === 'fulfilled' && answer.value)).not.toContain('old');
    expect(answers[0].status).toBe('rejected');
  });
});
