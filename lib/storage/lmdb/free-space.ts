import { closeSync, fchmodSync, openSync, statSync, write, statfsSync } from 'node:fs';
import { promisify } from 'node:util';
import { bytesText } from '../../texts/amounts.js';
import { StorageFault, toFault } from '../environment.js';
import type { NativeRoot, NativeTable } from './lmdb-table.js';

const FILE_MODE = 0o600;
const writeTo = promisify(write);

/**
 * Space behind the last page of a data file, taken from the volume before LMDB writes into it.
 *
 * A write that fails within LMDB, on a full disk or one that has turned read-only, corrupts the memory of the process.
 * Space that the file has already cannot be taken by others between a check and the write. So a write that needs more space
 * than there is, or whose volume is read-only, fails here, where it can be caught. On copy-on-write file systems (btrfs,
 * snapshots) the space is likely, not certain.
 *
 * Call it only while LMDB is not writing: it measures the end of the file, and writes after it.
 */
export class PreallocatedSpace {
  private left = 0;
  private file: number | undefined;
  private zeros: Buffer | undefined;
  private isClosed = false;
  /** Ends when nothing is being written to the file. */
  private growing: Promise<void> = Promise.resolve();

  constructor(
    private readonly root: NativeRoot,
    private readonly dataFile: string,
    private readonly freeSpaceLimit: FreeSpaceLimit,
  ) {}

  /** Whether `bytes` more fit into the file without growing it. */
  has(bytes: number): boolean {
    if (this.left < bytes) this.left = this.size() - usedEnd(this.root);
    return this.left >= bytes && this.takesChanges();
  }

  /** A batch may have used so much of it. */
  spend(bytes: number): void {
    this.left -= bytes;
  }

  /** Takes room for `bytes` from the volume, and a little more where there is plenty. Throws `StorageFault`. */
  async make(bytes: number): Promise<void> {
    if (this.has(bytes)) return;
    try {
      this.requireChangeable();
      const grown = this.grow(bytes - this.left + (this.freeSpaceLimit.hasRoom(bytes + MEGABYTE) ? MEGABYTE : 0));
      this.growing = grown.catch(() => undefined);
      await grown;
    } catch (error) {
      if (this.has(bytes)) return;
      throw toFault(error, `growing ${this.dataFile}`);
    }
    if (!this.has(bytes)) throw new StorageFault('io', `${this.dataFile} did not grow as requested`);
  }

  /** Closes the file once nothing is being written to it. Its descriptor may be another file's right after that. */
  close(): void {
    this.isClosed = true;
    void this.growing.then(() => {
      if (this.file !== undefined) closeSync(this.file);
      this.file = undefined;
    });
  }

  private takesChanges(): boolean {
    try {
      this.requireChangeable();
      return true;
    } catch {
      return false;
    }
  }

  /** Sets the file's rights to what they are, which shows whether the volume takes changes. Throws the system's error. */
  private requireChangeable(): void {
    fchmodSync(this.descriptor(), FILE_MODE);
  }

  private descriptor(): number {
    if (this.isClosed) throw new StorageFault('closed', `${this.dataFile} is closed`);
    return (this.file ??= openSync(this.dataFile, 'r+'));
  }

  private async grow(bytes: number): Promise<void> {
    const zeros = (this.zeros ??= Buffer.alloc(MEGABYTE));
    let at = this.size();
    const end = at + bytes;
    while (at < end) {
      const { bytesWritten } = await writeTo(this.descriptor(), zeros, 0, Math.min(MEGABYTE, end - at), at);
      at += bytesWritten;
    }
  }

  private size(): number {
    return statSync(this.dataFile, { throwIfNoEntry: false })?.size ?? 0;
  }
}

export const MEGABYTE = 1024 * 1024;
/** What stays free on a volume of that size, if the app does not say. */
export const defaultReserve = (volumeBytes: number): number => Math.min(256 * MEGABYTE, volumeBytes * 0.05);

