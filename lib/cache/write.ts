import { randomFraction } from '../clock/clock.js';
import { recordBytesOf } from '../entries/record.js';
import type { TierName } from '../entries/tier-name.js';
import type { RefusalReason } from '../events/reasons.js';
import { MemoryEntry, type MemoryEntryFields, recordOfEntry, requestedOf } from '../tiers/memory-tier.js';
import { FoundRecord, type TierRecord } from '../tiers/tier.js';
import type { CallOptions } from './call-options.js';
import type { EncodedValue } from './encoded-value.js';
import type { LaneContext } from './lane-context.js';
import type { Found } from './tier-lookup.js';

/** A value that may be stored, and what the lane's decision depends on. */
export interface CandidateValue {
  readonly key: string;
  readonly value: unknown;
  readonly encoded: EncodedValue;
  readonly tags: readonly string[];
  readonly ttlMs: number;
  readonly computeMs: number;
}

/** How a value is stored. */
export interface StoreParams {
  readonly birth: number;
  /** Orders values of one birth. */
  readonly flight: number;
  readonly call: Pick<CallOptions, 'graceMs' | 'jitterMs' | 'refreshAhead' | 'version'>;
  /** When it was expired while it was computed. */
  readonly expiredAt: number | undefined;
  /** computed: a caller asked for it, and no tier had it. given: the app stored it, or it was renewed. */
  readonly origin: 'computed' | 'given';
  /** The turn in which it was computed. */
  readonly turn?: string | undefined;
}

/** Why a value is returned and not stored. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly detail: string;
}

export const INVALIDATED: Refusal = Object.freeze({
  reason: 'fenced',
  detail: 'it was invalidated before it could be stored',
});

export const GIVEN_UP: Refusal = Object.freeze({
  reason: 'fenced',
  detail: 'it had been given up at its hardTimeout',
});

export const TURN_LOST: Refusal = Object.freeze({
  reason: 'fenced',
  detail: 'another process has taken over the turn to compute it',
});

export const PARTITIONED: Refusal = Object.freeze({
  reason: 'skip-cache',
  detail: 'this instance has been disconnected from the others for longer than maxStaleness',
});

/** Memory keeps an entry that the disk had no room for. */
const NO_ROOM = Object.freeze({
  backlog: { reason: 'backlog', detail: 'too much is waiting to be written to disk' },
  'disk-full': { reason: 'disk-full', detail: 'the disk is full' },
} as const satisfies Partial<Record<RefusalReason, Refusal>>);

/** Why the lane does not store a value, whenever it was computed. Undefined if it does. */
export function refusalOf(context: LaneContext, candidate: CandidateValue): Refusal | undefined {
  const { policy, strategy } = context;
  const { encoded, value } = candidate;
  if (value === undefined) return { reason: 'undefined', detail: 'undefined is not a value' };
  if (candidate.ttlMs === 0) return { reason: 'skip-cache', detail: 'its ttl is 0' };
  if (policy.isolation !== 'shared') {
    if (encoded.unstorable !== undefined) return { reason: 'unstorable', detail: encoded.unstorable };
    if (encoded.sizeBytes > policy.maxEntryBytes) {
      const detail = `${encoded.sizeBytes} bytes, more than maxEntryBytes of ${policy.maxEntryBytes}`;
      return { reason: 'too-large', detail };
    }
  }
  return strategy === undefined ? undefined : refusedByStrategy(context, candidate);
}

function refusedByStrategy(context: LaneContext, candidate: CandidateValue): Refusal | undefined {
  const { strategy, lane } = context;
  const { key, value, tags, computeMs, encoded } = candidate;
  const offered = { lane, key, value, tags, computeMs, sizeBytes: encoded.sizeBytes };
  if (strategy === undefined || strategy.shouldCache(offered)) return undefined;
  return { reason: 'strategy', detail: 'shouldCache returned false' };
}

/** Counts a value that is not stored, and emits it. */
export function refuse(context: LaneContext, key: string, refusal: Refusal): void {
  context.recorder.refuse(refusal.reason);
  context.history.refused(key, refusal.reason, refusal.detail);
  const { events } = context.shared;
  if (events.wants('refuse')) events.emit('refuse', { lane: context.lane, key, ...refusal });
}

