import { checkKey, checkCompute, hasDefaultReadOptions, optionsOf } from './validate-call.js';
import type { KeyPattern } from '../entries/pattern.js';
import type { BypassReason } from '../events/reasons.js';
import type { InvalidationGuard } from '../invalidation/lane-log.js';
import type { MemoryEntry } from '../tiers/memory-tier.js';
import {
  ENTRY_OPTIONS,
  READ_OPTIONS,
  type CallOptions,
  type Compute,
  type EntryOptions,
  type ReadOptions,
} from './call-options.js';
import { type ComputeRequest, Flight, FlightContext } from './in-flight/flight.js';
import type { InFlight } from './in-flight/in-flight.js';
import { isLagging, isPartitioned, type LaneContext, look, whenCaughtUp } from './lane-context.js';
import {
  entryInMemory,
  expiryIfValid,
  type Found,
  heldValue,
  matchesCall,
  TierSearch,
  whenJudged,
} from './tier-lookup.js';
import { promote } from './write.js';

/**
 * The hot path: the resolved promise of an entry that can be returned as it is. It takes one look into memory, one
 * compare with the log, and two with the clock. In any doubt it returns undefined, and the full read follows.
 */
export function hitInMemory(
  context: LaneContext,
  key: string,
  options: EntryOptions | undefined,
): Promise<unknown> | undefined {
  if (options !== undefined && !hasDefaultReadOptions(options)) return undefined;
  const entry = currentInMemory(context, key);
  if (entry === undefined) return undefined;
  entry.promise ??= Promise.resolve(entry.held.kind === 'value' ? entry.held.value : undefined);
  return entry.promise;
}

/** The entry in memory that can be returned as it is, counted as a hit. Undefined in any doubt. */
function currentInMemory(context: LaneContext, key: string): MemoryEntry | undefined {
  const { shared } = context;
  const now = shared.life.now();
  const { sharedLog, hostLog } = shared;
  if (hostLog !== undefined && now >= hostLog.freshUntil) hostLog.look();
  const entry = context.memory.get(key);
  if (entry === undefined || entry.stamp !== shared.log.stamp || entry.schemaVersion !== 0) return undefined;
  if (now >= entry.quietUntil || (sharedLog !== undefined && now >= sharedLog.caughtUpUntil)) return undefined;
  entry.accessCount++;
  entry.usedAt = now;
  context.recorder.hit(key, 'l1', entry.computeMs);
  return entry;
}

/** `getIfPresent`: the hot path without its promise, and what memory alone can answer besides. It waits for nothing. */
export function getIfPresent(context: LaneContext, key: string): unknown {
  const entry = currentInMemory(context, key);
  if (entry !== undefined && entry.held.kind === 'value') return entry.held.value;
  checkKey(key, context.lane);
  look(context);
  const reason = bypassReason(context, key);
  if (reason !== undefined) {
    context.recorder.bypass(key, reason);
    return undefined;
  }
  const fresh = freshInMemory(context, key, context.defaults);
  if (fresh !== undefined) return heldValue(context, fresh).valueFor(context.defaults.isolation);
  context.recorder.miss();
  context.recorder.notFound(key, 'memory-only');
  return undefined;
}

