import { statSync } from 'node:fs';
import { join } from 'node:path';
import { StorageFault } from './environment.js';
import { toFault } from './faults.js';

/** The file that LMDB has open, which others may remove or replace under it. */
export class DataFile {
  readonly path: string;
  private readonly inode: number;

  constructor(directory: string) {
    this.path = join(directory, 'data.mdb');
    this.inode = statSync(this.path).ino;
  }

  bytes(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** LMDB goes on writing, and acknowledging, into a file that has no name any more. Throws `StorageFault` if it has none. */
  requirePlace(): void {
    let inode: number | undefined;
    try {
      inode = statSync(this.path, { throwIfNoEntry: false })?.ino;
    } catch (error) {
      throw toFault(error, `looking for ${this.path}`);
    }
    if (inode === this.inode) return;
    throw new StorageFault('gone', `${this.path} was removed or replaced while it was in use`);
  }
}
