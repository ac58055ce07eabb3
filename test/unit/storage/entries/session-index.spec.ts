import { describe, expect, it } from '@jest/globals';
import { array, assert, asyncProperty, constant, constantFrom, integer, oneof, record as shape } from 'fast-check';
import { SessionIndex } from '../../../../lib/storage/entries/entry-index.js';
import { EntryStore } from '../../../../lib/storage/entries/entry-store.js';
import { StorageFault, type Transaction } from '../../../../lib/storage/environment.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { DiskTier } from '../../../../lib/tiers/stored-tier.js';
import { MemoryEnvironment, MemorySource } from '../../../support/memory-environment.js';
import { recordOf, tierSetting } from '../../../support/stored-tiers.js';

function storeWith(clock: FakeClock, index: SessionIndex | undefined) {
  const gone: string[] = [];
  const environment = new MemoryEnvironment();
  const store = new EntryStore({
    environment,
    index,
    lanes: new Map([['a', { maxEntries: 70, maxBytes: 4_000 }]]),
    clock,
    now: () => clock.now(),
    evicted: (_lane, key, reason) => gone.push(`${key} ${reason}`),
    damaged: () => gone.push('damaged'),
    failed: () => gone.push('failed'),
  });
  return { store, environment, gone };
}

const listed = async (store: EntryStore): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key, tags } of store.entries('a')) keys.push(`${key} ${tags.join()}`);
  return keys;
};

const pages = (store: EntryStore): string[] => {
  const keys: string[] = [];
  for (let before = Infinity; ;) {
    const rows = store.mostRecent('a', before, 3);
    if (rows.length === 0) return keys;
    keys.push(...rows.map(({ key }) => key));
    before = rows.at(-1)?.sequence ?? 0;
  }
};

const key = integer({ min: 0, max: 120 }).map((n) => `k${n}`);
const step = oneof(
  { weight: 8, arbitrary: shape({ do: constant('put'), key, lives: constantFrom(1, 2, 5, Infinity) }) },
  { weight: 3, arbitrary: shape({ do: constantFrom('read', 'remove'), key }) },
  { weight: 1, arbitrary: shape({ do: constantFrom('flush', 'sweep', 'wait') }) },
);

describe('an index in memory', () => {
  it('knows what a stored one knows, in the same orders', async () => {
    await assert(
      asyncProperty(array(step, { maxLength: 250, size: 'max' }), async (steps) => {
        const clock = new FakeClock();
        const both = [storeWith(clock, new SessionIndex()), storeWith(clock, undefined)] as const;
        for (const one of steps) {
          if (one.do === 'wait') await clock.advance('1s');
          const answers = both.map(async ({ store }) => {
            if (one.do === 'put') {
              return store.put('a', recordOf(one.key, { tags: [one.key], expiresAt: clock.now() + one.lives * 1_000 }));
            }
            if (one.do === 'read') return (store.read('a', one.key) as { readonly key: string } | undefined)?.key;
            if (one.do === 'remove') return store.remove('a', one.key);
            return one.do === 'sweep' ? store.sweep('a') : store.flush();
          });
          const [ofMemory, ofTables] = await Promise.all(answers);
          expect(ofMemory).toEqual(ofTables);
        }
        const known = await Promise.all(
          both.map(async ({ store, gone }) => {
            await store.flush();
            const evicted = gone.filter((one) => !one.endsWith('expired'));
            // Those of one sweep end in no order.
            return {
              listed: await listed(store),
              pages: pages(store),
              usage: store.usage('a'),
              evicted,
              gone: gone.toSorted(),
            };
          }),
        );
        expect(known[0]).toEqual(known[1]);
        expect(both[0].store.isIndexed).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  it('stores one row for an entry, and none beside it', async () => {
    const { store, environment } = storeWith(new FakeClock(), new SessionIndex());
    store.put('a', recordOf('k'));
    await store.flush();
    expect(environment.table('records').rows).toHaveLength(1);
    for (const name of ['places', 'recency', 'expiry']) expect(environment.table(name).rows).toEqual([]);
  });

  it('is not asked for an entry that a commit wrote after it had been given up', async () => {
    const setting = tierSetting();
    const source = new MemorySource();
    const tier = await DiskTier.open(source, setting.options);
    const { environment } = source;
    const commit = environment.commit.bind(environment);
    environment.commit = async (fill: (transaction: Transaction) => void) => {
      await commit(fill);
      throw new StorageFault('deadline', 'too late');
    };
    await expect(tier.write('standard', recordOf('k'))).rejects.toMatchObject({ kind: 'deadline' });
    environment.commit = commit;
    await setting.clock.advance('60s');
    expect(tier.state).toEqual({ state: 'on' });
    expect(source.discarded).toBe(1);
    expect(tier.read('standard', 'k')).toEqual({ outcome: 'miss' });
    expect(tier.usage('standard').entries).toBe(0);
  });
});
