import { lstat, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { randomId } from '../clock/random.js';
import { isErrno, toFault } from './environment.js';
import { syncDirectory } from './sync-directory.js';

const MISSED_PREFIX = 'missed-';

/**
 * Notes, durably, that a process which does not own the persistent tier invalidated something that the tier did not
 * learn of. Whoever opens the tier and finds a note must void it first, then delete the note. Throws `StorageFault`.
 */
export const noteMissed = async (root: string): Promise<string> => {
  const path = join(root, `${MISSED_PREFIX}${randomId()}`);
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await syncDirectory(root);
    return path;
  } catch (error) {
    throw toFault(error, `noting a missed invalidation in ${root}`);
  }
};

/** The notes that lie in `root`. Throws `StorageFault`: not knowing must not be taken for none. */
export const missedNotes = async (root: string): Promise<readonly string[]> => {
  try {
    return (await readdir(root)).filter((name) => name.startsWith(MISSED_PREFIX)).map((name) => join(root, name));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw toFault(error, `looking for missed invalidations in ${root}`);
  }
};

/** Deletes exactly the notes that were found, not those made since; durably. */
export const forgetMissed = async (root: string, notes: readonly string[]): Promise<void> => {
  try {
    for (const note of notes) await rm(note, { force: true });
    if (notes.length > 0) await syncDirectory(root);
  } catch (error) {
    throw toFault(error, `forgetting missed invalidations in ${root}`);
  }
};

const isAbsent = async (path: string): Promise<boolean> => {
  try {
    await lstat(path);
    return false;
  } catch (error) {
    return isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR');
  }
};

/** The note of one process: made before its first invalidation counts, and anew whenever an owner has taken it. */
export class MissedNote {
  private path: string | undefined;
  private making: Promise<void> = Promise.resolve();
  private next: Promise<void> | undefined;

  /** `persistent`: where the persistent tier lies; what is not there cannot have missed anything. */
  constructor(
    private readonly root: string,
    private readonly persistent: string,
  ) {}

  /** Resolves when a note lies there durably. Rejects with `StorageFault`. One look serves all who asked before it. */
  ensure(): Promise<void> {
    this.next ??= this.making.then(() => {
      this.next = undefined;
      const made = this.make();
      this.making = made.catch(() => undefined);
      return made;
    });
    return this.next;
  }

  /** Resolves when all that was asked for so far has been made or has failed. */
  async made(): Promise<void> {
    await this.next?.catch(() => undefined);
    await this.making;
  }

  private async make(): Promise<void> {
    if (await isAbsent(this.persistent)) return;
    if (this.path !== undefined && (await missedNotes(this.root)).includes(this.path)) return;
    this.path = await noteMissed(this.root);
  }
}