/** A reserve for removals, which write as well: they must be possible on a full disk. */
const LEAST = MEGABYTE;

interface Volume {
  readonly free: number;
  readonly size: number;
}

/**
 * Stops writes before the volume is full: a write on a full disk can abort the process within LMDB, where it cannot be
 * caught. It asks the volume at each write, which takes about 3 us.
 */
export class FreeSpaceLimit {
  /** `minFreeBytes` undefined: 256 MB or 5 % of the volume, whichever is smaller; never less than 1 MB. */
  constructor(
    private readonly directory: string,
    private readonly minFreeBytes: number | undefined,
  ) {}

  /**
   * Throws `StorageFault` `disk-full` if writing `bytes` would leave less free space than the limit. Below the limit, a
   * write that fits into the `spare` bytes within the file is allowed, because the file need not grow.
   */
  requireRoom(bytes: number, spare = (): number => 0): void {
    const volume = this.volume();
    if (volume.free >= this.reserve(volume) + bytes) return;
    if (volume.free < bytes || spare() < bytes) this.refuse(volume, this.reserve(volume) + bytes);
  }

  /** Like `requireRoom`, for removals: they may use the reserve. */
  requireRoomToRemove(bytes: number): void {
    const volume = this.volume();
    if (volume.free < bytes) this.refuse(volume, bytes);
  }

  /** Whether writing `bytes` would leave as much free space as the limit asks for. */
  hasRoom(bytes: number): boolean {
    const volume = this.volume();
    return volume.free >= this.reserve(volume) + bytes;
  }

  /** Whether the volume could not have taken `bytes`. */
  isFullFor(bytes: number): boolean {
    return this.volume().free < bytes;
  }

  private refuse({ free }: Volume, wanted: number): never {
    throw new StorageFault(
      'disk-full',
      `${this.directory} has ${bytesText(free)} free, and a write needs ${bytesText(wanted)}`,
    );
  }

  private reserve({ size }: Volume): number {
    return Math.max(LEAST, this.minFreeBytes ?? defaultReserve(size));
  }

  private volume(): Volume {
    try {
      const { bavail, blocks, bsize } = statfsSync(this.directory);
      return { free: bavail * bsize, size: blocks * bsize };
    } catch (error) {
      throw toFault(error, `asking for the free space of ${this.directory}`);
    }
  }
}

const META_PAGES = 2;

/** lmdb-js declares that there are statistics, but not which. */
const statOf = (stats: object, name: string): unknown => Reflect.get(stats, name);

const numberOf = (stats: object, name: string): number => {
  const value = statOf(stats, name);
  if (typeof value !== 'number') throw new TypeError(`lmdb says nothing about ${name}.`);
  return value;
};

const pagesOf = (tree: unknown): number => {
  if (typeof tree !== 'object' || tree === null) throw new TypeError('lmdb says nothing about its pages.');
  return numberOf(tree, 'treeBranchPageCount') + numberOf(tree, 'treeLeafPageCount') + numberOf(tree, 'overflowPages');
};

/**
 * Bytes of the pages of the data file that no table, no list and no meta page uses. LMDB uses them before the file grows.
 * `tables` must be all tables.
 */
export const freePageBytes = (root: NativeRoot, tables: Iterable<NativeTable>): number => {
  const stats = root.getStats();
  let used = META_PAGES + pagesOf(statOf(stats, 'root')) + pagesOf(statOf(stats, 'free'));
  for (const table of tables) used += pagesOf(table.getStats());
  return Math.max(0, numberOf(stats, 'lastPageNumber') + 1 - used) * numberOf(stats, 'pageSize');
};

/** Where the last page ends that LMDB has ever used: behind it, the file is not used yet. */
export const usedEnd = (root: NativeRoot): number => {
  const stats = root.getStats();
  return (numberOf(stats, 'lastPageNumber') + 1) * numberOf(stats, 'pageSize');
};
