import { Flight } from './flight.js';
import { FlightContext } from './flight-context.js';
import type { LaneSpace } from './lane-space.js';
import type { Compute } from './options.js';
import type { Terms } from './terms.js';

/** Computes past the cache: nothing is looked up, shared or stored, and what comes back is the computation's own value. */
export async function computeUncached(
  space: LaneSpace,
  key: string,
  compute: Compute<unknown>,
  terms: Terms,
): Promise<unknown> {
  return compute(new FlightContext(space, new Flight(key, compute, terms, 'forced')));
}
