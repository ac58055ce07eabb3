import type { Clock } from '../../../../lib/clock/clock.js';
import type { Keeper } from '../../../../lib/eviction/lane-eviction.js';
import { describe, expect, it, jest } from '@jest/globals';
import { array, assert, asyncProperty, constant, constantFrom, integer, oneof, record as shape } from 'fast-check';
import { ValueCodec } from '../../../../lib/entries/codec/value-codec.js';
import { checkedRecord, isCompressed, RecordReader, valueLengthOf } from '../../../../lib/entries/record.js';
import type { EntryRow } from '../../../../lib/storage/entries/entry-index.js';
import { EntryStore, type EntryStoreOptions } from '../../../../lib/storage/entries/entry-store.js';
import { StorageFault } from '../../../../lib/storage/environment.js';
import type { LaneRules } from '../../../../lib/storage/entries/entry-tables.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { MemoryEnvironment } from '../../../support/memory-environment.js';
import { forged } from '../../../support/record-fields.js';
import { readable, recordOf } from '../../../support/stored-tiers.js';

const WIDE: LaneRules = { maxEntries: 1_000, maxBytes: 1e9 };

function setUp(rules: LaneRules = WIDE, over: Partial<EntryStoreOptions> = {}) {
  const clock = new FakeClock();
  const environment = new MemoryEnvironment();
  const evicted: string[] = [];
  const damaged: string[] = [];
  const failed: { readonly fault: StorageFault; readonly removals: number }[] = [];
  const options: EntryStoreOptions = {
    environment,
    lanes: new Map([
      ['a', rules],
      ['b', WIDE],
    ]),
    clock,
    now: () => clock.now(),
    evicted: (_lane, key, reason) => evicted.push(`${key} ${reason}`),
    damaged: (_lane, key) => damaged.push(key),
    failed: (fault, lost) => failed.push({ fault, removals: lost.filter((change) => change.isRemoval).length }),
    ...over,
  };
  const open = (): EntryStore => new EntryStore(options);
  return { clock, environment, evicted, damaged, failed, open, store: open() };
}

const keysOf = async (store: EntryStore, lane = 'a'): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of store.entries(lane)) keys.push(key);
  return keys;
};

const priorityByCost: LaneRules['priority'] = (row) => (row.tags.includes('keep') ? -100 : row.computeMs);

/** A keeper that names `victims` one after the other, and notes what it hears and looks at. */
function keeperOf(order: Keeper['order'], victims: string[], keeps: (key: string) => boolean = () => false) {
  const heard: string[] = [];
  const looked: string[] = [];
  const keeper: Keeper = {
    order,
    stored: ({ key }) => heard.push(`stored ${key}`),
    evicted: (key) => {
      heard.push(`evicted ${key}`);
      if (victims[0] === key) victims.shift();
    },
    removed: (key) => heard.push(`removed ${key}`),
    victim: () => victims[0],
    keeps: ({ key }) => {
      looked.push(key);
      return keeps(key);
    },
  };
  return { keeper, heard, looked };
}

const put = (store: EntryStore, ...keys: string[]): void => {
  for (const key of keys) store.put('a', recordOf(key));
};

