import { closeSync, fchmodSync, openSync, statSync, write } from 'node:fs';
import { promisify } from 'node:util';
import { StorageFault, toFault } from './environment.js';
import type { NativeRoot } from './native-lmdb.js';
import { usedEnd } from './page-use.js';
import { MEGABYTE, type Watermark } from './watermark.js';

const FILE_MODE = 0o600;
const writeTo = promisify(write);

/**
 * Space behind the last page of a data file, taken from the volume before LMDB writes into it.
 *
 * A write that fails within LMDB, on a full disk or one that has turned read-only, corrupts the memory of the process.
 * Space that the file has already cannot be taken by anybody else between a check and the write, so a write that needs
 * more than there is, or whose volume takes no changes, fails here, where it can be caught. On file systems that copy what is overwritten (btrfs, snapshots) the space is a likelihood, not a promise.
 *
 * Call it only while LMDB is not writing: it measures the end of the file, and writes behind it.
 */
export class Headroom {
  private left = 0;
  private file: number | undefined;
  private zeros: Buffer | undefined;

  constructor(
    private readonly root: NativeRoot,
    private readonly dataFile: string,
    private readonly watermark: Watermark,
  ) {}

  /** Whether the file can take `bytes` more without growing. */
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
      await this.grow(bytes - this.left + (this.watermark.hasRoom(bytes + MEGABYTE) ? MEGABYTE : 0));
    } catch (error) {
      if (this.has(bytes)) return;
      throw toFault(error, `growing ${this.dataFile}`);
    }
    if (!this.has(bytes)) throw new StorageFault('io', `${this.dataFile} did not grow as it was told to`);
  }

  close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
  }

  private takesChanges(): boolean {
    try {
      this.requireChangeable();
      return true;
    } catch {
      return false;
    }
  }

  /** Changes what is no content, and need not be synced: the rights, to what they are. Throws what the system says. */
  private requireChangeable(): void {
    fchmodSync(this.descriptor(), FILE_MODE);
  }

  private descriptor(): number {
    return (this.file ??= openSync(this.dataFile, 'r+'));
  }

  private async grow(bytes: number): Promise<void> {
    const file = this.descriptor();
    const zeros = (this.zeros ??= Buffer.alloc(MEGABYTE));
    let at = this.size();
    const end = at + bytes;
    while (at < end) {
      const { bytesWritten } = await writeTo(file, zeros, 0, Math.min(MEGABYTE, end - at), at);
      at += bytesWritten;
    }
  }

  private size(): number {
    return statSync(this.dataFile, { throwIfNoEntry: false })?.size ?? 0;
  }
}
