import { randomFraction } from '../clock/random.js';
import { sealRecord } from '../entries/record.js';
import type { RefusalReason } from '../events/reasons.js';
import type { InvalidationGuard } from '../invalidation/lane-log.js';
import { FoundRecord } from '../tiers/tier.js';
import { MemoryEntry } from '../tiers/memory-tier.js';
import type { LaneContext } from './lane-context.js';
import type { EncodedValue } from './encoded-value.js';
import type { Found } from './tier-lookup.js';
import type { CallOptions } from './call-options.js';

/** A value that may be stored, and all that the lane decides by whether it is. */
export interface CandidateValue {
  readonly key: string;
  readonly value: unknown;
  readonly encoded: EncodedValue;
  readonly tags: readonly string[];
  readonly ttlMs: number;
  readonly computeMs: number;
}

/** How it lands. */
export interface StoreParams {
  readonly birth: number;
  /** Orders landings of one birth. */
  readonly flight: number;
  readonly call: Pick<CallOptions, 'graceMs' | 'jitterMs' | 'refreshAhead' | 'version'>;
  /** Life time at which it was put past its ttl on its way. */
  readonly expiredAt: number | undefined;
}

/** A value that is returned and not stored. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly detail: string;
}

/** What was computed had been invalidated before it could land. */
export const FENCED: Refusal = Object.freeze({
  reason: 'fenced',
  detail: 'it was invalidated while it was being computed',
});

/** Others may have said something since that is not known here. */
export const PARTITIONED: Refusal = Object.freeze({
  reason: 'skip-cache',
  detail: 'this instance has been cut off from the others for too long to know what others store',
});

/** Memory has what the disk had no room for. */
const NO_ROOM = Object.freeze({
  backlog: { reason: 'backlog', detail: 'too much is waiting to be written to disk' },
  'disk-full': { reason: 'disk-full', detail: 'the disk is full' },
} as const satisfies Partial<Record<RefusalReason, Refusal>>);

interface Life {
  readonly storedAt: number;
  readonly expiresAt: number;
  readonly staleUntil: number;
  readonly refreshAt: number;
}

/** What the lane has against storing a value, whenever it was computed; undefined if nothing. */
export function refusalOf(context: LaneContext, candidate: CandidateValue): Refusal | undefined {
  const { policy } = context;
  const { encoded, value } = candidate;
  if (value === undefined) return { reason: 'undefined', detail: 'undefined is not a value' };
  if (candidate.ttlMs === 0) return { reason: 'skip-cache', detail: 'its ttl is 0' };
  if (policy.isolation === 'shared') return refusedByStrategy(context, candidate);
  if (encoded.unstorable !== undefined) return { reason: 'unstorable', detail: encoded.unstorable };
  if (encoded.sizeBytes > policy.maxEntryBytes) {
    const detail = `${encoded.sizeBytes} bytes, more than maxEntryBytes of ${policy.maxEntryBytes}`;
    return { reason: 'too-large', detail };
  }
  return refusedByStrategy(context, candidate);
}

/** Counts a refusal and tells who listens. */
export function refuse(context: LaneContext, key: string, refusal: Refusal): void {
  context.recorder.refuse(refusal.reason);
  context.recent.refused(key, refusal.reason, refusal.detail);
  const { events } = context.shared;
  if (events.wants('refuse')) events.emit('refuse', { lane: context.lane, key, ...refusal });
}

/** Puts a value that was found to count, in this very step, into memory and behind it into the tiers below. */
export function store(context: LaneContext, candidate: CandidateValue, params: StoreParams): void {
  const life = lifeOf(context, candidate, params);
  const { key, encoded, tags, computeMs } = candidate;
  if (isClosed(context) || isOutdone(context, key, params)) return;
  const { birth, flight, call } = params;
  context.shared.log.stored({ lane: context.lane, key, tags, birth }, flight);
  const { sizeBytes } = encoded;
  const held = encoded.heldFor(context.policy.isolation);
  const stamp = context.shared.log.stamp;
  const schemaVersion = call.version;
  writeBelow(context, candidate, params, life);
  remember(
    context,
    new MemoryEntry({
      key,
      tags,
      birth,
      flight,
      storedAt: life.storedAt,
      expiresAt: life.expiresAt,
      staleUntil: life.staleUntil,
      refreshAt: life.refreshAt,
      computeMs,
      sizeBytes,
      schemaVersion,
      stamp,
      held,
    }),
  );
  context.recent.stored(key, { birth, tags, expiresAt: life.expiresAt });
  const { events } = context.shared;
  if (events.wants('store')) events.emit('store', { lane: context.lane, key, sizeBytes });
}