describe('a stored entry', () => {
  it('is read back byte for byte', async () => {
    const { store } = setUp();
    const record = recordOf('k', { tags: ['t', 'ü'], birth: 7 });
    store.put('a', record);
    await store.flush();
    const found = await readable(store.read('a', 'k'));
    expect(found).toMatchObject({ key: 'k', tags: ['t', 'ü'], birth: 7 });
    expect(Buffer.from(found?.bytes ?? [])).toEqual(Buffer.from(record.bytes));
    expect(store.usage('a')).toEqual({ entries: 1, sizeBytes: record.bytes.length });
  });

  it('is not found in another lane', async () => {
    const { store } = setUp();
    put(store, 'k');
    await store.flush();
    expect(store.read('b', 'k')).toBeUndefined();
  });

  it('is replaced as a whole, and counted once', async () => {
    const { store } = setUp();
    store.put('a', recordOf('k', { value: 'old' }));
    await store.flush();
    const newer = recordOf('k', { value: 'a longer, newer value' });
    store.put('a', newer);
    await store.flush();
    expect(store.usage('a')).toEqual({ entries: 1, sizeBytes: newer.bytes.length });
    expect(await keysOf(store)).toEqual(['k']);
  });

  it('leaves no row behind when it is removed', async () => {
    const { store, environment } = setUp();
    put(store, 'k', 'l');
    store.put('a', recordOf('k', { expiresAt: Infinity }));
    await store.flush();
    store.touch('a', 'k');
    await Promise.all([store.remove('a', 'k'), store.remove('a', 'l')]);
    for (const name of ['records', 'places', 'recency', 'expiry', 'parts']) {
      expect({ name, rows: environment.table(name).rows.length }).toEqual({ name, rows: 0 });
    }
    expect(store.usage('a')).toEqual({ entries: 0, sizeBytes: 0 });
  });

  it('is split when it is too long for one row, and put together again, also after a use', async () => {
    const { store, environment } = setUp();
    const value = Buffer.alloc(32 * 1024 * 1024, 'long ');
    store.put('a', recordOf('k', { value }));
    await store.flush();
    expect(environment.table('parts').rows).toHaveLength(3);
    for (const { value: row } of environment.table('parts').rows) expect(row.length).toBeLessThan(16 * 1024 * 1024);
    store.touch('a', 'k');
    await store.flush();
    expect((await readable(store.read('a', 'k')))?.bytes.length).toBe(recordOf('k', { value }).bytes.length);
    put(store, 'k');
    await store.flush();
    expect(environment.table('parts').rows).toHaveLength(0);
  });

  it.each([2_000, 200_000])('is compressed where the lane configures it, %d bytes, in order', async (length) => {
    const { store } = setUp({ ...WIDE, compression: { codec: 'brotli', minBytes: 1_024 } });
    const value = Buffer.alloc(length, 'again and ');
    store.put('a', recordOf('k', { value }));
    store.put('a', recordOf('last', { value: 'small' }));
    store.put('a', recordOf('k', { value: Buffer.alloc(length, 'newer and ') }));
    await store.flush();
    const found = await readable(store.read('a', 'k'));
    const record = checkedRecord(found?.bytes ?? value);
    expect([isCompressed(record), valueLengthOf(record)]).toEqual([true, length]);
    expect(Buffer.from(found?.value ?? []).toString('utf8', 0, 5)).toBe('newer');
    expect(await keysOf(store)).toEqual(['last', 'k']);
  });

  it('is found under keys that no table takes', async () => {
    const { store } = setUp();
    const keys = ['k'.repeat(5_000), '\ud800', '\udc00', 'a\0b', '__proto__', 'é'.repeat(1_000)];
    put(store, ...keys);
    await store.flush();
    for (const key of keys) expect((await readable(store.read('a', key)))?.key).toBe(key);
    expect(await keysOf(store)).toEqual(keys);
    expect(await store.removeMatching('a', () => true)).toBe(keys.length);
  });

  it('is there after the environment was opened again, with counts, recency and time', async () => {
    const { store, open, clock } = setUp({ maxEntries: 3, maxBytes: 1e9 });
    put(store, '1', '2', '3');
    await store.flush();
    void store.read('a', '1');
    await store.flush();
    const again = open();
    expect(again.usage('a').entries).toBe(3);
    expect(again.seenAt).toBe(clock.now());
    put(again, '4');
    await again.flush();
    expect(await keysOf(again)).toEqual(['3', '1', '4']);
  });
});

