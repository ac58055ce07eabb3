import { relative } from 'node:path';
import { LocalCheckpointStore } from './checkpoints/local-checkpoint-store.js';
import type { CheckpointStore } from './checkpoints/checkpoint-store.js';
import { ReadFaults } from './checkpoints/read-faults.js';
import { UnavailableCheckpointStore } from './checkpoints/unavailable-checkpoint-store.js';
import type { Clock } from './clock/clock.js';
import type { EventSink } from './events/event-map.js';
import { StorageFault, type StorageFaultKind } from './storage/environment.js';
import { socketLiveness } from './operator/socket-liveness.js';
import { openEnvironment } from './storage/open-environment.js';
import { acquireOwnership } from './storage/owner.js';

export interface CheckpointPlace {
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

/**
 * The checkpoints of an app whose directory this process owns; a store that says why, if they cannot be opened. A folder
 * of their own, which apps with other directories may have been given too, is claimed first; when it becomes free later,
 * `replace` gets the store.
 */
export async function openCheckpoints(
  place: CheckpointPlace,
  replace: (store: CheckpointStore) => void,
): Promise<CheckpointStore> {
  const { checkpoints, root, clock } = place;
  if (checkpoints === false) return switchedOff();
  if (!relative(root, checkpoints).startsWith('..')) return openFolder(place, checkpoints, NOBODYS);
  const claim = await acquireOwnership({ directory: `${checkpoints}.claims`, liveness: socketLiveness, clock });
  if (claim.state === 'owned') return openFolder(place, checkpoints, () => claim.release());
  const stop = claim.whenFree((owned) => {
    void openFolder(place, checkpoints, () => owned.release()).then(replace);
  });
  return new WaitingCheckpointStore(
    `'${checkpoints}' belongs to process ${claim.ownerPid}, whose app has another directory. Give both apps the same 'directory' to share checkpoints, or one of them another 'checkpoints.directory'.`,
    stop,
  );
}

const NOBODYS = (): Promise<void> => Promise.resolve();

class WaitingCheckpointStore extends UnavailableCheckpointStore {
  constructor(
    detail: string,
    private readonly stop: () => Promise<void>,
  ) {
    super('in-use', detail);
  }

  override close(): Promise<void> {
    return this.stop();
  }
}

async function openFolder(
  place: CheckpointPlace,
  directory: string,
  release: () => Promise<void>,
): Promise<CheckpointStore> {
  const { clock, minFreeBytes, deadlineMs, events } = place;
  const faults = new ReadFaults();
  const report = {
    fault: (kind: StorageFaultKind, detail: string, error: unknown): void => faults.note(kind, detail, error),
    quarantined: (from: string, movedTo: string, cause: string): void =>
      events.emit('quarantine', { directory: from, movedTo, cause }),
  };
  try {
    const environment = await openEnvironment({
      directory,
      durability: 'durable',
      onMarkerLeft: 'probe',
      clock,
      minFreeBytes,
      deadlineMs,
      report,
    });
    return new LocalCheckpointStore(environment, { clock, events, faults, release });
  } catch (error) {
    await release();
    if (!(error instanceof StorageFault)) throw error;
    const reason = error.kind === 'disk-full' ? 'disk-full' : 'read-only';
    events.emit('tier', { tier: 'checkpoints', state: 'off', reason, detail: error.message, error });
    return new UnavailableCheckpointStore(reason, `${error.message}. Mend it and restart the app.`);
  }
}
