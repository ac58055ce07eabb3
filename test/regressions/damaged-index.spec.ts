import { afterEach, describe, expect, it } from '@jest/globals';
import { open } from 'lmdb';
import { EntryStore } from '../../lib/storage/entries/entry-store.js';
import type { Environment } from '../../lib/storage/environment.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { PersistentTier } from '../../lib/tiers/persistent-tier.js';
import { MemoryEnvironment, MemorySource } from '../support/memory-environment.js';
import { StorageBench } from '../support/storage.js';
import { recordOf, tierSetting } from '../support/stored-tiers.js';

const bench = new StorageBench();
afterEach(() => bench.dispose());

const KEYS = ['k0', 'k1', 'k2'];

function storeOver(environment: Environment, clock = new FakeClock()): EntryStore {
  return new EntryStore({
    environment,
    lanes: new Map([['a', { maxEntries: 10_000, maxBytes: 1e9 }]]),
    clock,
    now: () => clock.now(),
    evicted: () => undefined,
    damaged: () => undefined,
    failed: () => undefined,
  });
}

/** A store with three entries in one page, under number 3. */
async function setUp() {
  const clock = new FakeClock();
  const environment = new MemoryEnvironment();
  const store = storeOver(environment, clock);
  for (const key of KEYS) store.put('a', recordOf(key, { tags: ['t'], expiresAt: clock.now() + 1_000 }));
  await store.flush();
  return { clock, environment, store };
}

const bytesAt = (environment: MemoryEnvironment, table: string, key: string | [string, number]): Uint8Array =>
  environment.table(table).get(key) ?? new Uint8Array(0);

describe('an index on disk that is damaged', () => {
  it('is never taken for a sound one, whichever byte of a page is another', async () => {
    const { environment } = await setUp();
    const page = bytesAt(environment, 'recency', ['a', 3]);
    expect(page.length).toBeGreaterThan(200);
    for (const at of page.keys()) {
      const changed = Uint8Array.from(page, (byte, index) => (index === at ? byte ^ 0x10 : byte));
      environment.table('recency').put(['a', 3], changed);
      await expect(storeOver(environment).removeMatching('a', () => true)).rejects.toMatchObject({ kind: 'damaged' });
      await expect(storeOver(environment).remove('a', 'k1')).rejects.toMatchObject({ kind: 'damaged' });
    }
  });

  it('is damaged where a pattern comes across fewer entries than there are', async () => {
    const { environment, store } = await setUp();
    store.put('a', recordOf('k3'));
    await store.flush();
    environment.table('recency').delete(['a', 3]);
    await expect(store.removeMatching('a', (key) => key === 'k0')).rejects.toMatchObject({ kind: 'damaged' });
  });

  it('does not remove the entry of another key where a place leads to its row', async () => {
    const { environment, store } = await setUp();
    environment.table('places').put('a:k0', bytesAt(environment, 'places', 'a:k1'));
    await expect(store.remove('a', 'k0')).rejects.toMatchObject({ kind: 'damaged' });
    expect(environment.table('records').rows).toHaveLength(KEYS.length);
  });

  it.each([0, 4])('is damaged where a place has %i bytes', async (length) => {
    const { environment, store } = await setUp();
    environment.table('places').put('a:k0', new Uint8Array(length));
    await expect(store.remove('a', 'k0')).rejects.toMatchObject({ kind: 'damaged' });
  });

  it('is damaged where an end leads to a page that has not ended', async () => {
    const { clock, environment, store } = await setUp();
    environment.table('expiry').put(['a', clock.now() - 1, 3], new Uint8Array(0));
    await expect(store.sweep('a')).rejects.toMatchObject({ kind: 'damaged' });
  });

  it('is damaged where the end of an earlier release names no key', async () => {
    const { clock, environment, store } = await setUp();
    environment.table('expiry').put(['a', clock.now() - 1, 2], Buffer.from('"k'));
    await expect(store.sweep('a')).rejects.toMatchObject({ kind: 'damaged' });
  });
});

describe('a listing of a tier with a damaged index', () => {
  const afterDamage = async () => {
    const { clock, events, options } = tierSetting();
    const source = new MemorySource();
    const tier = await PersistentTier.open(source, options);
    for (const key of KEYS) tier.offer('standard', recordOf(key));
    await tier.flush();
    const [page] = source.environment.table('recency').rows;
    if (page !== undefined) page.value = page.value.map((byte, at) => (at === page.value.length - 1 ? byte ^ 1 : byte));
    return { clock, events, source, tier };
  };

  it('ends, and the folder is set aside', async () => {
    const { clock, events, source, tier } = await afterDamage();
    const listed: string[] = [];
    for await (const key of tier.keys('standard')) listed.push(key);
    expect(listed).toEqual([]);
    await clock.advance('1s');
    expect(events.states).toEqual(['off quarantined', 'on']);
    expect(source.discarded).toBe(1);
  });

  it('has no row of it', async () => {
    const { events, tier } = await afterDamage();
    expect(tier.rows('standard', Infinity, 10)).toEqual([]);
    expect(events.states).toEqual(['off quarantined']);
  });
});

describe('a page of the index on disk', () => {
  it('takes no more than one page of LMDB when it is full', async () => {
    const directory = await bench.path();
    const { environment } = await bench.environment(directory);
    const store = storeOver(environment);
    // Eight of these rows would fill a page but for the header that LMDB gives it.
    for (let index = 0; index < 2_000; index++) store.put('a', recordOf(String(index).padStart(421)));
    await store.flush();
    await environment.close();
    const file = open({ path: directory, noSubdir: false, readOnly: true, maxDbs: 16 });
    const { entryCount, overflowPages } = file.openDB({ name: 'recency', encoding: 'binary' }).getStats() as {
      readonly entryCount: number;
      readonly overflowPages: number;
    };
    await file.close();
    expect(entryCount).toBeGreaterThan(100);
    expect(overflowPages).toBeLessThanOrEqual(entryCount);
  });
});
