import { afterEach, describe, expect, it } from '@jest/globals';
import { cp, open, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { StorageBench } from '../support/storage.js';

/** How the copies that programs make are dated. */
const COPIES: readonly (readonly [string, (mtimeMs: number) => number])[] = [
  ['a millisecond early', (mtimeMs) => mtimeMs - 0.6],
  ['a millisecond late', (mtimeMs) => mtimeMs + 0.6],
  ['in whole seconds', (mtimeMs) => Math.floor(mtimeMs / 1_000) * 1_000],
  ['by when it was copied', (mtimeMs) => mtimeMs + 3_600_000],
];

describe('a cache directory that was copied', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  const copied = async () => {
    const [original, copy] = [await bench.path(), await bench.path()];
    const { environment } = await bench.environment(original);
    await environment.commit((transaction) => transaction.put(environment.table('t'), 'k', Buffer.from('value')));
    await environment.close();
    await cp(original, copy, { recursive: true });
    return { original, copy, file: join(copy, 'data.mdb') };
  };

  it.each(COPIES)('with its file dated %s holds what it held', async (_, date) => {
    const { original, copy, file } = await copied();
    const seconds = date((await stat(join(original, 'data.mdb'))).mtimeMs) / 1_000;
    await utimes(file, seconds, seconds);
    const { environment, report } = await bench.environment(copy);
    expect(String(environment.table('t').get('k'))).toBe('value');
    expect(report.quarantines).toEqual([]);
  });

  it('is set aside when its file was written to', async () => {
    const { copy, file } = await copied();
    const handle = await open(file, 'r+');
    await handle.write(Buffer.of(1), 0, 1, 2 * 4_096 + 100);
    await handle.close();
    const { report } = await bench.environment(copy);
    expect(report.quarantines).toMatchObject([{ cause: expect.stringContaining('after it was closed') }]);
  });
});
