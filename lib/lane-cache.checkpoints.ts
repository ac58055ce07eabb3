import { LocalCheckpointStore } from './checkpoints/local-checkpoint-store.js';
import type { CheckpointStore } from './checkpoints/checkpoint-store.js';
import { ReadFaults } from './checkpoints/read-faults.js';
import { UnavailableCheckpointStore } from './checkpoints/unavailable-checkpoint-store.js';
import type { Clock } from './clock/clock.js';
import type { EventSink } from './events/event-map.js';
import { StorageFault, type StorageFaultKind } from './storage/environment.js';
import { openEnvironment } from './storage/open-environment.js';

export interface CheckpointPlace {
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

/** The checkpoints of a directory that this process owns; a store that says why, if they cannot be opened. */
export async function openCheckpoints(place: CheckpointPlace): Promise<CheckpointStore> {
  const { checkpoints, clock, minFreeBytes, deadlineMs, events } = place;
  if (checkpoints === false) return switchedOff();
  const faults = new ReadFaults();
  const report = {
    fault: (kind: StorageFaultKind, detail: string, error: unknown): void => faults.note(kind, detail, error),
    quarantined: (directory: string, movedTo: string, cause: string): void =>
      events.emit('quarantine', { directory, movedTo, cause }),
  };
  try {
    const environment = await openEnvironment({
      directory: checkpoints,
      durability: 'durable',
      onMarkerLeft: 'probe',
      clock,
      minFreeBytes,
      deadlineMs,
      report,
    });
    return new LocalCheckpointStore(environment, { clock, events, faults });
  } catch (error) {
    if (!(error instanceof StorageFault)) throw error;
    const reason = error.kind === 'disk-full' ? 'disk-full' : 'read-only';
    events.emit('tier', { tier: 'checkpoints', state: 'off', reason, detail: error.message, error });
    return new UnavailableCheckpointStore(reason, `${error.message}. Mend it and restart the app.`);
  }
}
