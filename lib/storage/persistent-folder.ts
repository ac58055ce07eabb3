import { CacheFolder, type CacheFolderOptions } from './cache-folder.js';
import type { Environment, StorageReporter } from './environment.js';
import { forgetMissed, missedNotes } from './missed.js';

export interface PersistentFolderOptions extends Omit<CacheFolderOptions, 'durability'> {
  /** Where processes leave their notes of missed invalidations. */
  readonly root: string;
  /** Asked before anything is opened or renamed; rejects with `StorageFault` if the folder is not this process's any more. */
  readonly entitled: () => Promise<void>;
}

/** The folder of entries that outlive the process. What other processes invalidated meanwhile voids it before it is opened. */
export class PersistentFolder {
  private readonly folder: CacheFolder;

  constructor(private readonly options: PersistentFolderOptions) {
    const { directory, clock, minFreeBytes, deadlineMs, opened } = options;
    this.folder = new CacheFolder({ directory, clock, minFreeBytes, deadlineMs, opened, durability: 'durable' });
  }

  /** Throws `StorageFault`. */
  async open(report: StorageReporter): Promise<Environment> {
    const { entitled, root } = this.options;
    await entitled();
    const notes = await missedNotes(root);
    if (notes.length > 0) await this.folder.discard();
    await forgetMissed(root, notes);
    return this.folder.open(report);
  }

  /** See `CacheFolder`. */
  async discard(): Promise<void> {
    await this.options.entitled();
    await this.folder.discard();
  }
}
