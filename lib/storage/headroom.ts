import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { statSync } from 'node:fs';
import { StorageFault } from './environment.js';
import { toFault } from './faults.js';
import type { NativeRoot } from './native-lmdb.js';
import { usedEnd } from './page-use.js';
import type { Watermark } from './watermark.js';

const MEGABYTE = 1024 * 1024;

/**
 * Space behind the last page of a data file, taken from the volume before LMDB writes into it.
 *
 * A write that meets a full disk can abort the process from within LMDB. Space that the file has already cannot be taken
 * by anybody else between a check and the write, so a write that needs more than there is fails here, where it can be
 * caught. On file systems that copy what is overwritten (btrfs, snapshots) the space is a likelihood, not a promise.
 *
 * Call it only while LMDB is not writing: it measures the end of the file, and writes behind it.
 */
export class Headroom {
  private left = 0;
  private file: FileHandle | undefined;
  private zeros: Buffer | undefined;

  constructor(
    private readonly root: NativeRoot,
    private readonly dataFile: string,
    private readonly watermark: Watermark,
  ) {}

  /** Whether the file can take `bytes` more without growing. */
  has(bytes: number): boolean {
    if (this.left >= bytes) return true;
    this.left = this.size() - usedEnd(this.root);
    return this.left >= bytes;
  }

  /** A batch may have used so much of it. */
  spend(bytes: number): void {
    this.left -= bytes;
  }

  /** Takes room for `bytes` from the volume, and a little more where there is plenty. Throws `StorageFault`. */
  async make(bytes: number): Promise<void> {
    if (this.has(bytes)) return;
    try {
      await this.grow(bytes - this.left + (this.watermark.hasRoom(bytes + MEGABYTE) ? MEGABYTE : 0));
    } catch (error) {
      if (this.has(bytes)) return;
      throw toFault(error, `growing ${this.dataFile}`);
    }
    if (!this.has(bytes)) throw new StorageFault('io', `${this.dataFile} did not grow as it was told to`);
  }

  async close(): Promise<void> {
    await this.file?.close();
    this.file = undefined;
  }

  private async grow(bytes: number): Promise<void> {
    const file = (this.file ??= await open(this.dataFile, 'r+'));
    const zeros = (this.zeros ??= Buffer.alloc(MEGABYTE));
    let at = this.size();
    const end = at + bytes;
    while (at < end) {
      const { bytesWritten } = await file.write(zeros, 0, Math.min(MEGABYTE, end - at), at);
      at += bytesWritten;
    }
  }

  private size(): number {
    return statSync(this.dataFile, { throwIfNoEntry: false })?.size ?? 0;
  }
}
