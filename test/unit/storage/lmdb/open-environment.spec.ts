import { afterEach, describe, expect, it } from '@jest/globals';
import { cp, mkdir, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StorageFault, toFault } from '../../../../lib/storage/environment.js';
import { FORMAT_KEY, FORMAT_TABLE, OpenDirectories } from '../../../../lib/storage/lmdb/open-environment.js';
import { forgetMissed, missedNotes, noteMissed } from '../../../../lib/storage/directory/cache-directory.js';
import { quarantine, quarantinesOf, removeOldQuarantines } from '../../../../lib/storage/files/quarantine.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { StorageBench } from '../../../support/storage.js';

/** Without the namespace of the process id. */
const markers = async (path: string): Promise<readonly string[]> =>
  (await readdir(path)).filter((name) => !name.endsWith('.mdb')).map((name) => name.replace(/(\.\d+)\.\d*$/, '$1'));

const coded = (code: string | number): Error => Object.assign(new Error('it'), { code });

describe('opening an environment', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('is marked as running while it is open, and afterwards as closed or killed', async () => {
    const path = await bench.path();
    const { environment } = await bench.environment(path);
    expect(await markers(path)).toEqual([`running.${process.pid}`]);
    await environment.close();
    expect(await markers(path)).toEqual(['closed']);
  });

  it('does not touch another folder in its place when it is closed', async () => {
    const path = await bench.path();
    const { environment } = await bench.environment(path);
    await rename(path, `${path}-elsewhere`);
    await cp(`${path}-elsewhere`, path, { recursive: true });
    await environment.close();
    expect(await markers(path)).toEqual([`running.${process.pid}`]);
  });

  it('takes all the room of its lock file, which LMDB would fill in where nothing can be caught', async () => {
    const path = await bench.path();
    await bench.environment(path);
    const { blocks, size } = await stat(join(path, 'lock.mdb'));
    expect(blocks * 512).toBeGreaterThanOrEqual(size);
  });

  it('does not mind that the last holder was killed while running', async () => {
    const path = await bench.path();
    await (await bench.environment(path)).environment.close();
    await writeFile(join(path, 'running.1'), '');
    const { report } = await bench.environment(path);
    expect(report.quarantines).toEqual([]);
    expect(await markers(path)).toEqual([`running.${process.pid}`]);
  });

  it.each([
    ['gone', 'closed it', (file: string) => rm(file)],
    ['empty', 'closed it', (file: string) => truncate(file, 0)],
    ['empty', 'was killed', (file: string) => truncate(file, 0)],
  ] as const)('reports a data file that is %s, though its last holder %s', async (_, end, harm) => {
    const path = await bench.path();
    await (await bench.environment(path)).environment.close();
    await harm(join(path, 'data.mdb'));
    if (end === 'was killed') await rename(join(path, 'closed'), join(path, 'running.1'));
    const { report } = await bench.environment(path, { onMarkerLeft: 'probe' });
    expect(report.quarantines).toMatchObject([{ directory: path, cause: expect.stringContaining('gone, or empty') }]);
  });

  it('takes a file that is only being made for new', async () => {
    const path = await bench.path();
    await mkdir(path);
    for (const name of ['opening.1', 'data.mdb']) await writeFile(join(path, name), '');
    const { report } = await bench.environment(path, { onMarkerLeft: 'probe' });
    expect(report.quarantines).toEqual([]);
  });

  it('sets a cache of an unknown format aside, and refuses checkpoints of one', async () => {
    const path = await bench.path();
    const first = await bench.environment(path);
    await first.environment.commit((transaction) =>
      transaction.put(first.environment.table(FORMAT_TABLE), FORMAT_KEY, Buffer.from('nestjs-lane-cache 99')),
    );
    await first.environment.close();
    await expect(bench.environment(path, { onMarkerLeft: 'probe' })).rejects.toMatchObject({
      code: 'FORMAT_UNSUPPORTED',
      message: expect.stringContaining('nestjs-lane-cache 99'),
    });
    expect(await markers(path)).toEqual(['closed']);
    const { report } = await bench.environment(path);
    expect(report.quarantines).toEqual([
      { directory: path, movedTo: expect.stringContaining('.bad-'), cause: expect.stringContaining('another format') },
    ]);
  });

  it('refuses an application table without a format', async () => {
    const path = await bench.path();
    const { environment } = await bench.environment(path);
    await environment.commit((transaction) => {
      transaction.put(environment.table('t'), 'k', Buffer.from('v'));
      transaction.remove(environment.table(FORMAT_TABLE), FORMAT_KEY);
    });
    await environment.close();
    await expect(bench.environment(path, { onMarkerLeft: 'probe' })).rejects.toMatchObject({
      code: 'FORMAT_UNSUPPORTED',
    });
  });

  it('does not open what is still being closed, in the time it was given or later', async () => {
    const path = await bench.path();
    await (await bench.environment(path)).environment.close();
    const opened = new OpenDirectories();
    const { environment } = await bench.environment(path, { opened, deadlineMs: 0 });
    expect(opened.isEmpty).toBe(false);
    const closing = environment.close();
    await expect(bench.environment(path, { opened })).rejects.toMatchObject({ kind: 'deadline' });
    await closing;
    await opened.none();
    const again = await bench.environment(path, { opened });
    expect(again.report.quarantines).toEqual([]);
  });

  it('does not start a fresh file on a full disk', async () => {
    const path = await bench.path();
    const opening = bench.environment(path, { minFreeBytes: Number.MAX_SAFE_INTEGER });
    await expect(opening).rejects.toMatchObject({ kind: 'disk-full' });
    expect(await readdir(path)).toEqual([]);
  });
});

