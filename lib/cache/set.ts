import { nextTurn } from '../clock/clock.js';
import { bySlices } from '../clock/slices.js';
import { checkKey } from '../entries/key.js';
import type { LogRecord } from '../invalidation/journal.js';
import type { InvalidationsSince } from '../invalidation/lane-log.js';
import type { CallOptions, Compute } from './call-options.js';
import { EncodedValue } from './encoded-value.js';
import { Flight, FlightContext } from './in-flight/computation.js';
import type { Invalidations } from './invalidate.js';
import { isPartitioned, type LaneContext } from './lane-context.js';
import { bypassReason } from './read.js';
import { type CandidateValue, INVALIDATED, PARTITIONED, refusalOf, refuse, type Refusal, store } from './write.js';

/**
 * Stores an explicit value. It supersedes what was there and what is being computed, and its birth is the position of its
 * own record. Resolves to whether it was stored, once no tier holds an older value.
 */
export async function set(
  context: LaneContext,
  invalidations: Invalidations,
  given: { readonly key: string; readonly value: unknown; readonly call: CallOptions },
): Promise<boolean> {
  const { key, value, call } = given;
  const prepared = prepare(context, key, value, call);
  await invalidations.superseding(context, [key], (record) => storeGiven(context, prepared, call, record));
  return prepared.refusal === undefined;
}

/**
 * Stores many values in slices, each key's last one. All count as handed in with the call: what is invalidated or stored
 * between the call and a key's turn wins. A value is read at its turn. Resolves to how many were stored. Throws KEY_INVALID
 * and KEY_TOO_LONG before it stores anything.
 */
export async function setMany(
  context: LaneContext,
  invalidations: Invalidations,
  given: { readonly entries: readonly (readonly [key: string, value: unknown])[]; readonly call: CallOptions },
): Promise<number> {
  const { lane, shared } = context;
  const { entries, call } = given;
  const since = shared.log.follow(lane);
  try {
    const latest = new LatestEntries(lane);
    for (let from = 0; from < entries.length; from += CHECKED_AT_ONCE) {
      if (from > 0) await nextTurn();
      latest.add(entries.slice(from, from + CHECKED_AT_ONCE));
    }
    const stored = await bySlices(shared.clock, latest.all, (slice) =>
      setSlice(context, invalidations, { slice, call, since }),
    );
    return stored.reduce((sum, count) => sum + count, 0);
  } finally {
    shared.log.unfollow(since);
  }
}

/** Keys that are checked between two turns of the event loop. A check takes a fraction of a microsecond. */
const CHECKED_AT_ONCE = 2_048;

/** Entries that were handed in, each key's last one in the place of its first. */
class LatestEntries {
  readonly all: (readonly [key: string, value: unknown])[] = [];
  private readonly places = new Map<string, number>();

  constructor(private readonly lane: string) {}

  add(entries: readonly (readonly [key: string, value: unknown])[]): void {
    for (const entry of entries) {
      const [key, value] = [checkKey(entry[0], this.lane), entry[1]];
      const place = this.places.get(key) ?? this.all.length;
      this.places.set(key, place);
      this.all[place] = [key, value];
    }
  }
}

interface GivenSlice {
  readonly slice: Iterable<readonly [key: string, value: unknown]>;
  readonly call: CallOptions;
  readonly since: InvalidationsSince;
}

/** Stores the entries of a slice in this step, and resolves to how many once no tier holds older values. */
async function setSlice(
  context: LaneContext,
  invalidations: Invalidations,
  { slice, call, since }: GivenSlice,
): Promise<number> {
  if (context.shared.memory.state.state === 'off') return 0;
  const isNewest = ({ candidate: { key, tags } }: Prepared): boolean => !since.names(key, tags);
  // All values are read before anything is removed: reading one runs code of the app, which may invalidate another one.
  const prepared = Array.from(slice, ([key, value]) => prepare(context, key, value, call));
  const newest = prepared.filter(isNewest);
  const older = newest.length === prepared.length ? [] : prepared.filter((one) => !isNewest(one));
  let [stored, next] = [0, 0];
  const write = (record: LogRecord): void => {
    const one = newest[next++];
    if (one === undefined) return;
    // The event of an entry before it may have had a listener that invalidates this one.
    if (!isNewest(one)) return refuse(context, one.candidate.key, INVALIDATED);
    storeGiven(context, one, call, record);
    if (one.refusal === undefined) stored++;
  };
  const keys = newest.map(({ candidate }) => candidate.key);
  const done = keys.length === 0 ? undefined : invalidations.superseding(context, keys, write, since);
  for (const { candidate } of older) refuse(context, candidate.key, INVALIDATED);
  await done;
  return stored;
}

