import { nextTurn } from '../clock/clock.js';
import { bySlices } from '../clock/slices.js';
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
export async function set(context: LaneContext, invalidations: Invalidations, given: GivenEntry): Promise<boolean> {
  const prepared = prepare(context, given);
  await invalidations.superseding(context, [given.key], (record) => storeGiven(context, prepared, record));
  return prepared.refusal === undefined;
}

/** An entry that is handed in with others. */
export interface GivenEntry {
  readonly key: string;
  readonly value: unknown;
  readonly call: CallOptions;
}

/**
 * Stores many values in slices, each key's last one. `entryOf` reads an item, and throws what is wrong with it before
 * anything is stored. All count as handed in with the call: what is invalidated or stored
 * between the call and a key's turn wins. A value is read at its turn. Resolves to how many were stored, and to the keys
 * that were not.
 */
export async function setMany<T>(
  context: LaneContext,
  invalidations: Invalidations,
  items: readonly T[],
  entryOf: (item: T) => GivenEntry,
): Promise<{ readonly stored: number; readonly refused: ReadonlySet<string> }> {
  const { lane, shared } = context;
  const since = shared.log.follow(lane);
  try {
    const latest = new LatestEntries();
    for (let from = 0; from < items.length; from += READ_AT_ONCE) {
      if (from > 0) await nextTurn();
      for (const item of items.slice(from, from + READ_AT_ONCE)) latest.add(entryOf(item));
    }
    const refused = new Set<string>();
    await bySlices(shared.clock, latest.all, (slice) => setSlice(context, invalidations, { slice, since, refused }));
    return { stored: latest.all.length - refused.size, refused };
  } finally {
    shared.log.unfollow(since);
  }
}

/** Items that are read between two turns of the event loop. One takes a fraction of a microsecond. */
const READ_AT_ONCE = 2_048;

/** Entries that were handed in, each key's last one in the place of its first. */
class LatestEntries {
  readonly all: GivenEntry[] = [];
  private readonly places = new Map<string, number>();

  add(entry: GivenEntry): void {
    const place = this.places.get(entry.key) ?? this.all.length;
    this.places.set(entry.key, place);
    this.all[place] = entry;
  }
}

interface GivenSlice {
  readonly slice: Iterable<GivenEntry>;
  readonly since: InvalidationsSince;
  /** Gets the keys that are not stored. */
  readonly refused: Set<string>;
}

/** Stores the entries of a slice in this step. Resolves once no tier holds older values, and none has much to write. */
async function setSlice(
  context: LaneContext,
  invalidations: Invalidations,
  { slice, since, refused }: GivenSlice,
): Promise<void> {
  const isClosed = context.shared.memory.state.state === 'off';
  if (isClosed) {
    for (const { key } of slice) refused.add(key);
    return;
  }
  const isNewest = ({ candidate: { key, tags } }: Prepared): boolean => !since.names(key, tags);
  const giveWay = ({ candidate: { key } }: Prepared): void => {
    refused.add(key);
    refuse(context, key, INVALIDATED);
  };
  // All values are read before anything is removed: reading one runs code of the app, which may invalidate another one.
  const prepared = Array.from(slice, (given) => prepare(context, given));
  const newest = prepared.filter(isNewest);
  const older = newest.length === prepared.length ? [] : prepared.filter((one) => !isNewest(one));
  let next = 0;
  const write = (record: LogRecord): void => {
    const one = newest[next++];
    if (one === undefined) return;
    // The event of an entry before it may have had a listener that invalidates this one.
    if (!isNewest(one)) return giveWay(one);
    if (one.refusal !== undefined) refused.add(one.candidate.key);
    storeGiven(context, one, record);
  };
  const keys = newest.map(({ candidate }) => candidate.key);
  const done = keys.length === 0 ? undefined : invalidations.superseding(context, keys, write, since);
  for (const one of older) giveWay(one);
  await done;
  // A tier refuses what it has no room for, so a bulk write goes no faster than the disk.
  for (const tier of context.shared.below) await tier.whenWritten();
}

/** A value that the app handed in, encoded and judged. */
interface Prepared {
  readonly candidate: CandidateValue;
  readonly call: CallOptions;
  readonly refusal: Refusal | undefined;
}

function prepare(context: LaneContext, { key, value, call }: GivenEntry): Prepared {
  const { lane, shared } = context;
  const { tags, ttlMs } = call;
  const encoded = EncodedValue.of({ codec: shared.codec, lane }, value, context.policy.isolation);
  const candidate = { key, value, encoded, tags, ttlMs, computeMs: 0 };
  return { candidate, call, refusal: refusalOfKey(context, key) ?? refusalOf(context, candidate) };
}

/** The birth of a value that was handed in is the position of its own record. */
function storeGiven(context: LaneContext, { candidate, call, refusal }: Prepared, { position }: LogRecord): void {
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