describe('a quarantine', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('keeps apart what was set aside in the same millisecond, and is cleared after seven days', async () => {
    const [path, clock] = [await bench.path('l3'), new FakeClock()];
    for (let n = 0; n < 2; n++) {
      await mkdir(path);
      await quarantine(path, clock);
    }
    await mkdir(`${path}.bad-of-mine`);
    await mkdir(join(dirname(path), 'checkpoints.bad-2026-01-01T00-00-00-000Z'));
    const found = await quarantinesOf(path);
    expect(found.map(({ since }) => since)).toEqual([clock.now(), clock.now()]);
    clock.step(7 * 86_400_000);
    expect(await removeOldQuarantines(path, clock)).toBe(0);
    clock.step(1);
    expect(await removeOldQuarantines(path, clock)).toBe(2);
    expect(await readdir(dirname(path))).toEqual(['checkpoints.bad-2026-01-01T00-00-00-000Z', 'l3.bad-of-mine']);
  });

  it('fails as storage does when there is nothing to set aside', async () => {
    await expect(quarantine(await bench.path(), new FakeClock())).rejects.toMatchObject({ kind: 'gone' });
  });
});

describe('notes of missed invalidations', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('are found, and only those that were found are forgotten', async () => {
    const root = dirname(await bench.path());
    expect(await missedNotes(root)).toEqual([]);
    await Promise.all([noteMissed(root), noteMissed(root)]);
    const found = await missedNotes(root);
    expect(found).toHaveLength(2);
    const later = await noteMissed(root);
    await forgetMissed(root, found);
    expect(await missedNotes(root)).toEqual([later]);
  });

  it('reject when they cannot be made', async () => {
    await expect(noteMissed(await bench.path('nowhere'))).rejects.toMatchObject({ kind: 'gone' });
  });
});

describe('toFault', () => {
  it.each([
    [coded('ENOSPC'), 'disk-full'],
    [coded(28), 'disk-full'],
    [coded('EDQUOT'), 'disk-full'],
    [coded('EROFS'), 'read-only'],
    [coded(13), 'not-permitted'],
    [coded('ENOENT'), 'gone'],
    [coded(5), 'io'],
    [coded('EMFILE'), 'io'],
    [coded(-30796), 'damaged'],
    [coded(-30790), 'io'],
    [new Error('MDB_PAGE_NOTFOUND: Requested page not found'), 'damaged'],
    ['whatever', 'io'],
  ])('classifies %p as %s', (error, kind) => {
    const fault = toFault(error, 'testing');
    expect(fault).toMatchObject({ kind, message: expect.stringContaining('testing'), cause: error });
  });

  it('leaves a fault as it is', () => {
    const fault = new StorageFault('deadline', 'late');
    expect(toFault(fault, 'testing')).toBe(fault);
  });
});
