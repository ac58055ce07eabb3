import { nextTurn, plausibleMs } from '../clock/clock.js';
import { bySlices } from '../clock/slices.js';
import type { LogRecord } from '../invalidation/journal.js';
import type { InvalidationsSince } from '../invalidation/lane-log.js';
import type { CallOptions, Compute } from './call-options.js';
import { EncodedValue } from './encoded-value.js';
import { Flight, FlightContext } from './in-flight/flight.js';
import type { Invalidations } from './invalidate.js';
import { isPartitioned, type LaneContext, look, whenRoom } from './lane-context.js';
import { bypassReason, HAS_OLDER } from './read.js';
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
  items: Pick<readonly T[], 'length' | 'at'>,
  entryOf: (item: T) => GivenEntry,
): Promise<{ readonly stored: number; readonly refused: ReadonlySet<string> }> {
  const { lane, shared } = context;
  // What other processes had invalidated before the call is no reason to give way.
  look(context);
  const since = shared.log.collect(lane);
  try {
    const latest = new LatestEntries();
    for (let from = 0; from < items.length; from += READ_AT_ONCE) {
      if (from > 0) await nextTurn();
      const end = Math.min(from + READ_AT_ONCE, items.length);
      for (let index = from; index < end; index++) latest.add(entryOf(items.at(index) as T));
    }
    const bulk = new BulkWrite(context, invalidations, since);
    await bySlices(
      shared.clock,
      latest.all,
      (slice) => bulk.begin(slice),
      () => bulk.whenRoom(),
    );
    return { stored: latest.all.length - bulk.refused.size, refused: bulk.refused };
  } finally {
    shared.log.stopCollecting(since);
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

/** A slice has no more values once they have so many bytes. */
const SLICE_BYTES = 1024 * 1024;
/** While slices under way have so many bytes, no more are begun. */
const BYTES_AT_ONCE = 8 * SLICE_BYTES;

/** Entries that are stored in slices, none faster than the tiers can take them. */
class BulkWrite {
  /** The keys that are not stored. */
  readonly refused = new Set<string>();
  private bytesUnderWay = 0;
  private latest: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly context: LaneContext,
    private readonly invalidations: Invalidations,
    private readonly since: InvalidationsSince,
  ) {}

  /** Undefined while another slice may begin. Else resolves when it is worth asking again. */
  whenRoom(): Promise<unknown> | undefined {
    return this.bytesUnderWay >= BYTES_AT_ONCE ? this.latest : whenRoom(this.context);
  }

  /** Stores entries of the slice in this step. Resolves once no tier holds older values. */
  async begin(slice: Iterable<GivenEntry>): Promise<void> {
    if (this.context.shared.memory.state.state === 'off') {
      for (const { key } of slice) this.refused.add(key);
      return;
    }
    const prepared: Prepared[] = [];
    let bytes = 0;
    // All values are read before anything is removed: reading one runs code of the app, which may invalidate another one.
    for (const given of slice) {
      const one = prepare(this.context, given);
      prepared.push(one);
      bytes += one.candidate.encoded.sizeBytes;
      if (bytes >= SLICE_BYTES) break;
    }
    this.bytesUnderWay += bytes;
    const done = this.store(prepared);
    this.latest = done.catch(() => undefined);
    try {
      await done;
    } finally {
      this.bytesUnderWay -= bytes;
    }
  }

  private async store(prepared: readonly Prepared[]): Promise<void> {
    const newest = prepared.filter((one) => this.isNewest(one));
    const older = newest.length === prepared.length ? [] : prepared.filter((one) => !this.isNewest(one));
    let next = 0;
    const write = (record: LogRecord): void => {
      const one = newest[next++];
      if (one === undefined) return;
      // The event of an entry before it may have had a listener that invalidates this one.
      if (!this.isNewest(one)) return this.giveWay(one);
      if (one.refusal !== undefined) this.refused.add(one.candidate.key);
      storeGiven(this.context, one, record);
    };
    const keys = newest.map(({ candidate }) => candidate.key);
    const done = keys.length === 0 ? undefined : this.invalidations.superseding(this.context, keys, write, this.since);
    for (const one of older) this.giveWay(one);
    await done;
  }

  private isNewest({ candidate: { key, tags } }: Prepared): boolean {
    return !this.since.names(key, tags);
  }

  private giveWay({ candidate: { key } }: Prepared): void {
    this.refused.add(key);
    refuse(this.context, key, INVALIDATED);
  }
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
  const reason = bypassReason(context, key);
  if (reason !== undefined && !HAS_OLDER.has(reason)) return compute(ctx);
  const guard = shared.log.openPut({ lane, key, tags: call.tags });
  try {
    const { value, computeMs } = await timed(context, flight, ctx);
    const encoded = EncodedValue.of({ codec: shared.codec, lane }, value, context.policy.isolation);
    const { tags, ttlMs } = ctx;
    const candidate = { key, value, encoded, tags, ttlMs, computeMs };
    const refusedResult = isPartitioned(context) ? PARTITIONED : (ctx.refusal ?? refusalOf(context, candidate));
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
    const computeMs = plausibleMs(shared.clock.monotonic() - startedAt);
    recorder.computed(computeMs);
    return { value, computeMs };
  } catch (error) {
    recorder.failed(shared.clock.monotonic() - startedAt);
    throw error;
  } finally {
    asker?.waitNoLongerFor(wait);
  }
}