describe('a change that waits', () => {
  it('is read: a put gives its record, a removal hides what is stored', async () => {
    const { store } = setUp();
    store.put('a', recordOf('k', { value: 'old' }));
    await store.flush();
    store.put('a', recordOf('k', { value: 'new' }));
    const value = async (): Promise<string> =>
      Buffer.from((await readable(store.read('a', 'k')))?.value ?? []).toString();
    expect(await value()).toBe('new');
    const removed = store.remove('a', 'k');
    expect(store.peek('a', 'k')).toBeUndefined();
    store.put('a', recordOf('k', { value: 'newer' }));
    expect(await value()).toBe('newer');
    await removed;
    expect(await value()).toBe('newer');
    await store.flush();
    expect(await value()).toBe('newer');
  });

  it('is forgotten once it is committed, and when it is given up', async () => {
    const { store, environment } = setUp();
    put(store, 'k');
    await store.flush();
    environment.table('records').rows[0]?.value.fill(0);
    expect(store.read('a', 'k')).toBeUndefined();
    put(store, 'l');
    store.stop(new StorageFault('closed', 'test'));
    expect(store.read('a', 'l')).toBeUndefined();
  });

  it('is not read under another key or in another lane', () => {
    const { store } = setUp();
    put(store, 'k');
    expect([store.read('a', 'l'), store.read('b', 'k')]).toEqual([undefined, undefined]);
  });
});

describe('order', () => {
  it('a removal made after a put removes what was put', async () => {
    const { store } = setUp();
    put(store, 'k');
    expect(await store.remove('a', 'k')).toBe(true);
    expect(store.read('a', 'k')).toBeUndefined();
  });

  it('a put made after a removal stays', async () => {
    const { store } = setUp();
    put(store, 'k');
    const removed = store.remove('a', 'k');
    put(store, 'k');
    expect(await removed).toBe(true);
    await store.flush();
    expect(store.read('a', 'k')).toBeDefined();
  });

  it('removing by match reaches what was queued before it and nothing that was queued after it', async () => {
    const { store } = setUp();
    put(store, 'x1', 'x2', 'y');
    const removed = store.removeMatching('a', (key) => key.startsWith('x'));
    put(store, 'x3');
    expect(await removed).toBe(2);
    await store.flush();
    expect((await keysOf(store)).toSorted()).toEqual(['x3', 'y']);
  });

  it('removing by match returns the tags, and stays in its lane', async () => {
    const { store } = setUp();
    store.put('a', recordOf('1', { tags: ['red'] }));
    store.put('a', recordOf('2', { tags: ['blue'] }));
    store.put('b', recordOf('3', { tags: ['red'] }));
    expect(await store.removeMatching('a', (_key, tags) => tags.includes('red'))).toBe(1);
    expect([store.usage('a').entries, store.usage('b').entries]).toEqual([1, 1]);
  });

  it('other rows are written with the entries before them', async () => {
    const { store, environment } = setUp();
    put(store, 'k');
    await store.append((batch) => batch.set(environment.table('log'), 'row', Buffer.from('1')));
    expect(store.read('a', 'k')).toBeDefined();
    expect(environment.commits).toHaveLength(1);
  });
});

