import { describe, expect, it } from '@jest/globals';
import { array, assert, asyncProperty, constant, constantFrom, integer, oneof, record as shape } from 'fast-check';
import { SessionIndex } from '../../../../lib/storage/entries/entry-index.js';
import { EntryStore } from '../../../../lib/storage/entries/entry-store.js';
import { StorageFault, type Transaction } from '../../../../lib/storage/environment.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { DiskTier } from '../../../../lib/tiers/stored-tier.js';
import { MemoryEnvironment, MemorySource } from '../../../support/memory-environment.js';
import { readable, recordOf, tierSetting } from '../../../support/stored-tiers.js';

function storeWith(clock: FakeClock, index: SessionIndex | undefined, environment = new MemoryEnvironment()) {
  const gone: string[] = [];
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

  it('gives the row of an entry that goes to one that comes', async () => {
    const { store, environment } = storeWith(new FakeClock(), new SessionIndex());
    const put = async (from: number, count: number): Promise<number> => {
      for (let index = from; index < from + count; index++) store.put('a', recordOf(`k${index}`));
      await store.flush();
      return environment.commits.at(-1) ?? 0;
    };
    const kept = await put(0, 200).then(() => store.usage('a').entries);
    const countsAndTime = 2;
    expect(await put(200, 10)).toBe(10 + countsAndTime);
    expect(environment.table('records').rows).toHaveLength(kept);
    await Promise.all([store.remove('a', 'k205'), store.remove('a', 'k206')]);
    expect(environment.table('records').rows).toHaveLength(kept - 2);
    expect(await put(210, 2)).toBe(2 + countsAndTime);
    expect(await readable(store.read('a', 'k211'))).toMatchObject({ key: 'k211' });
    expect(await readable(store.read('a', 'k209'))).toMatchObject({ key: 'k209' });
    expect([store.read('a', 'k205'), store.read('a', 'k0')]).toEqual([undefined, undefined]);
  });

  it('is as of the last commit where a later one fails', async () => {
    const [index, clock] = [new SessionIndex(), new FakeClock()];
    const { store, environment } = storeWith(clock, index);
    const keys = Array.from({ length: 200 }, (_, at) => `k${at}`);
    for (const key of keys) store.put('a', recordOf(key));
    await store.flush();
    const kept = await listed(store);
    environment.fault = new StorageFault('io', 'refused');
    for (const key of keys) store.put('a', recordOf(`new ${key}`));
    await store.flush();
    environment.fault = undefined;
    const next = storeWith(clock, index, environment).store;
    expect(next.isIndexed).toBe(true);
    next.put('a', recordOf('k199', { tags: ['again'] }));
    next.put('a', recordOf('last'));
    await next.flush();
    expect(await listed(next)).toEqual([...kept.slice(1, -1), 'k199 again', 'last ']);
    for (const key of [...kept.slice(1, -1).map((one) => one.trim()), 'k199', 'last']) {
      expect(await readable(next.read('a', key))).toMatchObject({ key });
    }
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
