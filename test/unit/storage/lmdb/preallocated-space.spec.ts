import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import * as files from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PreallocatedSpace } from '../../../../lib/storage/lmdb/free-space.js';
import type { NativeRoot } from '../../../../lib/storage/lmdb/lmdb-table.js';

const PAGE = 4_096;

describe('the room behind the last page of a data file', () => {
  const directory = files.mkdtempSync(join(tmpdir(), 'lane-cache-'));
  const volume = { isReadOnly: false };
  let make: (pages: number) => { readonly room: PreallocatedSpace; readonly bytes: () => number };

  beforeAll(async () => {
    const fchmodSync = (...args: Parameters<typeof files.fchmodSync>): void => {
      if (volume.isReadOnly) throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
      files.fchmodSync(...args);
    };
    jest.unstable_mockModule('node:fs', () => ({ ...files, fchmodSync }));
    const { PreallocatedSpace: Made } = await import('../../../../lib/storage/lmdb/free-space.js');
    const { FreeSpaceLimit } = await import('../../../../lib/storage/lmdb/free-space.js');
    make = (pages) => {
      const path = join(directory, `${pages}.mdb`);
      files.writeFileSync(path, Buffer.alloc(pages * PAGE));
      const getStats = () => ({ lastPageNumber: 1, pageSize: PAGE });
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- all that it is asked for
      const room = new Made({ getStats } as unknown as NativeRoot, path, new FreeSpaceLimit(path, 0));
      return { room, bytes: () => files.statSync(path).size };
    };
  });
  afterAll(() => files.rmSync(directory, { recursive: true }));

  it('is what the file has and LMDB has not used yet, less what was spent of it', () => {
    const { room } = make(6);
    expect([room.has(4 * PAGE), room.has(4 * PAGE + 1)]).toEqual([true, false]);
    room.spend(3 * PAGE);
    expect(room.has(PAGE)).toBe(true);
    room.close();
  });

  it('is made by letting the file grow', async () => {
    const { room, bytes } = make(2);
    await room.make(10 * PAGE);
    expect(bytes()).toBeGreaterThanOrEqual(12 * PAGE);
    expect(room.has(10 * PAGE)).toBe(true);
    room.close();
  });

  it('is none, however much there is, where the volume takes no changes', async () => {
    const { room, bytes } = make(6);
    volume.isReadOnly = true;
    expect(room.has(PAGE)).toBe(false);
    await expect(room.make(PAGE)).rejects.toMatchObject({ kind: 'read-only' });
    expect(bytes()).toBe(6 * PAGE);
    volume.isReadOnly = false;
    expect(room.has(PAGE)).toBe(true);
    room.close();
  });

  it('is not made in the file that gets the descriptor of a data file which is closed meanwhile', async () => {
    const { room, bytes } = make(3);
    const making = room.make(5_000 * PAGE);
    room.close();
    const path = join(directory, 'another');
    const others = [1, 2, 3].map((n) => files.openSync(`${path}.${n}`, 'w+'));
    await expect(making).rejects.toMatchObject({ kind: 'closed' });
    expect(others.map((file) => files.fstatSync(file).size)).toEqual([0, 0, 0]);
    expect(bytes()).toBeLessThan(5_000 * PAGE);
    others.push(files.openSync(`${path}.4`, 'w+'));
    expect(room.has(PAGE)).toBe(false);
    for (const file of others) files.closeSync(file);
  });
});
