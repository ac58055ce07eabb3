import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { appendFile, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OutboxFiles } from '../../../../lib/storage/directory/outbox-files.js';
import { until } from '../../../support/gate.js';

const numbered = (from: number, to: number): Map<string, string> =>
  new Map(Array.from({ length: to - from }, (_, n) => [`id${from + n}`, `text ${from + n}`]));

describe('invalidations that outlive their process', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'lane-cache-outbox-'));
  });

  afterEach(() => rm(root, { recursive: true, force: true, maxRetries: 5 }));

  it('is found by the next one, until all of it is done with', async () => {
    const first = await OutboxFiles.open(root);
    expect(first.found.size).toBe(0);
    await Promise.all([first.keep(numbered(0, 2)), first.keep(numbered(2, 3))]);
    await first.keep(new Map([['odd', 'of two\nlines, "quoted" \ud800']]));
    const [name = '', ...others] = await readdir(root);
    expect(others).toEqual([]);
    expect((await stat(join(root, name))).mode & 0o777).toBe(0o600);

    const second = await OutboxFiles.open(root);
    expect(second.found).toEqual(new Map([...numbered(0, 3), ['odd', 'of two\nlines, "quoted" \ud800']]));
    second.forget(['id0', 'id1']);
    await second.keep(numbered(3, 4));
    expect((await OutboxFiles.open(root)).found.size).toBe(5);
    second.forget(['id2', 'odd', 'id3']);
    await until(async () => (await readdir(root)).length === 0);
    await second.keep(numbered(9, 10));
    expect((await OutboxFiles.open(root)).found).toEqual(numbered(9, 10));
  });

  it('is found under the file name of earlier releases', async () => {
    await (await OutboxFiles.open(root)).keep(numbered(0, 2));
    const [name = ''] = await readdir(root);
    expect(name).toMatch(/^outbox-/);
    await rename(join(root, name), join(root, name.replace('outbox-', 'unsaid-')));
    const next = await OutboxFiles.open(root);
    expect(next.found).toEqual(numbered(0, 2));
    next.forget(['id0', 'id1']);
    await until(async () => (await readdir(root)).length === 0);
  });

  it('survive an unfinished line and foreign files beside them', async () => {
    const first = await OutboxFiles.open(root);
    await first.keep(numbered(0, 1));
    const [name = ''] = await readdir(root);
    await appendFile(join(root, name), '["id1","te');
    await appendFile(join(root, 'unsaid-of-nobody'), 'null\n[]\n["a",1]\n');
    await appendFile(join(root, 'something-else'), '["id7","text"]\n');
    expect((await OutboxFiles.open(root)).found).toEqual(numbered(0, 1));
  });

  it('is kept by a new file where the one before could not be written', async () => {
    const outbox = await OutboxFiles.open(root);
    await outbox.keep(numbered(0, 1));
    await rm(root, { recursive: true, maxRetries: 5 });
    await expect(outbox.keep(numbered(1, 2))).rejects.toMatchObject({ name: 'StorageFault' });
    await mkdir(root);
    await outbox.keep(numbered(2, 3));
    expect((await OutboxFiles.open(root)).found).toEqual(numbered(2, 3));
  });

  it('takes no more room than what is left of it needs', async () => {
    const outbox = await OutboxFiles.open(root);
    const sizeOf = async (): Promise<number> => {
      const sizes = await Promise.all((await readdir(root)).map(async (name) => (await stat(join(root, name))).size));
      return sizes.reduce((sum, size) => sum + size, 0);
    };
    for (let round = 0; round < 30; round++) {
      await outbox.keep(numbered(1_000 * round, 1_000 * (round + 1)));
      outbox.forget([...numbered(1_000 * round, 1_000 * (round + 1) - 1).keys()]);
    }
    expect(await sizeOf()).toBeLessThan(12_000 * 30);
    expect((await OutboxFiles.open(root)).found.has('id29999')).toBe(true);
    expect((await OutboxFiles.open(root)).found.has('id999')).toBe(true);
  });
});
