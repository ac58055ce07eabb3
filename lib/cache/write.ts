import { randomFraction } from '../clock/random.js';
import { sealRecord } from '../entries/record.js';
import type { RefusalReason } from '../events/reasons.js';
import type { Fence } from '../invalidation/lane-log.js';
import { FoundRecord } from '../tiers/tier.js';
import { MemoryEntry } from '../tiers/memory-tier.js';
import type { LaneSpace } from './lane-context.js';
import type { Payload } from './encoded-value.js';
import type { Found } from './tier-lookup.js';
import type { Terms } from './call-options.js';

/** A value that may be stored, and all that the lane decides by whether it is. */
export interface Brought {
  readonly key: string;
  readonly value: unknown;
  readonly payload: Payload;
  readonly tags: readonly string[];
  readonly ttlMs: number;
  readonly computeMs: number;
}

/** How it lands. */
export interface Landing {
  readonly birth: number;
  /** Orders landings of one birth. */
  readonly flight: number;
  readonly terms: Pick<Terms, 'graceMs' | 'jitterMs' | 'refreshAhead' | 'version'>;
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
export const CUT_OFF: Refusal = Object.freeze({
  reason: 'skip-cache',
  detail: 'this instance has been cut off from the others for too long to know what others store',
});

/** Memory has what the disk had no room for. */
const NO_ROOM = Object.freeze({
  backlog: { reason: 'backlog', detail: 'too much is waiting to be written to disk' },
  'disk-full': { reason: 'disk-full', detail: 'the disk is full' },
} as const satisfies Partial<Record<RefusalReason, Refusal>>);

interface Life {
  readonly landedAt: number;
  readonly expiresAt: number;
  readonly staleUntil: number;
  readonly refreshAt: number;
}

/** What the lane has against storing a value, whenever it was computed; undefined if nothing. */
export function refusalOf(space: LaneSpace, brought: Brought): Refusal | undefined {
  const { policy } = space;
  const { payload, value } = brought;
  if (value === undefined) return { reason: 'undefined', detail: 'undefined is not a value' };
  if (brought.ttlMs === 0) return { reason: 'skip-cache', detail: 'its ttl is 0' };
  if (policy.isolation === 'shared') return refusedByStrategy(space, brought);
  if (payload.unstorable !== undefined) return { reason: 'unstorable', detail: payload.unstorable };
  if (payload.sizeBytes > policy.maxEntryBytes) {
    const detail = `${payload.sizeBytes} bytes, more than maxEntryBytes of ${policy.maxEntryBytes}`;
    return { reason: 'too-large', detail };
  }
  return refusedByStrategy(space, brought);
}

/** Counts a refusal and tells who listens. */
export function refuse(space: LaneSpace, key: string, refusal: Refusal): void {
  space.recorder.refuse(refusal.reason);
  space.recent.refused(key, refusal.reason, refusal.detail);
  const { events } = space.parts;
  if (events.wants('refuse')) events.emit('refuse', { lane: space.lane, key, ...refusal });
}

/** Puts a value that was found to count, in this very step, into memory and behind it into the tiers below. */
export function land(space: LaneSpace, brought: Brought, landing: Landing): void {
  const life = lifeOf(space, brought, landing);
  const { key, payload, tags, computeMs } = brought;
  if (isClosed(space) || isOutdone(space, key, landing)) return;
  const { birth, flight, terms } = landing;
  space.parts.log.landed({ lane: space.lane, key, tags, birth }, flight);
  const { sizeBytes } = payload;
  const held = payload.hold(space.policy.isolation);
  const stamp = space.parts.log.stamp;
  const schemaVersion = terms.version;
  writeBelow(space, brought, landing, life);
  remember(
    space,
    new MemoryEntry({
      key,
      tags,
      birth,
      flight,
      landedAt: life.landedAt,
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
  space.recent.stored(key, { birth, tags, expiresAt: life.expiresAt });
  const { events } = space.parts;
  if (events.wants('store')) events.emit('store', { lane: space.lane, key, sizeBytes });
}

/** Copies what a tier below had into the tiers above it, with the life that remains. */
export function promote(space: LaneSpace, found: Found, refreshAhead: number | null): void {
  const { record, payload } = found;
  const { key, tags, birth, landedAt, computeMs, schemaVersion } = record;
  if (isClosed(space) || isOutdone(space, key, { birth, flight: 0 })) return;
  const { expiresAt } = found;
  const staleUntil = expiresAt + (record.staleUntil - record.expiresAt);
  const refreshAt = refreshPoint(landedAt, expiresAt, refreshAhead);
  const held = payload.hold(space.policy.isolation);
  const { stamp } = space.parts.log;
  for (const gate of space.parts.below) {
    if (gate.name === found.tier) break;
    gate.write(space.lane, new FoundRecord(record, staleUntil));
  }
  remember(
    space,
    new MemoryEntry({
      key,
      tags,
      birth,
      flight: 0,
      landedAt,
      expiresAt,
      staleUntil,
      refreshAt,
      computeMs,
      sizeBytes: payload.sizeBytes,
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
function remember(space: LaneSpace, entry: MemoryEntry): void {
  const { log } = space.parts;
  const { position } = log;
  space.memory.set(entry);
  if (log.position !== position) space.memory.delete(entry.key);
}

/** A computation may outlive the cache. */
function isClosed(space: LaneSpace): boolean {
  return space.parts.memory.state.state === 'off';
}

/** Whether memory holds an entry that a landing of this birth and flight must not replace. */
function isOutdone(space: LaneSpace, key: string, landing: Pick<Landing, 'birth' | 'flight'>): boolean {
  const there = space.memory.peek(key);
  if (there === undefined || there.birth < landing.birth) return false;
  return there.birth > landing.birth || there.flight > landing.flight;
}

function lifeOf(space: LaneSpace, { ttlMs }: Brought, { terms, expiredAt }: Landing): Life {
  const landedAt = space.parts.life.now();
  const jitterMs = terms.jitterMs > 0 ? Math.min(terms.jitterMs * randomFraction(), ttlMs) : 0;
  const expiresAt = Math.min(landedAt + ttlMs - jitterMs, expiredAt ?? Infinity);
  const staleUntil = expiresAt + terms.graceMs;
  return { landedAt, expiresAt, staleUntil, refreshAt: refreshPoint(landedAt, expiresAt, terms.refreshAhead) };
}

function refreshPoint(landedAt: number, expiresAt: number, refreshAhead: number | null): number {
  return refreshAhead === null ? Infinity : landedAt + (expiresAt - landedAt) * refreshAhead;
}

function writeBelow(space: LaneSpace, brought: Brought, { birth, terms }: Landing, life: Life): void {
  const { payload, key, tags, computeMs } = brought;
  const { lane, parts } = space;
  if (payload.bytes === undefined || parts.below.length === 0 || space.policy.isolation === 'shared') return;
  const { landedAt, expiresAt, staleUntil } = life;
  const bytes = sealRecord({
    key,
    tags,
    birth,
    landedAt,
    expiresAt,
    staleUntil,
    computeMs,
    appVersion: parts.appVersion,
    schemaVersion: terms.version,
    value: payload.bytes,
  });
  const record = { key, tags, birth, expiresAt: staleUntil, computeMs, bytes };
  const answers = parts.below.map((gate) => gate.write(lane, record));
  const noRoom = answers.find((answer) => answer !== undefined);
  if (noRoom !== undefined) refuse(space, key, NO_ROOM[noRoom]);
}

function refusedByStrategy(space: LaneSpace, brought: Brought): Refusal | undefined {
  const { strategy, lane, parts } = space;
  if (strategy === undefined) return undefined;
  const { key, value, tags, computeMs, payload } = brought;
  try {
    const candidate = { lane, key, value, tags, computeMs, sizeBytes: payload.sizeBytes };
    return strategy.shouldCache(candidate) ? undefined : { reason: 'strategy', detail: 'shouldCache said no' };
  } catch (error) {
    parts.warnOnce(`strategy:${lane}`, `shouldCache of lane '${lane}' threw and was taken as yes: ${String(error)}`);
    return undefined;
  }
}

/** Whether what `fence` guards still counts, judged by its final tags. */
export function mayLand(space: LaneSpace, fence: Fence, tags: readonly string[]): boolean {
  return space.parts.log.counts({ lane: space.lane, key: fence.subject.key, tags, birth: fence.birth }, fence);
}