/** A value that the app handed in, encoded and judged. */
interface Prepared {
  readonly candidate: CandidateValue;
  readonly refusal: Refusal | undefined;
}

function prepare(context: LaneContext, key: string, value: unknown, { tags, ttlMs }: CallOptions): Prepared {
  const { lane, shared } = context;
  const encoded = EncodedValue.of({ codec: shared.codec, lane }, value, context.policy.isolation);
  const candidate = { key, value, encoded, tags, ttlMs, computeMs: 0 };
  return { candidate, refusal: refusalOfKey(context, key) ?? refusalOf(context, candidate) };
}

/** The birth of a value that was handed in is the position of its own record. */
function storeGiven(
  context: LaneContext,
  { candidate, refusal }: Prepared,
  call: CallOptions,
  { position }: LogRecord,
): void {
  if (refusal !== undefined) refuse(context, candidate.key, refusal);
  else store(context, candidate, { birth: position, flight: 0, call, expiredAt: undefined, origin: 'given' });
}

function refusalOfKey(context: LaneContext, key: string): Refusal | undefined {
  if (isPartitioned(context)) return PARTITIONED;
  return bypassReason(context, key) === 'excluded'
    ? { reason: 'strategy', detail: "the lane's include and exclude patterns rule this key out" }
    : undefined;
}

/**
 * Always computes, and stores the result in place of what was there.
 *
 * An invalidation during the computation wins, because the birth of the result is taken before it. At its end the result
 * supersedes the key like `set`: a computation that started in between may have read the old state.
 */
export async function computeAndSet(
  context: LaneContext,
  invalidations: Invalidations,
  asked: { readonly key: string; readonly compute: Compute<unknown>; readonly call: CallOptions },
): Promise<unknown> {
  const { key, compute, call } = asked;
  const { lane, shared } = context;
  const flight = new Flight(lane, key, compute, call, 'forced');
  const ctx = new FlightContext(context, flight);
  if (bypassReason(context, key) !== undefined) return compute(ctx);
  const guard = shared.log.openPut({ lane, key, tags: call.tags });
  try {
    const { value, computeMs } = await timed(context, flight, ctx);
    const encoded = EncodedValue.of({ codec: shared.codec, lane }, value, context.policy.isolation);
    const { tags, ttlMs } = ctx;
    const candidate = { key, value, encoded, tags, ttlMs, computeMs };
    const refusedResult = ctx.refusal ?? refusalOf(context, candidate);
    // From here to the store no code but ours runs.
    const judged = { lane, key, tags, birth: guard.birth };
    const refusal = shared.log.counts(judged, guard) ? refusedResult : INVALIDATED;
    const expiredAt = shared.log.expiredAt(judged, guard);
    await invalidations.superseding(context, [key], ({ position }) => {
      if (refusal !== undefined) refuse(context, key, refusal);
      else store(context, candidate, { birth: position, flight: 0, call, expiredAt, origin: 'given' });
    });
    return refusal === undefined ? encoded.valueFor(call.isolation) : value;
  } finally {
    shared.log.close(guard);
  }
}

async function timed(
  context: LaneContext,
  flight: Flight,
  ctx: FlightContext,
): Promise<{ readonly value: unknown; readonly computeMs: number }> {
  const { shared, recorder } = context;
  const asker = shared.scopes.current;
  const wait = { flight };
  asker?.waitFor(wait);
  const startedAt = shared.clock.monotonic();
  try {
    const value = await shared.scopes.within(flight, () => flight.compute(ctx));
    const computeMs = shared.clock.monotonic() - startedAt;
    recorder.computed(computeMs);
    return { value, computeMs };
  } catch (error) {
    recorder.failed(shared.clock.monotonic() - startedAt);
    throw error;
  } finally {
    asker?.waitNoLongerFor(wait);
  }
}
