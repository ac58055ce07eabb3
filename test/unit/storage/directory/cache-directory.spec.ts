import { afterEach, describe, expect, it } from '@jest/globals';
import { chmod, chown, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LaneCacheDirectory } from '../../../../lib/storage/directory/cache-directory.js';
import { networkFileSystem } from '../../../../lib/storage/files/private-directory.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { FakeLiveness } from '../../../support/fake-liveness.js';
import { StorageBench } from '../../../support/storage.js';

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

const prepare = async (root: string, liveness = new FakeLiveness(), clock = new FakeClock()) =>
  LaneCacheDirectory.prepare({ root, liveness, clock });

describe('the directory of a lane cache', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('is private and hidden from git', async () => {
    const root = await bench.path('a/b/.lane-cache');
    const directory = await prepare(root);
    expect(await modeOf(root)).toBe(0o700);
    expect(await readFile(join(root, '.gitignore'), 'utf8')).toBe('*\n');
    expect(directory).toMatchObject({ l3: join(root, 'l3') });
    await chmod(root, 0o755);
    await prepare(root);
    expect(await modeOf(root)).toBe(0o700);
  });

  it('leaves a directory that holds something else as it is', async () => {
    const root = await bench.path();
    await mkdir(root, { mode: 0o755 });
    await writeFile(join(root, 'package.json'), '{}');
    await prepare(root);
    expect(await modeOf(root)).toBe(0o755);
    expect(await readdir(root)).toEqual(['package.json', 'sessions']);
    expect(await modeOf(join(root, 'sessions'))).toBe(0o700);
  });

  it('refuses a symbolic link, a file, and a shared directory that others may write into', async () => {
    const [real, link, file, shared] = await Promise.all([1, 2, 3, 4].map(() => bench.path()));
    await mkdir(real ?? '');
    await symlink(real ?? '', link ?? '');
    await writeFile(file ?? '', '');
    await mkdir(shared ?? '');
    await writeFile(join(shared ?? '', 'other'), '');
    await chmod(shared ?? '', 0o777);
    for (const [path, reason] of [
      [link, 'symbolic link'],
      [file, 'not a directory'],
      [shared, 'other users'],
    ] as const) {
      await expect(prepare(path ?? '')).rejects.toMatchObject({
        code: 'DIRECTORY_UNSUITABLE',
        message: expect.stringContaining(reason),
      });
    }
  });

  it('refuses a directory of another user', async () => {
    if (process.getuid?.() !== 0) return console.warn('Another user is not tried: only root may give something away.');
    const root = await bench.path();
    await mkdir(root);
    await chown(root, 65_534, 65_534);
    await expect(prepare(root)).rejects.toMatchObject({
      code: 'DIRECTORY_UNSUITABLE',
      message: expect.stringContaining('belongs to user 65534'),
    });
  });

  it.each([
    [0x6969, 'NFS'],
    [0xff534d42, 'CIFS'],
    [0xff534d42 | 0, 'CIFS'],
    [0x65735546, 'FUSE'],
    [0xef53, undefined],
    [0x01021994, undefined],
  ])('knows which file systems do not lie on this machine: %p', (type, name) => {
    expect(networkFileSystem(type)).toBe(name);
  });

  it('gives each process its own sessions, and removes those of ended processes', async () => {
    const liveness = new FakeLiveness();
    const directory = await prepare(await bench.path(), liveness);
    const own = { version: '1', server: undefined };
    const [a, b] = [await directory.openSession(own), await directory.openSession(own)];
    expect(a.directory).not.toBe(b.directory);
    expect(await modeOf(a.directory)).toBe(0o700);
    await Promise.all([a.remove(), a.remove()]);
    expect(await directory.removeDeadSessions()).toBe(0);
    liveness.end();
    expect(await directory.removeDeadSessions()).toBe(1);
    expect(await readdir(directory.sessions)).toEqual([]);
  });

  it('gives a session that is only being made a day', async () => {
    const clock = new FakeClock(Date.now());
    const directory = await prepare(await bench.path(), new FakeLiveness(), clock);
    await mkdir(join(directory.sessions, '12-0123456789ab'));
    expect(await directory.removeDeadSessions()).toBe(0);
    clock.step(25 * 3_600_000);
    expect(await directory.removeDeadSessions()).toBe(1);
  });
});
