import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock, LifeClock } from '../../lib/clock/clock.js';
import { CacheFolder } from '../../lib/storage/directory/cache-directory.js';
import type { Durability } from '../../lib/storage/environment.js';
import { seededRandom } from '../../lib/testing/seeded-random.js';
import { tierContract, type TestApi } from '../../lib/testing/tier-contract.js';
import { DiskTier, type StoredTierOptions } from '../../lib/tiers/stored-tier.js';
import { PersistentTier } from '../../lib/tiers/persistent-tier.js';
import { StorageBench } from '../support/storage.js';
import { recordOf, tierSetting } from '../support/stored-tiers.js';

const bench = new StorageBench();
const api: TestApi = { describe, it };

const folderAt = (directory: string, durability: Durability): CacheFolder =>
  new CacheFolder({ directory, durability, clock: systemClock, minFreeBytes: 0, deadlineMs: 60_000 });

const options = (maxEntries?: number): StoredTierOptions => ({
  ...tierSetting(maxEntries === undefined ? {} : { standard: { l3: { maxEntries } } }).options,
  clock: systemClock,
  life: new LifeClock(systemClock),
});

describe('on LMDB', () => {
  afterEach(() => bench.dispose());

  tierContract('l2', async () => DiskTier.open(folderAt(await bench.path(), 'session'), options()), api);
  tierContract('l3', async () => PersistentTier.open(folderAt(await bench.path(), 'durable'), options()), api);

  it.each([1, 2, 3])('counts, recency and entries survive restarts amid random changes (seed %i)', async (seed) => {
    const random = seededRandom(seed);
    const directory = await bench.path();
    const expected = new Map<string, number>();
    for (let round = 0; round < 4; round++) {
      const tier = await PersistentTier.open(folderAt(directory, 'durable'), options(100));
      expect(tier.usage('standard').entries).toBe(expected.size);
      for (let step = 0; step < 500; step++) {
        const key = `k${Math.floor(random() * 150)}`;
        if (random() < 0.2) {
          void tier.remove('standard', key);
          expected.delete(key);
          continue;
        }
        const length = Math.floor(random() * 3_000);
        tier.offer('standard', recordOf(key, { value: Buffer.alloc(length) }));
        expected.delete(key);
        expected.set(key, length);
        const [oldest] = expected.keys();
        if (expected.size > 100 && oldest !== undefined) expected.delete(oldest);
      }
      await tier.flush();
      const found: [string, number | undefined][] = [];
      for await (const key of tier.keys('standard')) {
        const lookup = await tier.peek('standard', key);
        found.push([key, lookup.outcome === 'hit' ? lookup.record.opened?.value.length : undefined]);
      }
      expect(found).toEqual([...expected]);
      await tier.close();
    }
  });

  it('a folder that was invalidated is set aside and never served again', async () => {
    const directory = await bench.path();
    const tier = await PersistentTier.open(folderAt(directory, 'durable'), options());
    await tier.append([{ row: 'ceiling', position: 12 }]);
    await tier.write('standard', recordOf('k'));
    await tier.invalidateAll();
    expect(await tier.read('standard', 'k')).toEqual({ outcome: 'miss' });
    await tier.write('standard', recordOf('l'));
    await tier.close();
    const again = await PersistentTier.open(folderAt(directory, 'durable'), options());
    expect(await again.read('standard', 'k')).toEqual({ outcome: 'miss' });
    expect((await again.read('standard', 'l')).outcome).toBe('hit');
    expect(again.initial.ceiling).toBe(12);
    await again.close();
  });

  it('values larger than one row of LMDB come back whole', async () => {
    const tier = await DiskTier.open(folderAt(await bench.path(), 'session'), options());
    const value = Buffer.alloc(40 * 1024 * 1024, 'forty ');
    await tier.write('heavy', recordOf('k', { value }));
    const found = await tier.read('heavy', 'k');
    expect(found.outcome === 'hit' && Buffer.from(found.record.opened?.value ?? []).equals(value)).toBe(true);
    expect(await tier.remove('heavy', 'k')).toBe(true);
    await tier.close();
  });
});
