import type { BypassReason } from '../events/reasons.js';
import type { MemoryEntry } from '../tiers/memory-tier.js';
import {
  isPartitioned,
  entryInMemory,
  heldValue,
  staleCopyOf,
  staleInMemory,
  isUsableFor,
  isLagging,
  TierSearch,
} from './tier-lookup.js';
import type { InFlight } from './in-flight/in-flight.js';
import type { LaneContext } from './lane-context.js';
import type { Compute, CallOptions, EntryOptions } from './call-options.js';
import { refuseReentry } from './reentrancy.js';
import { hasDefaultReadOptions } from './validate-call.js';
import { promote } from './write.js';
import { Flight, FlightContext } from './in-flight/computation.js';

/** Counts a request that goes past the cache. */
export function bypass(context: LaneContext, key: string, reason: BypassReason): void {
  context.recorder.bypass(reason);
  const { events } = context.shared;
  if (events.wants('bypass')) events.emit('bypass', { lane: context.lane, key, reason });
}

/** Why this key is not for the cache at all; undefined if it is. */
export function bypassReason(context: LaneContext, key: string): BypassReason | undefined {
  if (context.shared.memory.state.state === 'off') return 'closed';
  if (isPartitioned(context)) return 'stale-distributed';
  const { include, exclude } = context;
  if (exclude.some((pattern) => pattern.matches(key))) return 'excluded';
  if (include.length > 0 && !include.some((pattern) => pattern.matches(key))) return 'excluded';
  return undefined;
}

/** Whether a request for this key goes past the cache; counted if so. */
export function isBypassed(context: LaneContext, key: string): boolean {
  const reason = bypassReason(context, key);
  if (reason !== undefined) bypass(context, key, reason);
  return reason !== undefined;
}

/** Serves from memory if it can, counting the hit. */
export function freshInMemory(context: LaneContext, key: string, call: CallOptions): MemoryEntry | undefined {
  const entry = entryInMemory(context, key);
  if (entry === undefined) return undefined;
  const now = context.shared.life.now();
  if (now >= entry.expiresAt || !isUsableFor(context, entry, call)) return undefined;
  entry.accessCount++;
  entry.usedAt = now;
  context.recorder.hit('l1', entry.computeMs);
  const { events } = context.shared;
  if (events.wants('hit')) events.emit('hit', { lane: context.lane, key, tier: 'l1' });
  return entry;
}

/** Answers a request that the quick look into memory did not. */
export function request(
  context: LaneContext,
  inFlight: InFlight,
  asked: { readonly key: string; readonly compute: Compute<unknown>; readonly call: CallOptions },
): Promise<unknown> {
  const { key, compute, call } = asked;
  const reason = bypassReason(context, key) ?? (call.ttlMs === 0 ? 'ttl-zero' : undefined);
  if (reason !== undefined) {
    bypass(context, key, reason);
    return computeUncached(context, key, compute, call);
  }
  if (call.forceFresh) {
    bypass(context, key, 'forced');
    refuseReentry(context.shared.scopes.current, context.lane, key);
    return inFlight.request({ key, compute, call, purpose: 'forced', stale: staleInMemory(context, key, call) });
  }
  const entry = freshInMemory(context, key, call);
  if (entry !== undefined) {
    renewIfDue(context, inFlight, entry, asked);
    return Promise.resolve(heldValue(context, entry).valueFor(call.isolation));
  }
  refuseReentry(context.shared.scopes.current, context.lane, key);
  return inFlight.request({ key, compute, call, purpose: 'request', stale: staleInMemory(context, key, call) });
}

/** One renewal in the background; the caller has been answered already. */
function renewIfDue(
  context: LaneContext,
  inFlight: InFlight,
  entry: MemoryEntry,
  asked: { readonly key: string; readonly compute: Compute<unknown>; readonly call: CallOptions },
): void {
  const now = context.shared.life.now();
  if (now < entry.refreshAt || inFlight.of(asked.key, 'renewal') !== undefined) return;
  const stale = staleCopyOf(context, entry, now);
  inFlight.launch({ ...asked, purpose: 'renewal', stale });
}

