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
    const reported: string[] = [];
    const check = new OwnershipCheck(await own(), {
      root,
      clock,
      liveness,
      renewed: async () => void reported.push('renewed'),
      refused: (ownerPid) => reported.push(`refused ${ownerPid}`),
    });
    return { root, own, reported, check };
  };

  it('is claimed again where the directory was removed, once for concurrent callers', async () => {
    const { root, reported, check } = await setUp();
    await check.require();
    expect(reported).toEqual([]);
    await rm(root, { recursive: true, maxRetries: 5 });
    await Promise.all([check.require(), check.require()]);
    await check.require();
    expect(reported).toEqual(['renewed']);
    await check.release();
  });

  it("is refused while another app's new directory is in its place, which is reported once each time", async () => {
    const { root, own, reported, check } = await setUp();
    for (const times of [1, 2]) {
      await rm(root, { recursive: true, maxRetries: 5 });
      await mkdir(root);
      const other = await own();
      for (let n = 0; n < 3; n++) await expect(check.require()).rejects.toMatchObject({ kind: 'gone' });
      expect(reported.filter((one) => one === `refused ${process.pid}`)).toHaveLength(times);
      await other.release();
      await check.require();
      expect(reported.filter((one) => one === 'renewed')).toHaveLength(times);
    }
    await check.release();
  });
});
