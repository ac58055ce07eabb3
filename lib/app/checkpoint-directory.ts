import { relative } from 'node:path';
import { LocalCheckpointStore } from '../checkpoints/local/local-checkpoint-store.js';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import { ReadFaults } from '../checkpoints/local/checkpoint-tables.js';
import { UnavailableCheckpointStore } from '../checkpoints/unavailable-checkpoint-store.js';
import type { TierOffReason } from '../events/reasons.js';
import { StorageFault, type StorageFaultKind } from '../storage/environment.js';
import { socketLiveness } from '../ipc/socket.js';
import type { OpenDirectories } from '../storage/lmdb/open-directories.js';
import { openEnvironment } from '../storage/lmdb/open-environment.js';
import { acquireOwnership, type InUse } from '../storage/directory/owner-lock.js';
import { offReasonOf } from '../tiers/tier.js';
import type { Clock } from '../clock/clock.js';
import type { EventSink } from '../events/event-map.js';

interface OwnCheckpointPlace extends CheckpointPlace {
  readonly opened: OpenDirectories;
}

/** By what right a folder is opened. */
interface Claim {
  /** Rejects with `StorageFault` if the folder belongs to another process by now. */
  readonly requireOwnership: () => Promise<void>;
  readonly release: () => Promise<void>;
}

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
const nothing = (): Promise<void> => Promise.resolve();

/** Stands in until something else is there. `stop` ends the waiting for it. */
class PassingCheckpointStore extends UnavailableCheckpointStore {
  constructor(
    reason: TierOffReason,
    detail: string,
    private readonly stop: () => Promise<void>,
  ) {
    super(reason, detail);
  }

  override close(): Promise<void> {
    this.current = { state: 'off', reason: 'closed', detail: 'the app was closed' };
    return this.stop();
  }
}

/**
 * The checkpoints of an app whose directory this process owns. While something is in the way, a full disk or a folder
 * that went away, another store stands in for them and says so, and they are opened again by and by. A folder outside
 * the directory, which apps with other directories may have been given too, is claimed first.
 */
export class CheckpointDirectory {
  private retryMs = FIRST_RETRY_MS;
  private isReportedOff = false;

  /** `entitled`: see `Claim`, for the app's directory. `replace` gets every store but the first. */
  constructor(
    private readonly place: OwnCheckpointPlace,
    private readonly requireOwnership: () => Promise<void>,
    private readonly replace: (store: CheckpointStore) => Promise<void>,
  ) {}

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
      if (!(error instanceof StorageFault)) throw error;
      return this.useUnavailable(error);
    }
  }

  private wait(checkpoints: string, claim: InUse): CheckpointStore {
    const stop = claim.whenFree((owned) => {
      const own: Claim = { requireOwnership: nothing, release: () => owned.release() };
      void this.renew(() => this.openFolder(checkpoints, own));
    });
    const detail = `'${checkpoints}' belongs to process ${claim.ownerPid}, whose app has another directory. Give both apps the same 'directory' to share checkpoints, or one of them another 'checkpoints.directory'.`;
    return new PassingCheckpointStore('in-use', detail, stop);
  }

  private async openFolder(directory: string, { requireOwnership, release }: Claim): Promise<CheckpointStore> {
    const { clock, minFreeBytes, deadlineMs, events, opened } = this.place;
    const faults = new ReadFaults();
    const report = {
      fault: (kind: StorageFaultKind, detail: string, error: unknown): void => faults.note(kind, detail, error),
      quarantined: (from: string, movedTo: string, cause: string): void =>
        events.emit('quarantine', { directory: from, movedTo, cause: `checkpoints: ${cause}` }),
    };
    const given = { directory, durability: 'durable', onMarkerLeft: 'probe' } as const;
    try {
      await requireOwnership();
      const environment = await openEnvironment({ ...given, clock, minFreeBytes, deadlineMs, report, opened });
      const gone = (detail: string): void => this.onRemoved(store, detail);
      // what hangs keeps the claim as long as the process lives
      const letGo = async (): Promise<void> => {
        if (!opened.has(directory)) await release();
      };
      const store = new LocalCheckpointStore(environment, { clock, events, faults, release: letGo, gone });
      return store;
    } catch (error) {
      await release();
      throw error;
    }
  }

  private useUnavailable(fault: StorageFault): CheckpointStore {
    const reason = offReasonOf(fault.kind);
    const detail = fault.message;
    if (!this.isReportedOff)
      this.place.events.emit('tier', { tier: 'checkpoints', state: 'off', reason, detail, error: fault });
    this.isReportedOff = true;
    return new PassingCheckpointStore(
      reason,
      `${detail}. They are tried again by themselves.`,
      this.retryAfter(nothing()),
    );
  }

  /** The folder of `store`, which has said so, is not there any more. */
  private onRemoved(store: CheckpointStore, detail: string): void {
    this.isReportedOff = true;
    const stop = this.retryAfter(store.close());
    void this.replace(new PassingCheckpointStore('breaker', `${detail}. They are opened anew by themselves.`, stop));
  }

  private reportOnline(): void {
    this.retryMs = FIRST_RETRY_MS;
    if (!this.isReportedOff) return;
    this.isReportedOff = false;
    this.place.events.emit('tier', { tier: 'checkpoints', state: 'on', detail: 'checkpoints can be saved again' });
  }

  /** Opens once more, later, and after `before`. Returns the function that ends it. */
  private retryAfter(before: Promise<void>): () => Promise<void> {
    let opening: Promise<void> | undefined;
    const cancel = this.place.clock.schedule(this.retryMs, () => {
      opening = before.then(() => this.renew(() => this.open()));
    });
    this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
    return async () => {
      cancel();
      await before;
      await opening;
    };
  }

  private async renew(open: () => Promise<CheckpointStore>): Promise<void> {
    const asFault = (error: unknown): StorageFault =>
      error instanceof StorageFault ? error : new StorageFault('io', String(error), error);
    const store = await open().catch((error: unknown) => this.useUnavailable(asFault(error)));
    await this.replace(store);
    if (store.state.state === 'on') this.reportOnline();
  }
}

interface CheckpointPlace {
  /** The app's directory, absolute. */
  readonly root: string;
  /** Absolute; false keeps no checkpoints. */
  readonly checkpoints: string | false;
  readonly clock: Clock;
  readonly events: EventSink;
  readonly minFreeBytes: number | undefined;
  readonly deadlineMs: number;
}

/** Stands where the options want no checkpoints. */
export function switchedOff(): CheckpointStore {
  const detail = "they are switched off in the options. Give 'checkpoints' something else than false.";
  return new UnavailableCheckpointStore('policy', detail);
}
