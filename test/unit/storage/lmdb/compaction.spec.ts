import { afterEach, describe, expect, it } from '@jest/globals';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemClock } from '../../../../lib/clock/clock.js';
import { CacheFolder } from '../../../../lib/storage/directory/cache-directory.js';
import { EntryStore } from '../../../../lib/storage/entries/entry-store.js';
import type { StorageFault } from '../../../../lib/storage/environment.js';
import { RecordingReporter, StorageBench } from '../../../support/storage.js';
import { readable, recordOf } from '../../../support/stored-tiers.js';

const MEGABYTE = 1024 * 1024;

describe('compacting', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('keeps every row, frees the space, and continues after a restart', async () => {
    const path = await bench.path();
    const { environment } = await bench.environment(path, { durability: 'durable' });
    const [left, right] = [environment.table('left'), environment.table('right')];
    for (let n = 0; n < 20; n++) {
      await environment.commit((transaction) => {
        for (let i = 0; i < 50; i++) transaction.put(left, ['row', n * 50 + i], Buffer.alloc(10_000, n));
        transaction.put(right, n, Buffer.from(String(n)));
      });
    }
    await environment.commit((transaction) => {
      for (let n = 0; n < 1_000; n++) if (n % 10 !== 0) transaction.remove(left, ['row', n]);
    });
    const before = environment.fileBytes();
    await environment.compact();
    expect(environment.fileBytes()).toBeLessThan(before / 2);
    expect([...left.keys()]).toEqual(Array.from({ length: 100 }, (_, n) => ['row', n * 10]));
    expect(left.get(['row', 510])).toEqual(Buffer.alloc(10_000, 10));
    await environment.commit((transaction) => transaction.put(right, 20, Buffer.from('20')));
    await environment.close();
    const again = await bench.environment(path, { durability: 'durable' });
    const values = [...again.environment.table('right').range()].map(({ value }) => String(Buffer.from(value)));
    expect(values).toEqual(Array.from({ length: 21 }, (_, n) => String(n)));
    expect(again.report).toEqual({ faults: [], quarantines: [] });
    expect((await readdir(dirname(path))).filter((name) => !name.includes('.void-'))).toEqual(['env']);
  });

  it.each(['.copy', '.void-2026-01-01T00-00-00-000Z'])(
    'leaves nothing behind for good where a process was killed during it (%s)',
    async (suffix) => {
      const directory = await bench.path();
      await mkdir(`${directory}${suffix}`, { recursive: true });
      await writeFile(join(`${directory}${suffix}`, 'data.mdb'), 'half of it');
      const folder = new CacheFolder({
        directory,
        durability: 'durable',
        clock: systemClock,
        minFreeBytes: 0,
        deadlineMs: 60_000,
      });
      const environment = await folder.open(new RecordingReporter());
      expect(await readdir(dirname(directory))).toEqual(['env']);
      await environment.close();
    },
  );

  it('happens in the order of the changes, when most of a large file is free', async () => {
    const path = await bench.path();
    const { environment } = await bench.environment(path);
    const faults: StorageFault[] = [];
    const store = new EntryStore({
      environment,
      lanes: new Map([['lane', { maxEntries: 1_000, maxBytes: 1_000 * MEGABYTE }]]),
      clock: systemClock,
      now: () => Date.now(),
      evicted: () => undefined,
      damaged: () => undefined,
      failed: (fault) => faults.push(fault),
    });
    const value = new Uint8Array(MEGABYTE).fill(7);
    for (let n = 0; n < 80; n++) {
      store.put('lane', recordOf(`key ${n}`, { value }));
      if (n % 16 === 15) await store.flush();
    }
    await store.flush();
    await store.tend();
    expect(environment.fileBytes()).toBeGreaterThan(80 * MEGABYTE);
    for (let n = 5; n < 80; n++) void store.remove('lane', `key ${n}`);
    await store.flush();
    const tended = store.tend();
    store.put('lane', recordOf('later', { value: 'put meanwhile' }));
    const removed = store.remove('lane', 'key 1');
    await tended;
    expect(await removed).toBe(true);
    await store.flush();
    expect(environment.fileBytes()).toBeLessThan(20 * MEGABYTE);
    const keys: string[] = [];
    for await (const { key } of store.entries('lane')) keys.push(key);
    expect(keys).toEqual(['key 0', 'key 2', 'key 3', 'key 4', 'later']);
    expect((await readable(store.peek('lane', 'key 3')))?.value.length).toBe(MEGABYTE);
    expect(faults).toEqual([]);
  }, 30_000);
});