/** Stores a value that counts, in this step: in the tiers below, and in memory. */
export function store(context: LaneContext, candidate: CandidateValue, params: StoreParams): void {
  const { key, encoded, tags, computeMs, ttlMs } = candidate;
  const { birth, flight, call, expiredAt } = params;
  const { shared, lane } = context;
  const { position } = shared.log;
  const storedAt = shared.life.now();
  const jitterMs = call.jitterMs > 0 ? Math.min(call.jitterMs * randomFraction(), ttlMs) : 0;
  const expiresAt = Math.min(storedAt + ttlMs - jitterMs, expiredAt ?? Infinity);
  const staleUntil = expiresAt + call.graceMs;
  if (!mayReplace(context, key, params)) return;
  shared.log.stored({ lane, key, tags, birth }, flight);
  const fields = { key, tags, birth, flight, storedAt, expiresAt, staleUntil, computeMs, schemaVersion: call.version };
  const entry = entryOf(context, encoded, call.refreshAhead, fields);
  const record = recordOf(context, entry, encoded, params.turn);
  if (context.eviction !== undefined) {
    context.eviction.requested(requestedOf(entry, record?.bytes.length ?? 0), params.origin);
  }
  const noRoom = place(context, position, entry, record);
  context.history.stored(key, { birth, tags, expiresAt });
  // Only now: a listener may invalidate the key.
  if (noRoom !== undefined) refuse(context, key, NO_ROOM[noRoom]);
  const { sizeBytes } = entry;
  if (shared.events.wants('store')) shared.events.emit('store', { lane, key, sizeBytes });
}

/** Copies what a tier had into the tiers above it, with its remaining life. */
export function promote(
  context: LaneContext,
  found: Found,
  refreshAhead: number | null,
  origin: 'found' | 'given' = 'found',
): void {
  const { record, encoded, expiresAt } = found;
  const { position } = context.shared.log;
  const { key, tags, birth, storedAt, computeMs, schemaVersion } = record;
  const staleUntil = expiresAt + (record.staleUntil - record.expiresAt);
  if (!mayReplace(context, key, { birth, flight: 0 })) return;
  const fields = { key, tags, birth, flight: 0, storedAt, expiresAt, staleUntil, computeMs, schemaVersion };
  const entry = entryOf(context, encoded, refreshAhead, fields);
  context.eviction?.requested(requestedOf(entry, recordBytesOf(record)), origin);
  const isNearest = context.shared.below[0]?.name === found.tier;
  place(context, position, entry, isNearest ? undefined : new FoundRecord(record, staleUntil), found.tier);
}

/**
 * The entry for memory. It takes the stamp of the moment in which the value was found to count: whatever is invalidated
 * while it is stored moves the stamp.
 */
function entryOf(
  { policy, shared }: LaneContext,
  encoded: EncodedValue,
  refreshAhead: number | null,
  fields: Omit<MemoryEntryFields, 'refreshAt' | 'sizeBytes' | 'stamp' | 'held'>,
): MemoryEntry {
  const { key, tags, birth, flight, storedAt, expiresAt, staleUntil, computeMs, schemaVersion } = fields;
  const refreshAt = refreshAhead === null ? Infinity : storedAt + (expiresAt - storedAt) * refreshAhead;
  // Spelled out, because the engine copies a spread object more slowly than all else that a miss does.
  return new MemoryEntry({
    key,
    tags,
    birth,
    flight,
    storedAt,
    expiresAt,
    staleUntil,
    refreshAt,
    computeMs,
    sizeBytes: encoded.sizeBytes,
    schemaVersion,
    stamp: shared.log.stamp,
    held: encoded.heldFor(policy.isolation),
  });
}

/**
 * Writes the record to the tiers below, or to those above the tier that has it, and then puts the entry into memory.
 * Returns why a tier had no room.
 *
 * A tier that fails or an eviction may call a listener or a strategy that invalidates this very key. That moves the log on
 * from `position`, at which the value was found to count. Then the rest is left out, and memory keeps nothing.
 */
function place(
  { lane, shared, memory }: LaneContext,
  position: number,
  entry: MemoryEntry,
  record: TierRecord | undefined,
  foundIn?: TierName,
): 'backlog' | 'disk-full' | undefined {
  const { log, below } = shared;
  let noRoom: 'backlog' | 'disk-full' | undefined;
  for (const tier of below) {
    if (record === undefined || tier.name === foundIn || log.position !== position) break;
    const answer = tier.write(lane, record);
    noRoom ??= answer;
  }
  if (log.position === position) memory.set(entry);
  if (log.position !== position) memory.delete(entry.key);
  return noRoom;
}

/** Whether a value of this birth and flight may replace what memory has. A computation may outlive the cache. */
function mayReplace(context: LaneContext, key: string, params: Pick<StoreParams, 'birth' | 'flight'>): boolean {
  if (context.shared.memory.state.state === 'off') return false;
  const present = context.memory.peek(key);
  if (present === undefined || present.birth < params.birth) return true;
  return present.birth === params.birth && present.flight <= params.flight;
}

/** The record of an entry for the tiers below. Undefined if they do not get it. */
function recordOf(
  { shared, policy }: LaneContext,
  entry: MemoryEntry,
  encoded: EncodedValue,
  turn: string | undefined,
): TierRecord | undefined {
  if (encoded.bytes === undefined || shared.below.length === 0 || policy.isolation === 'shared') return undefined;
  const { appVersion } = shared;
  return recordOfEntry(entry, { value: encoded.bytes, room: encoded.takeRoom(), appVersion, turn });
}