describe('limits', () => {
  it('the least recently used entry is evicted first, and a read counts as a use', async () => {
    const { store, evicted } = setUp({ maxEntries: 500, maxBytes: 1e9 });
    put(store, ...Array.from({ length: 500 }, (_, index) => `key_${index + 1}`));
    put(store, 'key_501');
    await store.flush();
    void store.read('a', 'key_2');
    put(store, 'key_502');
    await store.flush();
    expect(evicted).toEqual(['key_1 entries', 'key_3 entries']);
  });

  it('a read of the value alone finds what waits to be written and what is stored, and counts as a use', async () => {
    const { store, evicted } = setUp({ maxEntries: 2, maxBytes: 1e9 });
    const codec = new ValueCodec();
    const reader = new RecordReader(codec);
    const encoded = codec.encode({ n: 1 });
    const value = encoded.storable ? encoded.bytes : new Uint8Array();
    store.put('a', recordOf('1', { value }));
    expect(store.readValue('a', '1', reader)).toMatchObject({ key: '1', value });
    store.put('a', recordOf('2', { value }));
    await store.flush();
    expect(store.readValue('a', '1', reader)).toMatchObject({ key: '1', tree: { n: 1 } });
    expect(store.readValue('a', 'none', reader)).toBeUndefined();
    put(store, '3');
    await store.flush();
    expect(evicted).toEqual(['2 entries']);
  });

  it('a value alone that is damaged is reported, and removed', async () => {
    const { store, environment, damaged } = setUp();
    const reader = new RecordReader(new ValueCodec());
    put(store, '1');
    await store.flush();
    const table = environment.table('records');
    const [row] = table.rows;
    if (row !== undefined) row.value = row.value.map((byte, index) => (index === 90 ? byte ^ 1 : byte));
    expect(store.readValue('a', '1', reader)).toBeUndefined();
    await store.flush();
    expect(damaged).toEqual(['1']);
    expect(table.rows).toEqual([]);
  });

  it('a use elsewhere counts as well', async () => {
    const { store, evicted } = setUp({ maxEntries: 2, maxBytes: 1e9 });
    put(store, '1', '2');
    await store.flush();
    store.touch('a', '1');
    put(store, '3');
    await store.flush();
    expect(evicted).toEqual(['2 entries']);
  });

  it.each([
    ['few keys', 500],
    ['many keys', 9_000],
  ])('uses of %s count in their order, however many they are and whenever they come', async (_, count) => {
    const { store } = setUp({ maxEntries: 2 * count + 1_000, maxBytes: 1e9 });
    const keys = Array.from({ length: count }, (__, index) => `key:${index}`);
    for (let from = 0; from < count; from += 1_000) put(store, ...keys.slice(from, from + 1_000));
    await store.flush();
    const used: string[] = [];
    const use = (uses: number, step: number): void => {
      for (let index = 0; index < uses; index++) {
        const key = keys[(index * step) % count] ?? '';
        store.touch('a', key);
        used.push(key);
      }
    };
    use(34_000, 7);
    const flushing = store.flush();
    use(5_000, 11);
    await flushing;
    use(17_000, 13);
    await store.flush();
    const lastUses = [...new Set(used.toReversed())].toReversed();
    const rows: EntryRow[] = [];
    for await (const row of store.entries('a')) rows.push(row);
    expect(rows.map(({ key }) => key).slice(-lastUses.length)).toEqual(lastUses);
    expect(rows.reduce((sum, { accessCount }) => sum + accessCount, 0)).toBe(used.length);
  });

  it('bytes are a limit too', async () => {
    const size = recordOf('1').bytes.length;
    const { store, evicted } = setUp({ maxEntries: 1_000, maxBytes: 2 * size });
    put(store, '1', '2', '3');
    await store.flush();
    expect(evicted).toEqual(['1 bytes']);
    expect(store.usage('a').sizeBytes).toBeLessThanOrEqual(2 * size);
  });

  it('what is larger than the whole lane is not stored, and the old value is gone', async () => {
    const { store } = setUp({ maxEntries: 10, maxBytes: 1_000 });
    put(store, 'k', 'l');
    await store.flush();
    store.put('a', recordOf('k', { value: Buffer.alloc(2_000) }));
    await store.flush();
    expect(await keysOf(store)).toEqual(['l']);
  });

  it('many small entries give way to a large one in slices, and what follows waits its turn', async () => {
    const size = recordOf('000').bytes.length;
    const { store, environment } = setUp({ maxEntries: 10_000, maxBytes: 1_000 * size });
    put(store, ...Array.from({ length: 1_000 }, (_, index) => `${index}`.padStart(3, '0')));
    await store.flush();
    const before = environment.commits.length;
    store.put('a', recordOf('big', { value: Buffer.alloc(600 * size) }));
    put(store, 'next');
    await store.flush();
    expect(environment.commits.length - before).toBeGreaterThanOrEqual(5);
    expect(Math.max(...environment.commits.slice(before))).toBeLessThan(1_500);
    expect(store.usage('a').sizeBytes).toBeLessThanOrEqual(1_000 * size);
    expect((await keysOf(store)).slice(-2)).toEqual(['big', 'next']);
  });

  it('are kept by a sweep after they were lowered', async () => {
    const { store, environment } = setUp();
    put(store, ...Array.from({ length: 300 }, (_, index) => `${index}`));
    await store.flush();
    const { store: tight } = setUp({ maxEntries: 10, maxBytes: 1e9 }, { environment });
    expect(await tight.sweep('a')).toEqual({ expired: 0, evicted: 290 });
    expect((await keysOf(tight))[0]).toBe('290');
  });

  it('a priority decides among the least recently used', async () => {
    const { store, evicted } = setUp({ maxEntries: 3, maxBytes: 1e9, priority: priorityByCost });
    store.put('a', recordOf('kept', { tags: ['keep'], computeMs: 1 }));
    store.put('a', recordOf('cheap', { computeMs: 2 }));
    store.put('a', recordOf('dear', { computeMs: 9 }));
    await store.flush();
    store.put('a', recordOf('next', { computeMs: 1 }));
    store.put('a', recordOf('last', { computeMs: 1 }));
    await store.flush();
    expect(evicted).toEqual(['dear entries', 'cheap entries']);
  });

  it('a priority decides also among the entries of one batch', async () => {
    const { store, evicted } = setUp({ maxEntries: 2, maxBytes: 1e9, priority: priorityByCost });
    store.put('a', recordOf('cheap', { computeMs: 1 }));
    store.put('a', recordOf('dear', { computeMs: 9 }));
    store.put('a', recordOf('last', { computeMs: 2 }));
    await store.flush();
    expect(evicted).toEqual(['dear entries']);
  });

  it('a priority does not count for an entry that the same batch has replaced since', async () => {
    const { store, evicted } = setUp({ maxEntries: 3, maxBytes: 1e9, priority: priorityByCost });
    for (const [index, key] of ['1', '2', '3'].entries()) store.put('a', recordOf(key, { computeMs: index + 1 }));
    await store.flush();
    store.put('a', recordOf('4', { computeMs: 0 }));
    store.put('a', recordOf('2', { computeMs: 0 }));
    store.put('a', recordOf('5', { computeMs: 0 }));
    await store.flush();
    expect(evicted).toEqual(['3 entries', '1 entries']);
    expect(await keysOf(store)).toEqual(['4', '2', '5']);
  });

  it.each([
    [
      'throws',
      (): number => {
        throw new Error('no opinion');
      },
    ],
    ['is no number', (): number => Number.NaN],
  ])('a priority that %s is no opinion', async (_what, priority) => {
    const { store, evicted } = setUp({ maxEntries: 2, maxBytes: 1e9, priority });
    put(store, '1', '2', '3', '4');
    await store.flush();
    expect(evicted).toEqual(['1 entries', '2 entries']);
  });

  it('an entry whose priority is no number goes first', async () => {
    const priority: LaneRules['priority'] = ({ computeMs }) => (computeMs === 2 ? Number.NaN : computeMs);
    const { store, evicted } = setUp({ maxEntries: 2, maxBytes: 1e9, priority });
    for (const computeMs of [1, 2, 3]) store.put('a', recordOf(`${computeMs}`, { computeMs }));
    await store.flush();
    expect(evicted).toEqual(['2 entries']);
  });

  it('a keeper names what goes, and hears of what is stored, evicted and removed', async () => {
    const { keeper, heard } = keeperOf('named', ['gone already', 'b']);
    const { store, evicted } = setUp({ maxEntries: 2, maxBytes: 1e9, keeper });
    put(store, 'a', 'b', 'c');
    await store.flush();
    expect(evicted).toEqual(['b entries']);
    await store.remove('a', 'a');
    expect(heard).toEqual(
      expect.arrayContaining(['stored a', 'stored b', 'stored c', 'evicted gone already', 'evicted b', 'removed a']),
    );
    // Without a name the least recently used one goes.
    put(store, 'd', 'e');
    await store.flush();
    expect(evicted).toEqual(['b entries', 'c entries']);
  });

  it('a keeper that scans passes over what it keeps, and goes on from there', async () => {
    const { keeper, looked } = keeperOf('scan', [], (key) => key.startsWith('keep'));
    const { store, evicted } = setUp({ maxEntries: 8, maxBytes: 1e9, keeper });
    put(store, 'keep:1', 'keep:2', 'keep:3', '1', 'keep:4', '2', '3', '4');
    await store.flush();
    for (const key of ['5', '6']) {
      put(store, key);
      await store.flush();
    }
    expect(evicted).toEqual(['1 entries', '2 entries']);
    expect(looked.filter((key) => key === 'keep:1')).toHaveLength(1);
    put(store, ...Array.from({ length: 6 }, (_, number) => `keep:more:${number}`));
    await store.flush();
    expect(evicted.slice(2, 6)).toEqual(['3 entries', '4 entries', '5 entries', '6 entries']);
    expect(evicted).toHaveLength(8);
    expect(store.usage('a').entries).toBe(8);
  });

  it('what a keeper goes on with after a restart is kept beside the entries', async () => {
    const { store, environment } = setUp();
    expect(store.evictionState('a')).toBeUndefined();
    await store.keepEviction('a', '{"leader":"gdsf"}');
    expect(setUp(WIDE, { environment }).store.evictionState('a')).toBe('{"leader":"gdsf"}');
  });

  it('a lane that is no longer defined is emptied by its sweep', async () => {
    const { store, environment } = setUp();
    put(store, 'k');
    await store.flush();
    const { store: other } = setUp(WIDE, { environment, lanes: new Map() });
    expect(other.lanes()).toEqual(['a']);
    expect(await other.sweep('a')).toEqual({ expired: 0, evicted: 1 });
    expect(other.lanes()).toEqual([]);
  });
});

