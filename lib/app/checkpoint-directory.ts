import { relative } from 'node:path';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import { ReadFaults } from '../checkpoints/local/checkpoint-tables.js';
import { LocalCheckpointStore } from '../checkpoints/local/local-checkpoint-store.js';
import { UnavailableCheckpointStore } from '../checkpoints/unavailable-checkpoint-store.js';
import { Retry } from '../clock/retry.js';
import { isLaneCacheError } from '../errors/lane-cache.error.js';
import { socketLiveness } from '../ipc/socket.js';
import { acquireOwnership, type InUse } from '../storage/directory/owner-lock.js';
import { StorageFault, type StorageFaultKind } from '../storage/environment.js';
import { type OpenDirectories, openEnvironment } from '../storage/lmdb/open-environment.js';
import { FOLDER_RETRIES } from '../tiers/store-supervisor.js';
import { offReasonOf } from '../tiers/tier.js';
import type { DiskOptions } from './disk-port.js';

interface CheckpointPlace extends Pick<
  DiskOptions,
  'root' | 'checkpoints' | 'clock' | 'events' | 'minFreeBytes' | 'labelsOf' | 'deadlineMs'
> {
  readonly opened: OpenDirectories;
}

/** The right to open the folder of checkpoints. */
interface Claim {
  /** Rejects with `StorageFault` if another process owns the folder now. */
  readonly requireOwnership: () => Promise<void>;
  readonly release: () => Promise<void>;
}

const nothing = (): Promise<void> => Promise.resolve();

/**
 * The checkpoints of an app whose directory this process owns. While the folder cannot be used, because the disk is full
 * or the folder is gone, a store that is off replaces them, and the folder is opened again later. A folder outside the
 * directory is claimed first, because apps with other directories may use it too.
 */
export class CheckpointDirectory {
  private readonly retry: Retry;
  private isReportedOff = false;

  /** `requireOwnership` is the claim on the app's directory. `replace` gets every store but the first. */
  constructor(
    private readonly place: CheckpointPlace,
    private readonly requireOwnership: () => Promise<void>,
    private readonly replace: (store: CheckpointStore) => Promise<void>,
  ) {
    this.retry = new Retry(place.clock, FOLDER_RETRIES);
  }

  /** Throws LaneCacheError if the folder can never be used. */
  async open(): Promise<CheckpointStore> {
    const { checkpoints, root, clock } = this.place;
    if (checkpoints === false) return switchedOff();
    try {
      if (!relative(root, checkpoints).startsWith('..'))
        return await this.openFolder(checkpoints, { requireOwnership: this.requireOwnership, release: nothing });
      const claim = await acquireOwnership({ directory: `${checkpoints}.claims`, liveness: socketLiveness, clock });
      if (claim.state === 'in-use') return this.wait(checkpoints, claim);
      return await this.openFolder(checkpoints, { requireOwnership: nothing, release: () => claim.release() });
    } catch (error) {
      if (isLaneCacheError(error)) throw error;
      return this.useUnavailable(asStorageFault(error));
    }
  }

  /** As `open`, but a folder that cannot be used for any reason is tried again. Never rejects. */
  openOrRetry(): Promise<CheckpointStore> {
    return this.open().catch((error: unknown) => this.useUnavailable(asStorageFault(error)));
  }

  private async openFolder(directory: string, { requireOwnership, release }: Claim): Promise<CheckpointStore> {
    const { clock, minFreeBytes, deadlineMs, events, opened, labelsOf } = this.place;
    const faults = new ReadFaults();
    const report = {
      fault: (kind: StorageFaultKind, detail: string, error: unknown): void => faults.note(kind, detail, error),
      quarantined: (from: string, movedTo: string, cause: string): void =>
        events.emit('quarantine', { directory: from, movedTo, cause: `checkpoints: ${cause}` }),
    };
    const place = { directory, durability: 'durable', onMarkerLeft: 'probe' } as const;
    try {
      await requireOwnership();
      const limits = { clock, minFreeBytes, deadlineMs };
      const environment = await openEnvironment({ ...place, ...limits, report, opened, requireOwnership });
      const gone = (detail: string): void => this.onRemoved(store, detail);
      // an environment that hangs keeps the claim until it is closed
      const releaseOnceClosed = async (): Promise<void> => {
        const released = opened.closed(directory).then(release);
        if (opened.has(directory)) released.catch(() => undefined);
        else await released;
      };
      const settings = { clock, events, faults, labelsOf, gone };
      const store = new LocalCheckpointStore(environment, { ...settings, release: releaseOnceClosed });
      return store;
    } catch (error) {
      await release();
      throw error;
    }
  }

  private wait(checkpoints: string, claim: InUse): CheckpointStore {
    const stop = claim.whenFree((owned) => {
      const own: Claim = { requireOwnership: nothing, release: () => owned.release() };
      void this.renew(() => this.openFolder(checkpoints, own));
    });
    const detail = `'${checkpoints}' belongs to process ${claim.first.pid}, whose app has another directory. Give both apps the same 'directory' to share checkpoints, or one of them another 'checkpoints.directory'.`;
    return new UnavailableCheckpointStore('in-use', detail, stop);
  }

  private useUnavailable(fault: StorageFault): CheckpointStore {
    const reason = offReasonOf(fault.kind);
    const detail = fault.message;
    if (!this.isReportedOff)
      this.place.events.emit('tier', { tier: 'checkpoints', state: 'off', reason, detail, error: fault });
    this.isReportedOff = true;
    const stop = this.retryAfter(nothing());
    return new UnavailableCheckpointStore(reason, `${detail}. The folder is tried again automatically.`, stop);
  }

  /** The folder of `store`, which has reported it, is gone. */
  private onRemoved(store: CheckpointStore, detail: string): void {
    this.isReportedOff = true;
    const stop = this.retryAfter(store.close());
    const text = `${detail}. The folder is opened again automatically.`;
    void this.replace(new UnavailableCheckpointStore('breaker', text, stop));
  }

  /** Opens once more, later, and after `before`. Returns the function that stops it. */
  private retryAfter(before: Promise<void>): () => Promise<void> {
    let opening: Promise<void> | undefined;
    this.retry.schedule(() => {
      opening = before.then(() => this.renew(() => this.open()));
    });
    return async () => {
      this.retry.cancel();
      await before;
      await opening;
    };
  }

  private async renew(open: () => Promise<CheckpointStore>): Promise<void> {
    const store = await open().catch((error: unknown) => this.useUnavailable(asStorageFault(error)));
    await this.replace(store);
    if (store.state.state === 'on') this.reportOnline();
  }

  private reportOnline(): void {
    this.retry.reset();
    if (!this.isReportedOff) return;
    this.isReportedOff = false;
    this.place.events.emit('tier', { tier: 'checkpoints', state: 'on', detail: 'checkpoints can be saved again' });
  }
}

/** Any error of opening a folder, as the fault for which the folder is off. */
export const asStorageFault = (error: unknown): StorageFault =>
  error instanceof StorageFault ? error : new StorageFault('io', String(error), error);

/** The store of an app whose options want no checkpoints. */
export function switchedOff(): CheckpointStore {
  const detail = "they are switched off in the options. Give 'checkpoints' something else than false.";
  return new UnavailableCheckpointStore('policy', detail);
}
