import { describe, expect, it } from '@jest/globals';
import { StoredIndex } from '../../../../lib/storage/entries/entry-index.js';
import { EntryStore } from '../../../../lib/storage/entries/entry-store.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { MemoryEnvironment } from '../../../support/memory-environment.js';
import { readable, recordOf } from '../../../support/stored-tiers.js';

const INDEX = ['places', 'recency', 'expiry'];

function setUp(maxEntries = 1_000) {
  const clock = new FakeClock();
  const environment = new MemoryEnvironment();
  const faults: string[] = [];
  const open = (): EntryStore =>
    new EntryStore({
      environment,
      lanes: new Map([['a', { maxEntries, maxBytes: 1e9 }]]),
      clock,
      now: () => clock.now(),
      evicted: () => undefined,
      damaged: (_lane, key) => faults.push(`damaged ${key}`),
      failed: ({ kind }) => faults.push(kind),
    });
  const rows = (name: string): number => environment.table(name).rows.length;
  return { clock, environment, faults, open, rows };
}

const listed = async (store: EntryStore): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of store.entries('a')) keys.push(key);
  return keys;
};

const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `k${index}`);

/** What releases before pages of several rows left of an entry. */
function storeAsBefore(environment: MemoryEnvironment, key: string, sequence: number, expiresAt: number): void {
  const record = recordOf(key, { tags: [key], expiresAt });
  const text = Buffer.from(JSON.stringify([key, key]));
  const row = Buffer.alloc(72 + text.length);
  const numbers = [record.bytes.length, record.birth, record.computeMs, 0, expiresAt, 0, 0, sequence, 0];
  for (const [index, number] of numbers.entries()) row.writeDoubleLE(number, 8 * index);
  text.copy(row, 72);
  const place = Buffer.alloc(8);
  place.writeDoubleLE(sequence);
  environment.table('records').put(`a:${key}`, record.bytes);
  environment.table('places').put(`a:${key}`, place);
  environment.table('recency').put(['a', sequence], row);
  environment.table('expiry').put(['a', expiresAt, sequence], Buffer.from(JSON.stringify(key)));
  const usage = environment.table('usage').get('a');
  const [entries, bytes] = usage === undefined ? [0, 0] : [numberAt(usage, 0), numberAt(usage, 8)];
  const count = Buffer.alloc(24);
  for (const [index, number] of [entries + 1, bytes + record.bytes.length, sequence].entries()) {
    count.writeDoubleLE(number, 8 * index);
  }
  environment.table('usage').put('a', count);
}

const numberAt = (bytes: Uint8Array, at: number): number => Buffer.from(bytes).readDoubleLE(at);

