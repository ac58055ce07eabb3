import type { Clock } from '../clock/clock.js';
import type { ValueCodec } from '../entries/codec.js';
import type { EventSink } from '../events/event-map.js';
import type { CheckpointStore } from './checkpoint-store.js';

/** What the service is wired with. Sizes in bytes. */
export interface CheckpointSettings {
  /** Asked at each call: another store takes over when the directory changes hands. */
  readonly store: () => CheckpointStore;
  readonly codec: ValueCodec;
  readonly clock: Clock;
  readonly events: EventSink;
  /** The names of the app's lanes. */
  readonly lanes: readonly string[];
  readonly defaultLane: string;
  /** Default 64 MB. */
  readonly maxStateBytes?: number;
  /** Default 1 MB. */
  readonly warnStateBytes?: number;
  /** Told once per id whose state takes `warnStateBytes` or more. */
  readonly warn?: (message: string) => void;
}