describe('expiry', () => {
  it('a sweep removes what has ended, and nothing else', async () => {
    const { store, clock, evicted } = setUp();
    for (let index = 0; index < 400; index++) {
      store.put('a', recordOf(`${index}`, { expiresAt: clock.now() + (index % 2 === 0 ? 1_000 : 9_000) }));
    }
    await store.flush();
    await clock.advance('5s');
    expect(await store.sweep('a')).toEqual({ expired: 200, evicted: 0 });
    expect(evicted).toHaveLength(200);
    expect(store.usage('a').entries).toBe(200);
  });

  it('a sweep commits a small part at a time, and nothing else waits for all of it', async () => {
    const { store, clock, environment } = setUp({ maxEntries: 1_000, maxBytes: 1e9 });
    for (let index = 0; index < 900; index++) store.put('a', recordOf(`${index}`, { expiresAt: clock.now() + 1_000 }));
    put(store, 'live');
    await store.flush();
    await clock.advance('5s');
    const before = environment.commits.length;
    let isSwept = false;
    const sweeping = store.sweep('a').finally(() => (isSwept = true));
    expect(await store.remove('a', 'live')).toBe(true);
    expect(isSwept).toBe(false);
    expect(await sweeping).toEqual({ expired: 900, evicted: 0 });
    expect(environment.commits.length - before).toBeGreaterThan(8);
    expect(store.isEmpty).toBe(true);
  });

  it('a sweep goes on when each slice has time for one entry alone', async () => {
    const clock = new FakeClock();
    let passedMs = 0;
    const hurried: Clock = {
      now: () => clock.now(),
      monotonic: () => (passedMs += 5),
      schedule: (afterMs, run) => clock.schedule(afterMs, run),
    };
    const { store, environment } = setUp(WIDE, { clock: hurried, now: () => clock.now() });
    for (let index = 0; index < 5; index++) store.put('a', recordOf(`${index}`, { expiresAt: clock.now() + 1_000 }));
    put(store, '5', '6', '7');
    await store.flush();
    await clock.advance('5s');
    const over = { environment, clock: hurried, now: () => clock.now() };
    const { store: tight } = setUp({ maxEntries: 1, maxBytes: 1e9 }, over);
    const before = environment.commits.length;
    expect(await tight.sweep('a')).toEqual({ expired: 5, evicted: 2 });
    expect(environment.commits.length - before).toBe(7);
  });
});

