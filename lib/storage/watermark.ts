import { statfsSync } from 'node:fs';
import { StorageFault, toFault } from './environment.js';

export const MEGABYTE = 1024 * 1024;
const DEFAULT_MOST = 256 * MEGABYTE;
const DEFAULT_SHARE = 0.05;
/** What is always left, so that removing, which writes as well, is possible when nothing else is. */
const LEAST = MEGABYTE;

interface Volume {
  readonly free: number;
  readonly size: number;
}

/**
 * Stops writes while the volume could still take them: a write that meets a full disk can abort the process from
 * within LMDB, where nothing can catch it. Asks the volume each time, which takes about 3 us.
 */
export class Watermark {
  /** `minFreeBytes` undefined: 256 MB or 5 % of the volume, whichever is smaller; never less than 1 MB. */
  constructor(
    private readonly directory: string,
    private readonly minFreeBytes: number | undefined,
  ) {}

  /**
   * Throws `StorageFault` `disk-full` if writing `bytes` would leave less free than the watermark. Below it, what fits
   * into the `spare` bytes within the file may still be written, for the file need not grow.
   */
  requireRoom(bytes: number, spare: () => number): void {
    const volume = this.volume();
    if (volume.free >= this.reserve(volume) + bytes) return;
    if (volume.free < bytes || spare() < bytes) this.refuse(volume, this.reserve(volume) + bytes);
  }

  /** As `requireRoom`, for what makes room: it may use up the reserve. */
  requireRoomToRemove(bytes: number): void {
    const volume = this.volume();
    if (volume.free < bytes) this.refuse(volume, bytes);
  }

  /** Whether writing `bytes` would leave more free than the watermark. */
  hasRoom(bytes: number): boolean {
    const volume = this.volume();
    return volume.free >= this.reserve(volume) + bytes;
  }

  /** Whether the volume could not have taken `bytes`. */
  isFullFor(bytes: number): boolean {
    return this.volume().free < bytes;
  }

  private refuse({ free }: Volume, wanted: number): never {
    throw new StorageFault('disk-full', `${this.directory} has ${free} bytes free; this write wants ${wanted}`);
  }

  private reserve({ size }: Volume): number {
    return Math.max(LEAST, this.minFreeBytes ?? Math.min(DEFAULT_MOST, size * DEFAULT_SHARE));
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
