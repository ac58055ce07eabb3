import { describe, expect, it } from '@jest/globals';
import type { TableKey } from '../../../lib/storage/environment.js';
import { MemoryEnvironment, MemoryTable } from '../../../lib/testing/memory-environment.js';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('an environment in memory', () => {
  it('commits later, whole, and in order', async () => {
    const environment = new MemoryEnvironment((name) => new MemoryTable(name));
    const [one, two] = [environment.table('one'), environment.table('two')];
    const first = environment.commit((transaction) => {
      transaction.put(one, 'key', bytes(1));
      transaction.put(two, 'key', bytes(2));
    });
    const second = environment.commit((transaction) => {
      transaction.put(one, 'key', bytes(3));
      transaction.remove(two, 'key');
    });
    expect(one.get('key')).toBeUndefined();
    await first;
    await second;
    expect([one.get('key'), two.get('key')]).toEqual([bytes(3), undefined]);
    expect(environment.table('one')).toBe(one);
  });

  it('gives and takes copies', async () => {
    const table = new MemoryTable('table');
    const given = bytes(1);
    table.put('key', given);
    given.fill(9);
    table.get('key')?.fill(9);
    expect(table.get('key')).toEqual(bytes(1));
  });

  it('reads in the order of lmdb, either way, between bounds', () => {
    const table = new MemoryTable('table');
    const ordered: readonly TableKey[] = [1, 2, [2, 'a'], [2, 'b', 1], [10], 'A', 'a', ['a', 1], 'é', '\uffee', '😀'];
    for (const key of [...ordered].toReversed()) table.put(key, bytes());
    expect([...table.keys()]).toEqual(ordered);
    expect([...table.keys({ reverse: true })]).toEqual(ordered.toReversed());
    expect([...table.keys({ start: 2, end: [10] })]).toEqual([2, [2, 'a'], [2, 'b', 1]]);
    expect([...table.keys({ start: [10], end: 2, reverse: true })]).toEqual([[10], [2, 'b', 1], [2, 'a']]);
    expect([...table.keys({ start: 3, limit: 2 })]).toEqual([[10], 'A']);
  });
});