describe('trouble', () => {
  it('a record that only another release or Node can read is no damage, and stays until it is replaced', async () => {
    const { store, damaged } = setUp();
    const record = recordOf('k');
    store.put('a', { ...record, bytes: forged(record.bytes, 2, 9) });
    await store.flush();
    expect([await store.read('a', 'k'), damaged]).toEqual(['unreadable', []]);
    await store.flush();
    expect(store.usage('a').entries).toBe(1);
    put(store, 'k');
    expect((await readable(store.read('a', 'k')))?.key).toBe('k');
  });

  it('damaged bytes are a miss, reported once, and removed', async () => {
    const { store, environment, damaged } = setUp();
    put(store, 'k', 'sound');
    await store.flush();
    const row = environment.table('records').rows[0]?.value;
    row?.set([(row.at(-1) ?? 0) ^ 1], row.length - 1);
    expect(store.read('a', 'k')).toBeUndefined();
    await store.flush();
    expect(damaged).toEqual(['k']);
    expect(await keysOf(store)).toEqual(['sound']);
  });

  it('a commit that fails drops everything, once, and reports whether a removal was lost', async () => {
    const { store, environment, failed } = setUp();
    put(store, 'k');
    await store.flush();
    environment.fault = new StorageFault('disk-full', 'full');
    const removal = store.remove('a', 'k');
    put(store, 'l');
    await expect(removal).rejects.toMatchObject({ kind: 'disk-full' });
    await expect(store.remove('a', 'k')).rejects.toMatchObject({ kind: 'disk-full' });
    expect(failed).toEqual([{ fault: environment.fault, removals: 1 }]);
  });

  it('rows of the log that could not be written count as a removal that was lost', async () => {
    const { store, environment, failed } = setUp();
    environment.fault = new StorageFault('io', 'broken');
    const appended = store.append((batch) => batch.set(environment.table('log'), 'k', Buffer.alloc(1)));
    await expect(appended).rejects.toThrow('broken');
    expect(failed).toEqual([{ fault: environment.fault, removals: 1 }]);
  });

  it.each([
    ['most of a large file is free', 64, 33, 1],
    ['half of it is in use', 64, 32, 0],
    ['it is small', 63, 60, 0],
  ])('tending looks for dead readers, and compacts if need be: %s', async (_, fileMegabytes, freeMegabytes, times) => {
    const { store, environment } = setUp();
    const megabyte = 1024 * 1024;
    jest.spyOn(environment, 'fileBytes').mockReturnValue(fileMegabytes * megabyte);
    jest.spyOn(environment, 'freeBytes').mockReturnValue(freeMegabytes * megabyte);
    const [readers, compact] = [jest.spyOn(environment, 'checkReaders'), jest.spyOn(environment, 'compact')];
    await store.tend();
    expect([readers.mock.calls.length, compact.mock.calls.length]).toEqual([1, times]);
  });

  it('what is waiting is bounded', async () => {
    const { store, environment } = setUp();
    const opens: (() => void)[] = [];
    environment.gate = new Promise<void>((resolve) => {
      opens.push(resolve);
    });
    const value = Buffer.alloc(8 * 1024 * 1024);
    const answers = Array.from({ length: 10 }, (_, index) => store.put('a', recordOf(`${index}`, { value })));
    expect(answers.filter((answer) => answer === 'queued').length).toBeLessThanOrEqual(9);
    expect(answers.at(-1)).toBe('backlog');
    for (const open of opens) open();
    await store.flush();
    expect(store.put('a', recordOf('later'))).toBe('queued');
  });
});

