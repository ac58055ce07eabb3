import { afterEach, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { cp, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../../../lib/clock/clock.js';
import { MAX_VALUE_BYTES } from '../../../../lib/storage/lmdb/lmdb-environment.js';
import { StorageFault, type TableKey } from '../../../../lib/storage/environment.js';
import { requireKey } from '../../../../lib/storage/lmdb/lmdb-table.js';
import { codePoint } from '../../../support/storable-values.js';
import { until } from '../../../support/gate.js';
import { Deadlines, holdingThreads } from '../../../support/held-threads.js';
import { StorageBench } from '../../../support/storage.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString();

/** An array of one part is the same key as the part. */
const nameOf = (key: TableKey): string => JSON.stringify(typeof key === 'object' && key.length === 1 ? key[0] : key);

describe('an LMDB environment', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('gives back what was committed, in every table', async () => {
    const { environment } = await bench.environment(await bench.path());
    const [a, b] = [environment.table('a'), environment.table('b')];
    await environment.commit((transaction) => {
      transaction.put(a, 'key', bytes('one'));
      transaction.put(b, ['lane', 7], bytes('two'));
    });
    expect(text(a.get('key'))).toBe('one');
    expect(text(b.get(['lane', 7]))).toBe('two');
    expect(b.get('key')).toBeUndefined();
  });

  it('applies the changes of a transaction in the order of the calls', async () => {
    const { environment } = await bench.environment(await bench.path());
    const table = environment.table('t');
    await environment.commit((transaction) => {
      transaction.put(table, 'kept', bytes('first'));
      transaction.put(table, 'kept', bytes('second'));
      transaction.put(table, 'gone', bytes('x'));
      transaction.remove(table, 'gone');
      transaction.remove(table, 'never there');
    });
    expect(text(table.get('kept'))).toBe('second');
    expect(table.get('gone')).toBeUndefined();
  });

  it('writes nothing of a transaction whose collection throws', async () => {
    const { environment } = await bench.environment(await bench.path());
    const table = environment.table('t');
    const failed = environment.commit((transaction) => {
      transaction.put(table, 'a', bytes('1'));
      throw new RangeError('mine');
    });
    await expect(failed).rejects.toThrow(new RangeError('mine'));
    await environment.commit((transaction) => transaction.put(table, 'b', bytes('2')));
    expect([...table.keys()]).toEqual(['b']);
  });

  it.each([
    ['a key that is too long', 'k'.repeat(1_901)],
    ['a key that is too long in bytes', 'é'.repeat(951)],
    ['a key that is no number', Number.NaN],
    ['an empty key', []],
  ] as const)('refuses %s before anything is written', async (_what, key) => {
    const { environment } = await bench.environment(await bench.path());
    const table = environment.table('t');
    const put = environment.commit((transaction) => {
      transaction.put(table, 'a', bytes('1'));
      transaction.put(table, key, bytes('2'));
    });
    await expect(put).rejects.not.toBeInstanceOf(StorageFault);
    expect([...table.keys()]).toEqual([]);
  });

  it('refuses a table of another environment', async () => {
    const [one, two] = [await bench.environment(await bench.path()), await bench.environment(await bench.path())];
    const [own, foreign] = [one.environment.table('t'), two.environment.table('t')];
    const put = one.environment.commit((transaction) => {
      transaction.put(own, 'a', bytes('1'));
      transaction.put(foreign, 'a', bytes('1'));
    });
    await expect(put).rejects.toThrow(TypeError);
    expect([...own.keys()]).toEqual([]);
  });

  it('takes values up to its limit, and gives back a copy', async () => {
    const { environment } = await bench.environment(await bench.path());
    const table = environment.table('t');
    await environment.commit((transaction) => transaction.put(table, 'k', Buffer.alloc(MAX_VALUE_BYTES, 7)));
    const copy = table.get('k');
    expect(copy?.byteLength).toBe(MAX_VALUE_BYTES);
    copy?.fill(0);
    expect(table.get('k')?.[0]).toBe(7);
    const tooLarge = environment.commit((transaction) =>
      transaction.put(table, 'k', Buffer.alloc(MAX_VALUE_BYTES + 1)),
    );
    await expect(tooLarge).rejects.toThrow(/is the most/);
  });

  it('walks ranges forwards, backwards and limited', async () => {
    const { environment } = await bench.environment(await bench.path());
    const table = environment.table('t');
    await environment.commit((transaction) => {
      for (const lane of ['a', 'b'])
        for (let n = 0; n < 3; n++) transaction.put(table, [lane, n], bytes(`${lane}${n}`));
    });
    const end = [Number.MAX_VALUE];
    expect([...table.keys({ start: ['a'], end: ['a', Number.MAX_VALUE] })]).toEqual([
      ['a', 0],
      ['a', 1],
      ['a', 2],
    ]);
    expect([...table.range({ start: ['b', 1], limit: 1 })].map(({ value }) => text(value))).toEqual(['b1']);
    expect([...table.keys({ reverse: true, limit: 2 })]).toEqual([
      ['b', 2],
      ['b', 1],
    ]);
    expect([...table.keys({ start: ['b', 9], end })]).toEqual([]);
  });

  it('takes every key that its own check accepts, and distinguishes them', async () => {
    const { environment } = await bench.environment(await bench.path());
    const table = environment.table('t');
    const part = fc.oneof(
      fc.string({ unit: codePoint, maxLength: 700 }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    );
    const key: fc.Arbitrary<TableKey> = fc.oneof(part, fc.array(part, { minLength: 1, maxLength: 5 }));
    await fc.assert(
      fc.asyncProperty(fc.array(key, { minLength: 1, maxLength: 5 }), async (keys) => {
        const fit = keys.filter((candidate) => {
          try {
            requireKey(candidate);
            return true;
          } catch {
            return false;
          }
        });
        await environment.commit((transaction) => {
          for (const candidate of fit) transaction.put(table, candidate, bytes(nameOf(candidate)));
        });
        for (const candidate of fit) expect(text(table.get(candidate))).toBe(nameOf(candidate));
      }),
      { numRuns: 150 },
    );
  });

  it('survives a restart in both durabilities', async () => {
    for (const durability of ['session', 'durable'] as const) {
      const path = await bench.path();
      const first = await bench.environment(path, { durability });
      const table = first.environment.table('t');
      await first.environment.commit((transaction) => transaction.put(table, 'k', bytes(durability)));
      await first.environment.close();
      const second = await bench.environment(path, { durability });
      expect(text(second.environment.table('t').get('k'))).toBe(durability);
      expect(second.report.quarantines).toEqual([]);
    }
  });

  it('closes once, waits for what was accepted, and then reads as empty and refuses writes', async () => {
    const path = await bench.path();
    const { environment } = await bench.environment(path);
    const table = environment.table('t');
    let committed = false;
    const commit = environment
      .commit((transaction) => transaction.put(table, 'k', bytes('v')))
      .then(() => (committed = true));
    await Promise.all([environment.close(), environment.close(), commit]);
    expect(committed).toBe(true);
    expect(table.get('k')).toBeUndefined();
    expect([...table.keys()]).toEqual([]);
    const late = environment.commit((transaction) => transaction.put(table, 'k', bytes('late')));
    await expect(late).rejects.toMatchObject({ kind: 'closed' });
    expect(text((await bench.environment(path)).environment.table('t').get('k'))).toBe('v');
  });

  it('refuses to write below the limit of free space, and writes again above it', async () => {
    const path = await bench.path();
    await (await bench.environment(path)).environment.close();
    const { environment } = await bench.environment(path, { minFreeBytes: Number.MAX_SAFE_INTEGER });
    const write = environment.commit((transaction) => transaction.put(environment.table('about'), 'k', bytes('v')));
    await expect(write).rejects.toMatchObject({ kind: 'disk-full' });
    expect(() => environment.table('new')).toThrow(StorageFault);
  });

  it('lets go of its files after it was closed once a commit has settled that was past its deadline', async () => {
    const deadlines = new Deadlines();
    const path = await bench.path();
    const { environment } = await bench.environment(path, { clock: deadlines.clock });
    const isOpen = (): boolean => readFileSync('/proc/self/maps', 'utf8').includes(join(path, 'data.mdb'));
    await holdingThreads(await bench.path('pipes'), async () => {
      const slow = environment.commit((transaction) => transaction.put(environment.table('t'), 'slow', bytes('v')));
      await deadlines.untilLate(slow);
      await environment.close();
      expect(isOpen()).toBe(true);
    });
    await until(() => !isOpen());
    const again = await bench.environment(path);
    expect(text(again.environment.table('t').get('slow'))).toBe('v');
  });

  it('gives up on a commit at its deadline, and takes none until that one has settled', async () => {
    const deadlines = new Deadlines();
    const { environment } = await bench.environment(await bench.path(), { clock: deadlines.clock });
    const table = environment.table('t');
    const put = (key: string) => environment.commit((transaction) => transaction.put(table, key, bytes('v')));
    await put('first');
    await holdingThreads(await bench.path('pipes'), async () => {
      const slow = put('slow');
      await deadlines.untilLate(slow);
      await expect(slow).rejects.toMatchObject({ kind: 'deadline' });
      await expect(put('refused')).rejects.toMatchObject({ kind: 'deadline' });
    });
    const settled = async (): Promise<boolean> =>
      put('next').then(
        () => true,
        () => false,
      );
    await until(settled);
    expect([...table.keys()]).toEqual(['first', 'next', 'slow']);
  });

  it.each([
    ['gone', () => undefined],
    ['another one, which looks the same', (from: string, to: string) => cp(from, to, { recursive: true })],
  ])('notices that its directory is %s', async (_, replace) => {
    const path = await bench.path();
    const { environment } = await bench.environment(path);
    const table = environment.table('t');
    await rename(path, `${path}-elsewhere`);
    await replace(`${path}-elsewhere`, path);
    const write = environment.commit((transaction) => transaction.put(table, 'k', bytes('v')));
    await expect(write).rejects.toMatchObject({ kind: 'gone' });
  });

  it('knows how much of its file is free', async () => {
    const path = await bench.path();
    const { environment } = await bench.environment(path);
    const table = environment.table('t');
    await environment.commit((transaction) => {
      for (let n = 0; n < 50; n++) transaction.put(table, n, Buffer.alloc(20_000));
    });
    const full = environment.freeBytes();
    await environment.commit((transaction) => {
      for (let n = 0; n < 50; n++) transaction.remove(table, n);
    });
    expect(environment.freeBytes() - full).toBeGreaterThanOrEqual(50 * 20_000);
    expect(environment.fileBytes()).toBe((await stat(`${path}/data.mdb`)).size);
    environment.checkReaders();
  });

  it('keeps its files to its user', async () => {
    const path = await bench.path();
    await bench.environment(path, { clock: systemClock });
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    for (const file of ['data.mdb', 'lock.mdb']) expect((await stat(`${path}/${file}`)).mode & 0o777).toBe(0o600);
  });
});
