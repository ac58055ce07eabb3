import { afterEach, expect, it } from '@jest/globals';
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

/** A worker that was asked in the tenth of a second after the owner had closed computed what all had had. */
it('processes of a directory compute nothing again while one owner follows another', async () => {
  const directory = await bench.path('cache');
  const start = async (clock: Clock): Promise<LaneCacheApp> => {
    const storage = { minFreeBytes: 0, sweepEvery: false } as const;
    const app = await createLaneCache({ directory, clock, storage, lanes: { standard: { l2: { enabled: false } } } });
    apps.push(app);
    return app;
  };
  const owner = await start(systemClock);
  const others = [await start(patientClock), await start(patientClock)];
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