describe('puts of several turns of the event loop', () => {
  const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const putInTurns = async (store: EntryStore, count: number): Promise<void> => {
    for (let n = 0; n < count; n++) {
      put(store, `${n}`);
      await nextTurn();
    }
  };
  const setUpCounting = () => {
    const made = setUp();
    return { ...made, commits: jest.spyOn(made.environment, 'commit') };
  };

  it('wait for each other, can be read meanwhile, and share a commit', async () => {
    const { store, clock, commits } = setUpCounting();
    await putInTurns(store, 5);
    expect(commits).not.toHaveBeenCalled();
    expect(store.peek('a', '3')).toMatchObject({ key: '3' });
    await clock.advance('10ms');
    await store.flush();
    expect(commits).toHaveBeenCalledTimes(1);
    expect(store.usage('a').entries).toBe(5);
  });

  it.each<readonly [string, (store: EntryStore) => Promise<unknown>]>([
    ['a removal', (store) => store.remove('a', '0')],
    ['a flush', (store) => store.flush()],
    ['rows of the log', (store) => store.append(() => undefined)],
    ['a sweep', (store) => store.sweep('a')],
    ['a write that is awaited', (store) => new Promise((resolve) => store.put('a', recordOf('awaited'), resolve))],
  ])('are written at once before %s', async (_, act) => {
    const { store } = setUpCounting();
    await putInTurns(store, 3);
    await act(store);
    expect(store.usage('a').entries).toBeGreaterThanOrEqual(2);
  });

  it('are written without being asked for, and those after them gather again', async () => {
    const { store, clock, commits } = setUpCounting();
    for (const expected of [1, 2]) {
      await putInTurns(store, 5);
      await clock.advance('10ms');
      for (let n = 0; n < 5; n++) await nextTurn();
      expect(commits).toHaveBeenCalledTimes(expected);
    }
  });

  it('wait no longer once many have come', async () => {
    const { store, commits } = setUpCounting();
    await putInTurns(store, 260);
    await nextTurn();
    expect(commits).toHaveBeenCalled();
  });

  it('are waited for by those who ask once much of them waits, and by nobody before', async () => {
    const { store } = setUpCounting();
    store.put('a', recordOf('small'));
    expect(store.whenRoom()).toBeUndefined();
    store.put('a', recordOf('large', { value: Buffer.alloc(8 * 1024 * 1024) }));
    for (let room = store.whenRoom(); room !== undefined; room = store.whenRoom()) await room;
    expect(store.usage('a').entries).toBe(2);
  });

  it('are given back when the store stops meanwhile', async () => {
    const { store, commits, clock } = setUpCounting();
    await putInTurns(store, 3);
    const lost = store.stop(new StorageFault('gone', 'gone'));
    expect(lost).toHaveLength(3);
    await clock.advance('1s');
    expect(commits).not.toHaveBeenCalled();
  });
});

