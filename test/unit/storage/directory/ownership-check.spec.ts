import { afterEach, describe, expect, it } from '@jest/globals';
import { mkdir, rm } from 'node:fs/promises';
import { acquireOwnership, type Owned } from '../../../../lib/storage/directory/owner-lock.js';
import { LaneCacheDirectory, OwnershipCheck } from '../../../../lib/storage/directory/cache-directory.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { FakeLiveness } from '../../../support/fake-liveness.js';
import { StorageBench } from '../../../support/storage.js';

describe('the right to a directory', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  const setUp = async () => {
    const root = await bench.path();
    const [clock, liveness] = [new FakeClock(), new FakeLiveness()];
    const own = async (): Promise<Owned> => {
      const { claims } = await LaneCacheDirectory.prepare({ root, liveness, clock });
      const ownership = await acquireOwnership({ directory: claims, liveness, clock });
      if (ownership.state !== 'owned') throw new Error('It should be free.');
      return ownership;
    };
    const told: string[] = [];
    const entitlement = new OwnershipCheck(await own(), {
      root,
      clock,
      liveness,
      renewed: async () => void told.push('renewed'),
      refused: (ownerPid) => told.push(`refused ${ownerPid}`),
    });
    return { root, own, told, entitlement };
  };

  it('is claimed again where the directory was removed, once for concurrent callers', async () => {
    const { root, told, entitlement } = await setUp();
    await entitlement.require();
    expect(told).toEqual([]);
    await rm(root, { recursive: true, maxRetries: 5 });
    await Promise.all([entitlement.require(), entitlement.require()]);
    await entitlement.require();
    expect(told).toEqual(['renewed']);
    await entitlement.release();
  });

  it("is refused while another app's new directory is in its place, which is reported once each time", async () => {
    const { root, own, told, entitlement } = await setUp();
    for (const times of [1, 2]) {
      await rm(root, { recursive: true, maxRetries: 5 });
      await mkdir(root);
      const other = await own();
      for (let n = 0; n < 3; n++) await expect(entitlement.require()).rejects.toMatchObject({ kind: 'gone' });
      expect(told.filter((one) => one === `refused ${process.pid}`)).toHaveLength(times);
      await other.release();
      await entitlement.require();
      expect(told.filter((one) => one === 'renewed')).toHaveLength(times);
    }
    await entitlement.release();
  });
});
