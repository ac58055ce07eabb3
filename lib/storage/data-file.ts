import { statSync } from 'node:fs';
import { join } from 'node:path';
import { StorageFault, toFault } from './environment.js';

/** The file that LMDB has open, which others may remove or replace under it. */
export class DataFile {
  readonly path: string;
  private readonly identity: string;

  constructor(directory: string) {
    this.path = join(directory, 'data.mdb');
    this.identity = identityOf(statSync(this.path));
  }

  bytes(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Whether the file of that name is still the one that LMDB has open. */
  get isInPlace(): boolean {
    try {
      this.requirePlace();
      return true;
    } catch {
      return false;
    }
  }

  /** LMDB goes on writing, and acknowledging, into a file that has no name any more. Throws `StorageFault` if it has none. */
  requirePlace(): void {
    let found;
    try {
      found = statSync(this.path, { throwIfNoEntry: false });
    } catch (error) {
      throw toFault(error, `looking for ${this.path}`);
    }
    if (found !== undefined && identityOf(found) === this.identity) return;
    throw new StorageFault('gone', `${this.path} was removed or replaced while it was in use`);
  }
}

/** The volume counts: one that was mounted anew has the same files. */
const identityOf = ({ dev, ino }: { readonly dev: number; readonly ino: number }): string => `${dev} ${ino}`;
