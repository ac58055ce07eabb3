import { beforeAll, describe, expect, it, jest } from '@jest/globals';
import * as files from 'node:fs';
import type { FreeSpaceLimit } from '../../../../lib/storage/lmdb/free-space.js';

const MB = 1024 * 1024;
const GB = 1024 * MB;
const nothing = (): number => 0;

describe('the free space below which nothing is written', () => {
  const volume = { free: 0, size: 0 };
  let make: (minFreeBytes?: number) => FreeSpaceLimit;

  beforeAll(async () => {
    const statfsSync = () => ({ bavail: volume.free, blocks: volume.size, bsize: 1 });
    jest.unstable_mockModule('node:fs', () => ({ ...files, statfsSync }));
    const { FreeSpaceLimit: Made } = await import('../../../../lib/storage/lmdb/free-space.js');
    make = (minFreeBytes) => new Made('/somewhere', minFreeBytes);
  });

  const refuses = (write: () => void): boolean => {
    try {
      write();
      return false;
    } catch (error) {
      expect(error).toMatchObject({ kind: 'disk-full' });
      return true;
    }
  };

  it.each([
    ['5 % of a small volume', 1 * GB, undefined, 0.05 * GB],
    ['256 MB of a large one', 1000 * GB, undefined, 256 * MB],
    ['1 MB of a tiny one', 8 * MB, undefined, MB],
    ['what the options say', 1000 * GB, 5 * GB, 5 * GB],
    ['1 MB where they say less', 1000 * GB, 0, MB],
  ])('is %s, and must be left by a write', (_, size, minFreeBytes, reserve) => {
    const limit = make(minFreeBytes);
    volume.size = size;
    volume.free = Math.ceil(reserve) + 1_000;
    expect([999, 1_000, 1_001].map((bytes) => refuses(() => limit.requireRoom(bytes, nothing)))).toEqual([
      false,
      false,
      true,
    ]);
    expect([1_000, 1_001].map((bytes) => limit.hasRoom(bytes))).toEqual([true, false]);
  });

  it('may be gone below for what fits into the file, and by removals, as long as the volume could take it', () => {
    const limit = make(GB);
    volume.size = 10 * GB;
    volume.free = 2_000;
    expect(refuses(() => limit.requireRoom(1_000, () => 999))).toBe(true);
    expect(refuses(() => limit.requireRoom(1_000, () => 1_000))).toBe(false);
    expect(refuses(() => limit.requireRoom(2_001, () => GB))).toBe(true);
    expect([2_000, 2_001].map((bytes) => refuses(() => limit.requireRoomToRemove(bytes)))).toEqual([false, true]);
    expect([2_000, 2_001].map((bytes) => limit.isFullFor(bytes))).toEqual([false, true]);
  });
});
