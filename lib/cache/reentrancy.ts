import { AsyncLocalStorage } from 'node:async_hooks';
import { LaneCacheError } from '../errors/lane-cache.error.js';

/** The flights within which the current code runs, innermost first. */
export interface FlightScope {
  readonly lane: string;
  readonly holds: (key: string) => boolean;
  readonly outer: FlightScope | undefined;
}

/** Within which flights the code of one app runs. */
export class FlightScopes {
  private readonly storage = new AsyncLocalStorage<FlightScope>();
  private hasEnded = false;

  get current(): FlightScope | undefined {
    return this.storage.getStore();
  }

  /** Runs `work`, and all that it starts, within `scope`. */
  within<T>(scope: FlightScope, work: () => T): T {
    return this.hasEnded ? work() : this.storage.run(scope, work);
  }

  /**
   * From here on nothing is within anything. Up to Node.js 22 each storage that was ever used slows every promise of the
   * process until it is disabled, so a closed app must not leave its own behind.
   */
  end(): void {
    this.hasEnded = true;
    this.storage.disable();
  }
}

/** Throws REENTRANT if the code that asks for `key` is itself part of computing it: it would wait for itself. */
export function refuseReentry(scope: FlightScope | undefined, lane: string, key: string): void {
  for (let inner = scope; inner !== undefined; inner = inner.outer) {
    if (inner.lane === lane && inner.holds(key)) {
      throw new LaneCacheError(
        'REENTRANT',
        `The computation of '${key}' in lane '${lane}' asked for '${key}' itself and would wait for itself. Ask for another key, or compute the value without the cache.`,
        { lane, key },
      );
    }
  }
}
