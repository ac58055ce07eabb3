import { statfsSync } from 'node:fs';
import { StorageFault } from './environment.js';
import { toFault } from './faults.js';

const MEGABYTE = 1024 * 1024;
const DEFAULT_MOST = 256 * MEGABYTE;
const DEFAULT_SHARE = 0.05;

/** A transaction writes the pages it changes anew, and the old ones are free only after it. */
const COPY_ON_WRITE = 2;

/**
 * Stops writes while the volume could still take them: a write that meets a full disk can abort the process from
 * within LMDB, where nothing can catch it.
 */
export class Watermark {
  /** `minFreeBytes` undefined: 256 MB or 5 % of the volume, whichever is smaller. */
  constructor(
    private readonly directory: string,
    private readonly minFreeBytes: number | undefined,
  ) {}

  /** Throws `StorageFault` `disk-full` if writing `bytes` would leave less free than the watermark. Asks the volume: about 3 us. */
  require(bytes: number): void {
    const volume = this.volume();
    const wanted = this.reserve(volume.size) + bytes * COPY_ON_WRITE;
    if (volume.free >= wanted) return;
    throw new StorageFault(
      'disk-full',
      `${this.directory} has ${volume.free} bytes free; ${wanted} are wanted before writing ${bytes} bytes`,
    );
  }

  /** Whether the volume could not have taken `bytes`, the watermark aside. */
  isFullFor(bytes: number): boolean {
    return this.volume().free < bytes * COPY_ON_WRITE + MEGABYTE / 4;
  }

  private reserve(size: number): number {
    return this.minFreeBytes ?? Math.min(DEFAULT_MOST, size * DEFAULT_SHARE);
  }

  private volume(): { readonly free: number; readonly size: number } {
    try {
      const { bavail, blocks, bsize } = statfsSync(this.directory);
      return { free: bavail * bsize, size: blocks * bsize };
    } catch (error) {
      throw toFault(error, `asking for free space of ${this.directory}`);
    }
  }
}
