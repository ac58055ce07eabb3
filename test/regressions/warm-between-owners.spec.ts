import { afterEach, expect, it } from '@jest/globals';
import type { AppParts } from '../../lib/app/app-context.js';
import { createLaneCache, type LaneCacheApp } from '../../lib/app/cache-app.js';
import { type Clock, systemClock } from '../../lib/clock/clock.js';
import { until } from '../support/gate.js';
import { slowClock } from '../support/slow-clock.js';
import { StorageBench } from '../support/storage.js';

const KEYS = 400;
const bench = new StorageBench();
const apps: LaneCacheApp[] = [];
afterEach(async () => {
  for (const app of apps.splice(0).toReversed()) await app.close();
  await bench.dispose();
});

/** What is said to take moments may take seconds, however busy the machine is. */
const patientClock: Clock = { ...slowClock, monotonic: () => systemClock.monotonic() / 20 };

const startIn = async (directory: string, clock: Clock, parts?: AppParts): Promise<LaneCacheApp> => {
  const storage = { minFreeBytes: 0, sweepEvery: false } as const;
  const lanes = { standard: { l2: { enabled: false } } } as const;
  const app = await createLaneCache({ directory, clock, storage, lanes }, parts);
  apps.push(app);
  return app;
};

/** A worker that was asked in the tenth of a second after the owner had closed computed what all had had. */
it('processes of a directory compute nothing again while one owner follows another', async () => {
  const directory = await bench.path('cache');
  const owner = await startIn(directory, systemClock);
  const others = [await startIn(directory, patientClock), await startIn(directory, patientClock)];
  await owner.manager().setMany(Array.from({ length: KEYS }, (_, n) => [`key:${n}`, n]));
  await owner.manager().flush();

  let computed = 0;
  let asked = 0;
  const ask = async (app: LaneCacheApp): Promise<void> => {
    const key = `key:${asked++ % KEYS}`;
    await app.manager().getOrSet(key, () => ++computed);
  };
  const hasNext = (): boolean => others.every((app) => app.tiers.l3.state.state === 'on');
  await Promise.all(others.map(ask));
  const closing = owner.close();
  let hasLeft = false;
  void closing.then(() => (hasLeft = true));
  await until(async () => {
    await Promise.all(others.map(ask));
    return hasLeft && hasNext();
  });
  expect(asked).toBeGreaterThan(4);
  expect(computed).toBe(0);
  expect(others.map((app) => app.tiers.l3.state.state)).toEqual(['on', 'on']);
});

/** It waited until its time was over, and was rejected with COMPUTE_TIMEOUT before anything was computed. */
it('a call with little time does not spend it on waiting for the next owner', async () => {
  const directory = await bench.path('cache');
  await startIn(directory, systemClock, { purpose: 'look' });
  const app = await startIn(directory, patientClock);
  const value = await app.manager().getOrSet('key', () => 'computed', { hardTimeout: '100ms' });
  expect(value).toBe('computed');
});
