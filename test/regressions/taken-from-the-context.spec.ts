import { afterEach, describe, expect, it } from '@jest/globals';
import { createLaneCache } from '../../lib/app/cache-app.js';

describe('functions that a computation takes from its context', () => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  const open = async () => {
    const app = await createLaneCache({ directory: false, logger: false });
    closing.push(() => app.close());
    return app.manager();
  };

  it('skip the cache', async () => {
    const cache = await open();
    const value = await cache.getOrSet('k', ({ skipCache }) => {
      skipCache();
      return 'value';
    });
    expect([value, await cache.get('k'), cache.getMetrics().refused['skip-cache']]).toEqual(['value', undefined, 1]);
  });

  it('set tags and ttl', async () => {
    const cache = await open();
    await cache.getOrSet('k', ({ setTags, setTtl }) => {
      setTags(['a']);
      setTags(['b']);
      setTtl('1h');
      return 'value';
    });
    const [memory] = (await cache.explain('k')).tiers;
    expect(memory?.entry).toMatchObject({ tags: ['a', 'b'], remainingMs: expect.closeTo(3_600_000, -4) });
    await cache.invalidateByTag('b');
    expect(await cache.get('k')).toBeUndefined();
  });
});
