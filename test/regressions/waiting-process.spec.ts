import { afterEach, describe, expect, it } from '@jest/globals';
import { CacheManager } from '../../lib/app/cache-app.js';
import { StorageBench } from '../support/storage.js';

describe('a process that waits for a directory another one owns', () => {
  const bench = new StorageBench();
  const apps: CacheManager[] = [];
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
    await bench.dispose();
  });

  const open = async (directory: string): Promise<CacheManager> => {
    const app = await CacheManager.fromSettings({ directory, logger: false });
    apps.push(app);
    return app;
  };

  it('invalidates without an error, and its persistent tier does not fail', async () => {
    const directory = await bench.path();
    await open(directory);
    const waiting = await open(directory);
    await waiting.set('k', 1, { tags: ['t'] });
    await expect(waiting.invalidate('k')).resolves.toBe(true);
    await expect(waiting.invalidateByPattern('k*')).resolves.toBe(0);
    await expect(waiting.invalidateByTag('t')).resolves.toBeUndefined();
    await expect(waiting.clearAll()).resolves.toBeUndefined();
    const { l3 } = waiting.getMetrics();
    expect({ state: l3.state, reason: l3.reason, errors: l3.errors }).toEqual({
      state: 'on',
      reason: undefined,
      errors: 0,
    });
  });
});
