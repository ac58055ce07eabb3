import type { CheckpointStore } from './checkpoints/checkpoint-store.js';
import { UnavailableCheckpointStore } from './checkpoints/unavailable-checkpoint-store.js';
import type { Clock } from './clock/clock.js';
import type { EventSink } from './events/event-map.js';

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
