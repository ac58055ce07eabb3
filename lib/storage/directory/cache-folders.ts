import { rm } from 'node:fs/promises';
import type { Clock } from '../../clock/clock.js';
import { copyPlace } from '../lmdb/lmdb-environment.js';
import { type Durability, type Environment, isErrno, type StorageReporter } from '../environment.js';
import { type OpenDirectories, openEnvironment } from '../lmdb/open-environment.js';
import { discard, removeDiscarded } from '../files/quarantine.js';
import { forgetMissed, missedNotes } from './pending-invalidations.js';

interface CacheFolderOptions {
  readonly directory: string;
  readonly durability: Durability;
  readonly clock: Clock;
  /** Default: 256 MB or 5 % of the volume, whichever is smaller. */
  readonly minFreeBytes?: number | undefined;
  readonly deadlineMs: number;
  readonly opened?: OpenDirectories | undefined;
  /** See `OpenEnvironmentOptions`. */
  readonly requireOwnership?: (() => Promise<void>) | undefined;
}

/** A folder of cached entries. It may be lost at any time, but must never come back once it was discarded. */
export class CacheFolder {
  constructor(private readonly options: CacheFolderOptions) {}

  get directory(): string {
    return this.options.directory;
  }

  /** Throws `StorageFault`. */
  async open(report: StorageReporter): Promise<Environment> {
    await removeDiscarded(this.options.directory);
    await rm(copyPlace(this.options.directory), { recursive: true, force: true }).catch(() => undefined);
    return openEnvironment({ ...this.options, report, onMarkerLeft: 'quarantine' });
  }

  /** Renames the folder away durably, which works on a full disk too, and deletes it. It must not be open. Throws `StorageFault`. */
  async discard(): Promise<void> {
    try {
      await discard(this.options.directory, this.options.clock);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    this.options.opened?.delete(this.options.directory);
  }
}

function isMissing(error: unknown): boolean {
  return isErrno(error, 'ENOENT') || (error instanceof Error && isErrno(error.cause, 'ENOENT'));
}

interface PersistentFolderOptions extends Omit<CacheFolderOptions, 'durability'> {
  /** Where processes leave their notes of missed invalidations. */
  readonly root: string;
  /** Asked before anything is opened or renamed; rejects with `StorageFault` if the folder is not this process's any more. */
  readonly requireOwnership: () => Promise<void>;
}

/** The folder of entries that outlive the process. It is emptied before it is opened if it has missed invalidations. */
export class PersistentFolder {
  private readonly folder: CacheFolder;

  constructor(private readonly options: PersistentFolderOptions) {
    const { directory, clock, minFreeBytes, deadlineMs, opened, requireOwnership } = options;
    const settings = { directory, clock, minFreeBytes, deadlineMs, opened, requireOwnership };
    this.folder = new CacheFolder({ ...settings, durability: 'durable' });
  }

  /** Throws `StorageFault`. */
  async open(report: StorageReporter): Promise<Environment> {
    const { requireOwnership, root } = this.options;
    await requireOwnership();
    const notes = await missedNotes(root);
    if (notes.length > 0) await this.folder.discard();
    await forgetMissed(root, notes);
    return this.folder.open(report);
  }

  /** See `CacheFolder`. */
  async discard(): Promise<void> {
    await this.options.requireOwnership();
    await this.folder.discard();
  }
}