describe('the index of L3', () => {
  it('has one row in each order for many entries of a commit', async () => {
    const { open, rows } = setUp();
    const store = open();
    for (const key of keys(200)) store.put('a', recordOf(key, { tags: ['t'] }));
    await store.flush();
    expect(rows('recency')).toBeLessThan(10);
    expect(rows('expiry')).toBe(rows('recency'));
    expect(await listed(open())).toEqual(keys(200));
  });

  it('gives a row that is longer than a page a page of its own', async () => {
    const { open, rows } = setUp();
    const store = open();
    const all = ['first', 'long '.repeat(2_000), 'last'];
    for (const key of all) store.put('a', recordOf(key));
    await store.flush();
    expect(rows('recency')).toBe(3);
    expect(await listed(store)).toEqual(all);
    expect(await Promise.all(all.map((key) => store.remove('a', key)))).toEqual([true, true, true]);
    for (const name of INDEX) expect({ name, rows: rows(name) }).toEqual({ name, rows: 0 });
  });

  it('finds what ends first in a page, whatever else is there', async () => {
    const { clock, open, rows } = setUp();
    const store = open();
    const now = clock.now();
    for (const [index, key] of keys(30).entries()) {
      store.put('a', recordOf(key, { expiresAt: now + 1_000 * (index % 3 === 2 ? 60 : 1 + (index % 3)) }));
    }
    await store.flush();
    await clock.advance('1s');
    expect(await store.sweep('a')).toEqual({ expired: 10, evicted: 0 });
    expect(await store.sweep('a')).toEqual({ expired: 0, evicted: 0 });
    await clock.advance('1s');
    expect(await store.sweep('a')).toEqual({ expired: 10, evicted: 0 });
    expect(await listed(store)).toEqual(keys(30).filter((_, index) => index % 3 === 2));
    await clock.advance('60s');
    expect(await store.sweep('a')).toEqual({ expired: 10, evicted: 0 });
    for (const name of INDEX) expect({ name, rows: rows(name) }).toEqual({ name, rows: 0 });
  });

  it('reads one page to find the first entry that ended', async () => {
    const { clock, environment, open } = setUp();
    const store = open();
    for (const [index, key] of keys(200).entries()) {
      store.put('a', recordOf(key, { expiresAt: clock.now() + (index % 4 === 0 ? 1_000 : 60_000) }));
    }
    await store.flush();
    await clock.advance('1s');
    const recency = environment.table('recency');
    const borrow = recency.borrow.bind(recency);
    let pages = 0;
    recency.borrow = (key) => {
      pages++;
      return borrow(key);
    };
    const [first] = new StoredIndex(environment).expired('a', clock.now(), 96);
    expect({ first, pages }).toEqual({ first: 'k0', pages: 1 });
    expect([...new StoredIndex(environment).expired('a', clock.now(), 20)]).toHaveLength(20);
  });

  it('moves a used entry out of its page, with its end', async () => {
    const { clock, open } = setUp(4);
    const store = open();
    for (const key of keys(4)) store.put('a', recordOf(key, { expiresAt: clock.now() + 1_000 }));
    await store.flush();
    store.touch('a', 'k0');
    store.put('a', recordOf('k4', { expiresAt: clock.now() + 60_000 }));
    await store.flush();
    expect(await listed(store)).toEqual(['k2', 'k3', 'k0', 'k4']);
    expect(store.mostRecent('a', Infinity, 2).map(({ key }) => key)).toEqual(['k4', 'k0']);
    await clock.advance('1s');
    expect(await store.sweep('a')).toEqual({ expired: 3, evicted: 0 });
    expect(await listed(store)).toEqual(['k4']);
  });

  it('goes on with the rows of an earlier release until none is left', async () => {
    const { clock, environment, faults, open, rows } = setUp(8);
    const now = clock.now();
    for (const [index, key] of keys(7).entries()) {
      storeAsBefore(environment, key, index + 1, index === 3 ? now + 1_000 : now + 60_000);
    }
    const store = open();
    expect(await listed(store)).toEqual(keys(7));
    expect(store.mostRecent('a', 6, 2)).toMatchObject([{ key: 'k4', tags: ['k4'], sequence: 5 }, { key: 'k3' }]);
    expect(await readable(store.read('a', 'k1'))).toMatchObject({ key: 'k1', tags: ['k1'] });
    store.put('a', recordOf('k2', { expiresAt: now + 60_000 }));
    await store.flush();
    expect(await store.remove('a', 'k6')).toBe(true);
    await clock.advance('1s');
    expect(await store.sweep('a')).toEqual({ expired: 1, evicted: 0 });
    expect(await listed(store)).toEqual(['k0', 'k4', 'k5', 'k1', 'k2']);
    for (const key of ['new', 'newer', 'newest', 'last']) {
      store.put('a', recordOf(key, { expiresAt: now + 60_000 }));
    }
    await store.flush();
    expect(await listed(store)).toEqual(['k4', 'k5', 'k1', 'k2', 'new', 'newer', 'newest', 'last']);
    await clock.advance('60s');
    expect(await store.sweep('a')).toEqual({ expired: 8, evicted: 0 });
    for (const name of [...INDEX, 'records']) expect({ name, rows: rows(name) }).toEqual({ name, rows: 0 });
    expect(faults).toEqual([]);
  });

  it.each([
    ['too short', Buffer.alloc(40)],
    ['without rows', Buffer.from([0, 0, 0, 0, 255, 255, 255, 255, ...Buffer.alloc(90)])],
    ['of more rows than it has room for', Buffer.from([9, 0, 0, 0, 255, 255, 255, 255, ...Buffer.alloc(90)])],
    ['with a row that is no text', Buffer.alloc(90)],
  ])('takes a page %s for damage', async (_what, bytes) => {
    const { environment, open } = setUp();
    const store = open();
    store.put('a', recordOf('k'));
    await store.flush();
    environment.table('recency').put(['a', 1], bytes);
    await expect(store.remove('a', 'k')).rejects.toMatchObject({ kind: 'damaged' });
  });

  it('takes a page that is gone, or has lost a row, for damage', async () => {
    const { clock, environment, open } = setUp();
    let store = open();
    for (const key of keys(3)) store.put('a', recordOf(key, { expiresAt: clock.now() + 1_000 }));
    await store.flush();
    const page = environment.table('recency').get(['a', 3]) ?? Buffer.alloc(0);
    await store.remove('a', 'k0');
    const shorter = environment.table('recency').get(['a', 3]) ?? Buffer.alloc(0);
    expect(shorter.length).toBeLessThan(page.length);
    store.put('a', recordOf('k0', { expiresAt: clock.now() + 1_000 }));
    await store.flush();
    environment.table('recency').delete(['a', 4]);
    await expect(store.remove('a', 'k0')).rejects.toMatchObject({ kind: 'damaged' });
    store = open();
    await clock.advance('1s');
    await expect(store.sweep('a')).rejects.toMatchObject({ kind: 'damaged' });
  });
});
