import { LaneCacheError } from '../errors/lane-cache.error.js';

/** The flights within which the current code runs, innermost first. */
export interface FlightScope {
  readonly lane: string;
  readonly holds: (key: string) => boolean;
  readonly outer: FlightScope | undefined;
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
