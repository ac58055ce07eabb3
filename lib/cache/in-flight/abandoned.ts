import type { ComputeTimeoutError } from '../../errors/cache.errors.js';
import type { LaneContext } from '../lane-context.js';

/** So many computations of a key that were given up and have not ended are left running. */
const PLACES_PER_KEY = 8;
/** A place is free again after so many times the hardTimeout, although its computation may still run. */
const PLACE_HELD_FOR = 10;

interface Places {
  taken: number;
  latest: ComputeTimeoutError;
}

/**
 * Computations that were given up at their hardTimeout and have not ended. They take no part in anything, but each adds to
 * the load of a source that is in trouble already, so their number is limited for each key.
 */
export class AbandonedComputations {
  private readonly places = new Map<string, Places>();

  constructor(private readonly context: LaneContext) {}

  /** With what the last one was given up, if no other may be started. */
  fullBy(key: string): ComputeTimeoutError | undefined {
    const places = this.places.get(key);
    return places !== undefined && places.taken >= PLACES_PER_KEY ? places.latest : undefined;
  }

  /** Returns what to call when it ends. */
  add(key: string, error: ComputeTimeoutError): () => void {
    const { shared, recorder } = this.context;
    const places = this.places.get(key) ?? { taken: 0, latest: error };
    this.places.set(key, places);
    places.taken++;
    places.latest = error;
    recorder.abandoned(1);
    const free = this.freeOnce(key, places);
    const cancel = shared.clock.schedule(error.timeoutMs * PLACE_HELD_FOR, free);
    return () => {
      recorder.abandoned(-1);
      cancel();
      free();
    };
  }

  private freeOnce(key: string, places: Places): () => void {
    let isFree = false;
    return () => {
      if (isFree) return;
      isFree = true;
      if (--places.taken === 0) this.places.delete(key);
    };
  }
}