/**
 * The hottest path there is: the resolved promise of an entry that can be handed out as it stands. It is found by one
 * look into memory, one compare with the log and one with the clock; all else takes the long way, and so does a doubt.
 */
export function quickHit(
  context: LaneContext,
  key: string,
  options: EntryOptions | undefined,
): Promise<unknown> | undefined {
  if (options !== undefined && !hasDefaultReadOptions(options)) return undefined;
  const { shared, recorder } = context;
  const entry = context.memory.get(key);
  if (entry === undefined || entry.stamp !== shared.log.stamp || entry.schemaVersion !== 0) return undefined;
  const now = shared.life.now();
  if (now >= entry.quietUntil || (shared.shared !== undefined && now >= shared.shared.caughtUpUntil)) return undefined;
  entry.accessCount++;
  entry.usedAt = now;
  recorder.hit('l1', entry.computeMs);
  if (shared.events.wants('hit')) shared.events.emit('hit', { lane: context.lane, key, tier: 'l1' });
  entry.promise ??= Promise.resolve(entry.held.kind === 'value' ? entry.held.value : undefined);
  return entry.promise;
}

type LookupOptions = Pick<CallOptions, 'version' | 'schema' | 'isolation'>;

/** Finds a key in the tiers without computing it, waiting for a flight, or serving anything past its ttl. */
export async function lookUp(context: LaneContext, key: string, call: LookupOptions): Promise<unknown> {
  const { recorder, shared, lane } = context;
  const entry = entryInMemory(context, key);
  const now = shared.life.now();
  if (entry !== undefined && now < entry.expiresAt && isUsableFor(context, entry, call)) {
    entry.accessCount++;
    entry.usedAt = now;
    recorder.hit('l1', entry.computeMs);
    if (shared.events.wants('hit')) shared.events.emit('hit', { lane, key, tier: 'l1' });
    return heldValue(context, entry).valueFor(call.isolation);
  }
  const guard = shared.log.open({ lane, key, tags: [] });
  try {
    let search = new TierSearch(context, key, call).guardedBy(guard).run();
    for (;;) {
      const done = search instanceof Promise ? await search : search;
      const { found } = done;
      if (found === undefined) return missed(context, key, done);
      if (done.stillCounts) {
        for (const tier of done.missed) recorder.lookupMiss(tier);
        recorder.hit(found.tier, found.record.computeMs);
        if (shared.events.wants('hit')) shared.events.emit('hit', { lane, key, tier: found.tier });
        promote(context, found, context.call.refreshAhead);
        return found.encoded.valueFor(call.isolation);
      }
      search = done.discard();
    }
  } finally {
    shared.log.close(guard);
  }
}

/** Whether a tier holds a good entry: nothing is counted, promoted or moved. */
export async function isThere(context: LaneContext, key: string): Promise<boolean> {
  const { shared, lane } = context;
  const now = shared.life.now();
  const entry = context.memory.peek(key);
  if (entry !== undefined && now < entry.expiresAt && !isLagging(context)) {
    const candidate = { lane, key, tags: entry.tags, birth: entry.birth };
    if (shared.log.counts(candidate) && shared.log.expiredAt(candidate) === undefined) return true;
  }
  const guard = shared.log.open({ lane, key, tags: [] });
  try {
    const search = await new TierSearch(context, key, context.call, 'peek').guardedBy(guard).run();
    return search.found !== undefined;
  } finally {
    shared.log.close(guard);
  }
}

function missed(context: LaneContext, key: string, search: TierSearch): undefined {
  const { recorder, shared, lane } = context;
  for (const tier of search.missed) recorder.lookupMiss(tier);
  recorder.miss();
  if (shared.events.wants('miss')) shared.events.emit('miss', { lane, key, reason: search.reason });
  return undefined;
}

/** Computes past the cache: nothing is looked up, shared or stored, and what comes back is the computation's own value. */
async function computeUncached(
  context: LaneContext,
  key: string,
  compute: Compute<unknown>,
  call: CallOptions,
): Promise<unknown> {
  return compute(new FlightContext(context, new Flight(key, compute, call, 'forced')));
}
