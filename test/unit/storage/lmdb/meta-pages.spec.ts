import { describe, expect, it } from '@jest/globals';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openNative } from '../../../../lib/storage/lmdb/lmdb-table.js';
import { emptyDataFile, parseMeta } from '../../../../lib/storage/lmdb/integrity-check.js';

describe('an empty data file', () => {
  it('is what LMDB makes itself, on a machine whose pages have 4 KB', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-'));
    try {
      await (await openNative(directory, 'durable')).close();
      const made = new Uint8Array(await readFile(join(directory, 'data.mdb')));
      const { pageSize } = parseMeta(new DataView(made.buffer)) ?? {};
      expect(made).toEqual(pageSize === 4096 ? emptyDataFile() : expect.anything());
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
