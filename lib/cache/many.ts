import { Batch } from './batch.js';
import { checkComputed } from './call-checks.js';
import type { Flights } from './flights.js';
import type { LaneSpace } from './lane-space.js';
import type { ComputeMany } from './options.js';
import { heldPayload, staleInMemory } from './read-path.js';
import { refuseReentry } from './reentrancy.js';
import { bypass, bypassReason, freshInMemory } from './requests.js';
import type { Terms } from './terms.js';
import { Waiter } from './flight.js';

export interface ManyRequest {
  /** Each once. */
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
  const { keys, terms } = request;
  const computeMissing: ComputeMany<unknown> = async (missing, ctx) =>
    checkComputed(await request.computeMissing(missing, ctx), space.lane);
  const past: string[] = [];
  const through: string[] = [];
  for (const key of keys) (goesPast(space, key, terms) ? past : through).push(key);
  const [answers, pastValues] = await Promise.all([
    throughTheCache(space, flights, { keys: through, computeMissing, terms }),
    past.length > 0 ? computePast(past, computeMissing) : NOTHING,
  ]);
  for (const [key, value] of pastValues) answers.set(key, value);
  return new Map(keys.flatMap((key) => present(key, answers.get(key))));
}

const NOTHING: ReadonlyMap<string, unknown> = new Map();

function goesPast(space: LaneSpace, key: string, terms: Terms): boolean {
  const reason = bypassReason(space, key) ?? (terms.ttlMs === 0 ? 'ttl-zero' : undefined);
  if (reason !== undefined) bypass(space, key, reason);
  return reason !== undefined;
}

async function computePast(
  keys: readonly string[],
  computeMissing: ComputeMany<unknown>,
): Promise<ReadonlyMap<string, unknown>> {
  const ignore = (): void => undefined;
  return computeMissing(keys, { signal: new AbortController().signal, setTags: ignore, setTtl: ignore });
}

async function throughTheCache(
  space: LaneSpace,
  flights: Flights,
  { keys, terms, computeMissing }: ManyRequest,
): Promise<Map<string, unknown>> {
  const answers = new Map<string, unknown>();
  const remaining = keys.filter((key) => !answerFromMemory(space, key, terms, answers));
  for (const key of remaining) refuseReentry(space.parts.scopes.current, space.lane, key);
  const purpose = terms.forceFresh ? 'forced' : 'request';
  const own = remaining.filter((key) => flights.of(key, purpose) === undefined);
  const batch = batchOf(space, own, computeMissing);
  const waiting = remaining.map((key) => {
    const waiter = new Waiter(batch.compute, terms, space.parts.log.position);
    const stale = staleInMemory(space, key, terms);
    const flight = flights.of(key, purpose) ?? flights.launch({ key, compute: batch.compute, terms, purpose, stale });
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
  return answers;
}

function answerFromMemory(space: LaneSpace, key: string, terms: Terms, answers: Map<string, unknown>): boolean {
  if (terms.forceFresh) {
    bypass(space, key, 'forced');
    return false;
  }
  const entry = freshInMemory(space, key, terms);
  if (entry !== undefined) answers.set(key, heldPayload(space, entry).give(terms.isolation));
  return entry !== undefined;
}

function batchOf(space: LaneSpace, keys: readonly string[], computeMissing: ComputeMany<unknown>): Batch {
  const { parts, lane } = space;
  return new Batch(keys, computeMissing, (computed, run) =>
    parts.scopes.within({ lane, holds: (key) => computed.has(key), outer: parts.scopes.current }, run),
  );
}

function present(key: string, value: unknown): [string, unknown][] {
  return value === undefined ? [] : [[key, value]];
}
