import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { TierOffReason } from '../events/reasons.js';
import { StorageFault } from '../storage/environment.js';
import { CLOSED, type CheckpointStore, type CheckpointStoreState, type CheckpointUsage } from './checkpoint-store.js';

/** The usage where no store can be read. */
export const NO_USAGE: CheckpointUsage = { total: { ids: 0, versions: 0, bytes: 0 }, lanes: {} };

/** Stands for a store that is off. Every call rejects with the reason and the remedy; `state` and `usage` do not fail. */
export class UnavailableCheckpointStore implements CheckpointStore {
  private current: CheckpointStoreState;

  /**
   * `detail` completes the sentence "Checkpoints are not available: …" and names the remedy. `stop` ends the attempts to get
   * another store in its place, if there are any.
   */
  constructor(
    reason: TierOffReason,
    private readonly detail: string,
    private readonly stop?: () => Promise<void>,
  ) {
    this.current = { state: 'off', reason, detail };
  }

  get state(): CheckpointStoreState {
    return this.current;
  }

  readonly save = (): Promise<never> => this.refuse();
  readonly read = (): Promise<never> => this.refuse();
  readonly versions = (): Promise<never> => this.refuse();
  readonly history = (): Promise<never> => this.refuse();
  readonly list = (): Promise<never> => this.refuse();
  readonly remove = (): Promise<never> => this.refuse();
  readonly mark = (): Promise<never> => this.refuse();
  readonly clean = (): Promise<never> => this.refuse();
  readonly begin = (): Promise<never> => this.refuse();
  readonly finish = (): Promise<never> => this.refuse();
  readonly invalidateWorkflow = (): Promise<never> => this.refuse();
  readonly lease = (): Promise<never> => this.refuse();

  usage(): Promise<CheckpointUsage> {
    return Promise.resolve(NO_USAGE);
  }

  async close(): Promise<void> {
    if (this.stop === undefined) return;
    this.current = CLOSED;
    await this.stop();
  }

  private refuse(): Promise<never> {
    return Promise.reject(unavailable(this.detail));
  }
}

const REMEDIES: Readonly<Record<StorageFault['kind'], string>> = {
  'disk-full': 'Free space on the volume, or lower storage.minFreeBytes; the next call tries again.',
  io: 'Check the volume; the next call tries again.',
  deadline: 'The disk did not answer in time. The change may have been written: read before you repeat it.',
  damaged:
    'Intact checkpoints can still be restored. Nothing is written until the app is restarted. Keep a copy of the directory. If it happens again, restore a backup, or set checkpoints.directory to a new directory.',
  'read-only': 'Make the directory writable, or set checkpoints.directory to one that is.',
  'not-permitted': "Give the app's user the right to write there, or set checkpoints.directory.",
  gone: 'The library opens the directory again; the next call tries again.',
  closed: 'The app was closed.',
};

/** A fault of the disk as callers see it. Other errors stay as they are. */
export const asUnavailable = (error: unknown): unknown =>
  error instanceof StorageFault ? unavailable(`${error.message}. ${REMEDIES[error.kind]}`, error) : error;

/** `detail` completes the sentence "Checkpoints are not available: …". */
export const unavailable = (detail: string, cause?: unknown): LaneCacheError =>
  new LaneCacheError('CHECKPOINTS_UNAVAILABLE', `Checkpoints are not available: ${detail}`, { cause });
