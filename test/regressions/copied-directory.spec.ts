import { afterEach, describe, expect, it } from '@jest/globals';
import { stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { StorageBench } from '../support/storage.js';

/** How the copies that programs make are dated. */
const COPIES: readonly (readonly [string, (mtimeMs: number) => number])[] = [
  ['a millisecond early', (mtimeMs) => mtimeMs - 0.6],
  ['a millisecond late', (mtimeMs) => mtimeMs + 0.6],
  ['in whole seconds', (mtimeMs) => Math.floor(mtimeMs / 1_000) * 1_000],
];

describe('a cache directory that was copied', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  const redated = async (date: (mtimeMs: number) => number) => {
    const path = await bench.path();
    const { environment } = await bench.environment(path);
    await environment.commit((transaction) => transaction.put(environment.table('t'), 'k', Buffer.from('v')));
    await environment.close();
    const file = join(path, 'data.mdb');
    const seconds = date((await stat(file)).mtimeMs) / 1_000;
    await utimes(file, seconds, seconds);
    return path;
  };

  it.each(COPIES)('with its file dated %s is not taken for damaged', async (_, date) => {
    const { report } = await bench.environment(await redated(date));
    expect(report.quarantines).toEqual([]);
  });

  it('is set aside when somebody wrote to its file', async () => {
    const { report } = await bench.environment(await redated((mtimeMs) => mtimeMs + 5));
    expect(report.quarantines).toMatchObject([{ cause: expect.stringContaining('since it was closed') }]);
  });
});
