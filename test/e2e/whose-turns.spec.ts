import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLaneCache, type LaneCacheApp } from '../../lib/app/cache-app.js';
import { Deferred } from '../support/deferred.js';
import { StorageBench } from '../support/storage.js';

describe('turns of two apps of one directory', () => {
  const bench = new StorageBench();
  const apps: LaneCacheApp[] = [];
  let asked = 0;
  beforeAll(async () => {
    const directory = await bench.path('cache');
    const lanes = {
      process: { l4: { coalesce: 'process' } },
      host: { l4: { coalesce: 'host' } },
      cluster: { l4: { coalesce: 'cluster' } },
      memory: { l3: { enabled: false }, l4: { coalesce: 'host' } },
    } as const;
    for (let app = 0; app < 2; app++) {
      apps.push(await createLaneCache({ directory, lanes, storage: { minFreeBytes: 0, sweepEvery: false } }));
    }
  });
  afterAll(async () => {
    for (const app of apps.toReversed()) await app.close();
    await bench.dispose();
  });

  /** How often the key is computed if the second app asks while the first one computes. */
  const computationsOf = async (lane: string): Promise<{ readonly begun: number; readonly values: unknown }> => {
    const [first, second] = apps.map((app) => app.manager(lane));
    const computing = new Deferred<void>();
    const gate = new Deferred<void>();
    let begun = 0;
    // Of its own, as an attempt before may have stored it.
    const key = `key-${++asked}`;
    const compute = async (): Promise<number> => {
      const mine = ++begun;
      computing.resolve();
      await gate.promise;
      return mine;
    };
    const one = first?.getOrSet(key, compute);
    await computing.promise;
    const other = second?.getOrSet(key, compute);
    // Without turns the second one begins meanwhile.
    for (let turn = 0; begun < 2 && turn < 500; turn++) await new Promise((next) => setImmediate(next));
    gate.resolve();
    return { begun, values: await Promise.all([one, other]) };
  };

  it.each(['host', 'cluster'])(
    "are taken at the owner of the directory by a lane with '%s', without a server",
    async (lane) => {
      expect(await computationsOf(lane)).toEqual({ begun: 1, values: [1, 1] });
    },
  );

  it.each(['process', 'memory'])(
    'are not taken by a lane %s, whose values the other one may not wait for',
    async (lane) => {
      expect((await computationsOf(lane)).begun).toBe(2);
    },
  );
});