/** Copies what a tier below had into the tiers above it, with the life that remains. */
export function promote(context: LaneContext, found: Found, refreshAhead: number | null): void {
  const { record, encoded } = found;
  const { key, tags, birth, storedAt, computeMs, schemaVersion } = record;
  if (isClosed(context) || isOutdone(context, key, { birth, flight: 0 })) return;
  const { expiresAt } = found;
  const staleUntil = expiresAt + (record.staleUntil - record.expiresAt);
  const refreshAt = refreshPoint(storedAt, expiresAt, refreshAhead);
  const held = encoded.heldFor(context.policy.isolation);
  const { stamp } = context.shared.log;
  for (const gate of context.shared.below) {
    if (gate.name === found.tier) break;
    gate.write(context.lane, new FoundRecord(record, staleUntil));
  }
  remember(
    context,
    new MemoryEntry({
      key,
      tags,
      birth,
      flight: 0,
      storedAt,
      expiresAt,
      staleUntil,
      refreshAt,
      computeMs,
      sizeBytes: encoded.sizeBytes,
      schemaVersion,
      stamp,
      held,
    }),
  );
}

/**
 * Into memory, last of all tiers: what has to go for it may make a listener or a strategy say something about this very
 * key, which then comes behind what was written below, and leaves nothing here.
 */
function remember(context: LaneContext, entry: MemoryEntry): void {
  const { log } = context.shared;
  const { position } = log;
  context.memory.set(entry);
  if (log.position !== position) context.memory.delete(entry.key);
}

/** A computation may outlive the cache. */
function isClosed(context: LaneContext): boolean {
  return context.shared.memory.state.state === 'off';
}

/** Whether memory holds an entry that a landing of this birth and flight must not replace. */
function isOutdone(context: LaneContext, key: string, params: Pick<StoreParams, 'birth' | 'flight'>): boolean {
  const there = context.memory.peek(key);
  if (there === undefined || there.birth < params.birth) return false;
  return there.birth > params.birth || there.flight > params.flight;
}

function lifeOf(context: LaneContext, { ttlMs }: CandidateValue, { call, expiredAt }: StoreParams): Life {
  const storedAt = context.shared.life.now();
  const jitterMs = call.jitterMs > 0 ? Math.min(call.jitterMs * randomFraction(), ttlMs) : 0;
  const expiresAt = Math.min(storedAt + ttlMs - jitterMs, expiredAt ?? Infinity);
  const staleUntil = expiresAt + call.graceMs;
  return { storedAt, expiresAt, staleUntil, refreshAt: refreshPoint(storedAt, expiresAt, call.refreshAhead) };
}

function refreshPoint(storedAt: number, expiresAt: number, refreshAhead: number | null): number {
  return refreshAhead === null ? Infinity : storedAt + (expiresAt - storedAt) * refreshAhead;
}

function writeBelow(context: LaneContext, candidate: CandidateValue, { birth, call }: StoreParams, life: Life): void {
  const { encoded, key, tags, computeMs } = candidate;
  const { lane, shared } = context;
  if (encoded.bytes === undefined || shared.below.length === 0 || context.policy.isolation === 'shared') return;
  const { storedAt, expiresAt, staleUntil } = life;
  const bytes = sealRecord({
    key,
    tags,
    birth,
    storedAt,
    expiresAt,
    staleUntil,
    computeMs,
    appVersion: shared.appVersion,
    schemaVersion: call.version,
    value: encoded.bytes,
  });
  const record = { key, tags, birth, expiresAt: staleUntil, computeMs, bytes };
  const answers = shared.below.map((gate) => gate.write(lane, record));
  const noRoom = answers.find((answer) => answer !== undefined);
  if (noRoom !== undefined) refuse(context, key, NO_ROOM[noRoom]);
}

function refusedByStrategy(context: LaneContext, candidate: CandidateValue): Refusal | undefined {
  const { strategy, lane, shared } = context;
  if (strategy === undefined) return undefined;
  const { key, value, tags, computeMs, encoded } = candidate;
  try {
    const offered = { lane, key, value, tags, computeMs, sizeBytes: encoded.sizeBytes };
    return strategy.shouldCache(offered) ? undefined : { reason: 'strategy', detail: 'shouldCache said no' };
  } catch (error) {
    shared.warnOnce(`strategy:${lane}`, `shouldCache of lane '${lane}' threw and was taken as yes: ${String(error)}`);
    return undefined;
  }
}

/** Whether what `fence` guards still counts, judged by its final tags. */
export function mayStore(context: LaneContext, guard: InvalidationGuard, tags: readonly string[]): boolean {
  return context.shared.log.counts({ lane: context.lane, key: guard.subject.key, tags, birth: guard.birth }, guard);
}
