import { Batch } from './batch.js';
import type { Flights } from './flights.js';
import type { LaneSpace } from './lane-space.js';
import type { ComputeMany } from './options.js';
import { heldPayload } from './read-path.js';
import { refuseReentry } from './reentrancy.js';
import { freshInMemory } from './requests.js';
import type { Terms } from './terms.js';
import { Waiter } from './waiter.js';

export interface ManyRequest {
  readonly keys: readonly string[];
  readonly computeMissing: ComputeMany<unknown>;
  readonly terms: Terms;
}

/**
 * Answers several keys with one computation for those that nobody has or is computing already.
 *
 * All keys are claimed in the step of the call; the own batch is under way before a flight of others is waited for.
 */
export async function getOrSetMany(
  space: LaneSpace,
  flights: Flights,
  request: ManyRequest,
): Promise<Map<string, unknown>> {
  const { terms } = request;
  const keys = [...new Set(request.keys)];
  const answers = new Map<string, unknown>();
  const remaining = keys.filter((key) => {
    const entry = terms.forceFresh ? undefined : freshInMemory(space, key, terms);
    if (entry === undefined) return true;
    answers.set(key, heldPayload(space, entry).give(terms.isolation));
    return false;
  });
  for (const key of remaining) refuseReentry(space.parts.scope.getStore(), space.lane, key);
  const purpose = terms.forceFresh ? 'forced' : 'request';
  const own = remaining.filter((key) => flights.of(key, purpose) === undefined);
  const batch = batchOf(space, own, request.computeMissing);
  const waiting = remaining.map((key) => {
    const waiter = new Waiter(batch.compute, terms);
    const flight =
      flights.of(key, purpose) ?? flights.launch({ key, compute: batch.compute, terms, purpose, stale: undefined });
    const isQueued = flight.fence === undefined;
    if (flight.answer !== undefined) waiter.give(flight.answer);
    else flights.board(flight, waiter);
    if (isQueued || flight.answer !== undefined) batch.decided(key);
    return { key, waiter };
  });
  const settled = await Promise.allSettled(
    waiting.map(async ({ key, waiter }) => {
      const decide = (): void => batch.decided(key);
      waiter.promise.then(decide, decide);
      answers.set(key, await waiter.promise);
    }),
  );
  const failure = settled.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  return new Map(keys.flatMap((key) => present(key, answers.get(key))));
}

function batchOf(space: LaneSpace, keys: readonly string[], computeMissing: ComputeMany<unknown>): Batch {
  const { parts, lane } = space;
  return new Batch(keys, computeMissing, (computed, run) =>
    parts.scope.run({ lane, holds: (key) => computed.has(key), outer: parts.scope.getStore() }, run),
  );
}

function present(key: string, value: unknown): [string, unknown][] {
  return value === undefined ? [] : [[key, value]];
}
