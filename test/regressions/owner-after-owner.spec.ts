import { afterEach, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createLaneCache, type LaneCacheApp } from '../../lib/app/cache-app.js';
import type { LaneCacheOptions } from '../../lib/index.js';
import { systemClock } from '../../lib/clock/clock.js';
import { FORMAT_KEY, FORMAT_TABLE } from '../../lib/storage/lmdb/open-environment.js';
import { until } from '../support/gate.js';
import { StorageBench } from '../support/storage.js';

describe('an owner that takes over from another one', () => {
  const bench = new StorageBench();
  const apps: LaneCacheApp[] = [];
  afterEach(async () => {
    for (const app of apps.splice(0).toReversed()) await app.close();
    await bench.dispose();
  });

  const open = async (directory: string, options: LaneCacheOptions = {}) => {
    const logged: string[] = [];
    const log = (text: string): number => logged.push(text);
    const logger = { log, warn: log, error: log };
    const storage = { minFreeBytes: 0, sweepEvery: false } as const;
    const app = await createLaneCache({ directory, logger, storage, ...options });
    apps.push(app);
    return { app, logged };
  };

  /** Resolves when `event` has said so. */
  const heard = (app: LaneCacheApp, event: 'owner' | 'tier', isIt: (detail: string) => boolean): Promise<void> =>
    new Promise((resolve) => {
      const events = app.manager().events;
      if (event === 'owner') events.on('owner', ({ state }) => isIt(state) && resolve());
      else events.on('tier', ({ tier, state }) => isIt(`${tier} ${state}`) && resolve());
    });

  const rolesSeenBy = (app: LaneCacheApp) => app.metrics.report().host?.processes.map(({ role }) => role);

  it('is the owner that the processes which go on waiting report, each time', async () => {
    const directory = await bench.path('cache');
    const { app: first } = await open(directory);
    const others = [await open(directory), await open(directory)];
    const firstToSay = (wanted: string): Promise<LaneCacheApp> =>
      Promise.race(others.map(({ app }) => heard(app, 'owner', (state) => state === wanted).then(() => app)));
    const changed = Promise.all([firstToSay('taken-over'), firstToSay('waiting')]);
    await first.close();
    const [owner, waiting] = await changed;
    await owner.manager().set('k', 'of the second owner');
    await owner.manager().flush();
    expect(rolesSeenBy(waiting)).toEqual(rolesSeenBy(owner));
    expect(rolesSeenBy(waiting)?.toSorted()).toEqual(['follower', 'owner']);
    await until(() => waiting.tiers.l3.state.state === 'on');
    expect(await waiting.manager().get('k')).toBe('of the second owner');
  });

  it('serves its entries to others although it cannot open the checkpoints, which it tries again', async () => {
    const directory = await bench.path('cache');
    const { app: first } = await open(directory, { checkpoints: false });
    const { app: heir, logged } = await open(directory);
    await first.manager().set('k', 'kept');
    const { environment } = await bench.environment(join(directory, 'checkpoints'), { clock: systemClock });
    const table = environment.table(FORMAT_TABLE);
    await environment.commit((transaction) => transaction.put(table, FORMAT_KEY, Buffer.from('nestjs-lane-cache 2')));
    await environment.close();
    const taken = heard(heir, 'owner', (state) => state === 'taken-over');
    await first.close();
    await taken;
    expect(logged).toContainEqual(expect.stringContaining('Checkpoints are off'));
    const { app: third } = await open(directory);
    expect(await third.manager().get('k')).toBe('kept');
    const isBack = heard(heir, 'tier', (state) => state === 'checkpoints on');
    await rm(join(directory, 'checkpoints'), { recursive: true, maxRetries: 5 });
    await isBack;
    expect((await third.checkpoints.cacheCheckpoint('flow', 1)).version).toBe(1);
  });
});
