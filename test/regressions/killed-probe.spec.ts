import { afterEach, describe, expect, it } from '@jest/globals';
import { open } from 'lmdb';
import { probe } from '../../lib/storage/lmdb/probe.js';
import { nativeOptions } from '../../lib/storage/lmdb/lmdb-table.js';
import { nextTurn } from '../../lib/clock/clock.js';
import { StorageBench } from '../support/storage.js';

describe('a probe that may write, and be killed at any time', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('never has a row of its own in a committed table', async () => {
    const path = await bench.path('probed');
    const root = open(nativeOptions(path, 'durable'));
    const table = root.openDB<Buffer, string>({ name: 'entries', encoding: 'binary' });
    await table.put('a', Buffer.from('value'));
    const seen = new Set<string>();
    const probed = probe({ path }, 'durable', 'write');
    let isOver = false;
    void probed.then(() => (isOver = true));
    while (!isOver) {
      for (const key of table.getKeys({ snapshot: true })) seen.add(key);
      root.resetReadTxn();
      await nextTurn();
    }
    expect((await probed).state).toBe('survived');
    expect([...seen]).toEqual(['a']);
    await root.close();
  });
});