describe('the store', () => {
  const key = constantFrom('a', 'b', 'c', 'd', 'e', 'f');
  const step = oneof(
    shape({ do: constant('put' as const), key, size: integer({ min: 0, max: 40 }) }),
    shape({ do: constant('remove' as const), key }),
    shape({ do: constant('read' as const), key }),
    shape({ do: constant('flush' as const) }),
  );

  it('is a least-recently-used map, however its changes fall into batches', async () => {
    await assert(
      asyncProperty(array(step, { maxLength: 60 }), async (steps) => {
        const { store, open } = setUp({ maxEntries: 3, maxBytes: 1e9 });
        const model = new Map<string, number>();
        const reads: { readonly model: number | undefined; readonly store: number | undefined }[] = [];
        for (const one of steps) {
          if (one.do === 'put') {
            store.put('a', recordOf(one.key, { value: Buffer.alloc(one.size) }));
            model.delete(one.key);
            model.set(one.key, one.size);
            const [oldest] = model.keys();
            if (model.size > 3 && oldest !== undefined) model.delete(oldest);
          } else if (one.do === 'remove') {
            void store.remove('a', one.key);
            model.delete(one.key);
          } else if (one.do === 'read') {
            // uses are in order with what has been written, so that the model is only exact when nothing waits
            await store.flush();
            const size = model.get(one.key);
            reads.push({ model: size, store: (await readable(store.read('a', one.key)))?.value.length });
            await store.flush();
            if (size !== undefined) {
              model.delete(one.key);
              model.set(one.key, size);
            }
          } else await store.flush();
        }
        await store.flush();
        expect(reads.map((read) => read.store)).toEqual(reads.map((read) => read.model));
        expect(await keysOf(store)).toEqual([...model.keys()]);
        expect(open().usage('a')).toEqual(store.usage('a'));
        expect(store.usage('a').entries).toBe(model.size);
      }),
      { numRuns: 200 },
    );
  });
});