/** `getOrSet` after the hot path: checks the call, and waits if this process has to catch up with the shared log. */
export function getOrSet(
  context: LaneContext,
  inFlight: InFlight,
  key: string,
  compute: Compute<unknown>,
  options: EntryOptions | undefined,
): Promise<unknown> {
  try {
    const call = optionsOf(context, options, ENTRY_OPTIONS);
    checkKey(key, context.lane);
    checkCompute(compute, context.lane);
    // Without options, the hot path has looked in this step.
    if (options !== undefined) look(context);
    const asked = { key, compute, call, purpose: call.forceFresh ? 'forced' : 'request' } as const;
    const ready = whenReady(context, key, call);
    if (ready === undefined) return readOrCompute(context, inFlight, asked);
    return ready.then(() => readOrCompute(context, inFlight, asked));
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * Waits until this process has caught up with the shared log, and until asynchronous validators have judged what memory
 * holds of the keys. Undefined if there is nothing to wait for.
 */
export function whenReady(
  context: LaneContext,
  keys: string | readonly string[],
  call: CallOptions,
): Promise<unknown> | undefined {
  if (!isLagging(context)) return call.schema === undefined ? undefined : whenJudged(context, keys, call);
  return whenCaughtUp(context).then(() => whenJudged(context, keys, call));
}

function readOrCompute(context: LaneContext, inFlight: InFlight, asked: ComputeRequest): Promise<unknown> {
  const { key, call, purpose } = asked;
  const reason = bypassReason(context, key, call.ttlMs);
  if (reason !== undefined) {
    context.recorder.bypass(key, reason);
    const compute = (): Promise<unknown> => computeUncached(context, asked);
    return HAS_OLDER.has(reason) ? inFlight.older.removeAfter([key], compute) : compute();
  }
  if (call.forceFresh) context.recorder.bypass(key, 'forced');
  else {
    const entry = freshInMemory(context, key, call);
    if (entry !== undefined) {
      refreshIfDue(context, inFlight, entry, asked);
      return Promise.resolve(heldValue(context, entry).valueFor(call.isolation));
    }
  }
  inFlight.refuseCircle(key, context.shared.scopes.current);
  const joined = inFlight.of(key, purpose);
  if (joined !== undefined || purpose === 'forced' || inFlight.isCrowded(key)) {
    return inFlight.wait(asked, joined);
  }
  // What a tier has in the step of the call needs no flight, because nobody can have joined it.
  const search = new TierSearch(context, key, call).run();
  const found = search.servable;
  if (found === undefined) return inFlight.wait(asked, undefined, search);
  const value = serve(context, found, search, call);
  context.recorder.lookedUp(context.shared.clock.monotonic() - search.startedAt);
  return Promise.resolve(value);
}

/** `get` after the hot path: the same read, without computing, waiting for a flight, or serving past the ttl. */
export async function get(context: LaneContext, key: string, options: ReadOptions | undefined): Promise<unknown> {
  const call = optionsOf(context, options, READ_OPTIONS);
  checkKey(key, context.lane);
  if (options !== undefined) look(context);
  const ready = whenReady(context, key, call);
  if (ready !== undefined) await ready;
  const reason = bypassReason(context, key);
  if (reason !== undefined) {
    context.recorder.bypass(key, reason);
    return undefined;
  }
  const entry = freshInMemory(context, key, call);
  if (entry !== undefined) return heldValue(context, entry).valueFor(call.isolation);
  const search = new TierSearch(context, key, call).run();
  const found = search.servable;
  return found === undefined ? searchOn(context, search, call) : serve(context, found, search, call);
}

/**
 * Ends the search of `get`, and answers with what was found. A search during which the key was invalidated is repeated
 * once, because the value that replaces the old one may be there: the record of another process's `set` often comes after
 * the value itself.
 */
async function searchOn(context: LaneContext, search: TierSearch, call: CallOptions): Promise<unknown> {
  const { key } = search;
  const answer = (last: TierSearch, found: Found | undefined): unknown => {
    if (found !== undefined) return serve(context, found, last, call);
    const { recorder } = context;
    for (const tier of last.missed) recorder.lookupMiss(tier);
    recorder.miss();
    context.recorder.notFound(key, last.reason);
    return undefined;
  };
  const first = await ended(context, search, (found, guard) => {
    return found === undefined && guard.isInvalidated ? undefined : { value: answer(search, found) };
  });
  if (first !== undefined) return first.value;
  const entry = freshInMemory(context, key, call);
  if (entry !== undefined) return heldValue(context, entry).valueFor(call.isolation);
  const again = search.again();
  return ended(context, again, (found) => answer(again, found));
}

/** Calls `done` in the step in which the search has ended. The guard knows whether the key was invalidated meanwhile. */
async function ended<T>(
  { shared, lane }: LaneContext,
  search: TierSearch,
  done: (found: Found | undefined, guard: InvalidationGuard) => T,
): Promise<T> {
  const guard = shared.log.open({ lane, key: search.key, tags: [] });
  try {
    return await search.whenEnded(guard, (found) => done(found, guard));
  } finally {
    shared.log.close(guard);
  }
}

/** `has`: whether a tier holds an entry that `get` would return. It counts, promotes and moves nothing. */
export async function has(context: LaneContext, key: string): Promise<boolean> {
  const { shared, lane } = context;
  checkKey(key, lane);
  look(context);
  if (isLagging(context)) await whenCaughtUp(context);
  if (bypassReason(context, key) !== undefined) return false;
  const entry = context.memory.peek(key);
  if (entry !== undefined && !isLagging(context)) {
    const expiresAt = expiryIfValid(context, entry);
    if (expiresAt !== undefined && shared.life.now() < expiresAt) return true;
  }
  const search = new TierSearch(context, key, context.defaults, 'peek').run();
  const isThere = await ended(context, search, (found, guard) => {
    return found === undefined && guard.isInvalidated ? undefined : found !== undefined;
  });
  return isThere ?? ended(context, search.again(), (found) => found !== undefined);
}

/** The value that one request gets from a tier. It is promoted first: a listener of the hit may invalidate it. */
function serve(context: LaneContext, found: Found, search: TierSearch, call: CallOptions): unknown {
  promote(context, found, call.refreshAhead);
  for (const missed of search.missed) context.recorder.lookupMiss(missed);
  context.recorder.hit(search.key, found.tier, found.record.computeMs);
  return found.encoded.valueFor(call.isolation);
}

/** Serves from memory if it can, and counts the hit. */
export function freshInMemory(context: LaneContext, key: string, call: CallOptions): MemoryEntry | undefined {
  const entry = entryInMemory(context, key);
  if (entry === undefined) return undefined;
  const now = context.shared.life.now();
  if (now >= entry.expiresAt || !matchesCall(context, entry, call)) return undefined;
  entry.accessCount++;
  entry.usedAt = now;
  context.recorder.hit(key, 'l1', entry.computeMs);
  return entry;
}

/** Starts at most one refresh in the background. The caller is answered already. */
function refreshIfDue(context: LaneContext, inFlight: InFlight, entry: MemoryEntry, asked: ComputeRequest): void {
  if (context.shared.life.now() < entry.refreshAt || inFlight.of(asked.key, 'refresh') !== undefined) return;
  inFlight.refresh({ ...asked, purpose: 'refresh' });
}

/** Why a request goes past the cache. Undefined if it does not. A `ttlMs` of 0 is a reason, because it stores nothing. */
export function bypassReason(context: LaneContext, key: string, ttlMs?: number): BypassReason | undefined {
  if (context.shared.memory.state.state === 'off') return 'closed';
  if (isPartitioned(context)) return 'stale-distributed';
  const { include, exclude } = context;
  if (exclude.length > 0 && matchesOne(exclude, key)) return 'excluded';
  if (include.length > 0 && !matchesOne(include, key)) return 'excluded';
  return ttlMs === 0 ? 'ttl-zero' : undefined;
}

function matchesOne(patterns: readonly KeyPattern[], key: string): boolean {
  for (const pattern of patterns) if (pattern.matchesKey(key)) return true;
  return false;
}

/** Reasons of calls whose key may be in the cache. Nothing is served under an excluded key, or once the cache is closed. */
export const HAS_OLDER: ReadonlySet<BypassReason> = new Set<BypassReason>(['ttl-zero', 'stale-distributed']);

/** Computes past the cache: nothing is looked up, shared or stored, and the caller gets the computation's own value. */
async function computeUncached(context: LaneContext, { key, compute, call }: ComputeRequest): Promise<unknown> {
  return compute(new FlightContext(context, new Flight(context.lane, key, compute, call, 'forced')));
}
