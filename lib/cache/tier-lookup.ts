import { StaleType } from '../entries/codec/class-kinds.js';
import { openRecord, type OpenedRecord } from '../entries/record.js';
import type { TierName } from '../entries/tier-name.js';
import type { MissReason } from '../events/reasons.js';
import type { InvalidationGuard } from '../invalidation/lane-log.js';
import type { Candidate } from '../invalidation/invalidation-log.js';
import type { MemoryEntry } from '../tiers/memory-tier.js';
import type { TierLookup, TierRecord } from '../tiers/tier.js';
import type { LaneContext } from './lane-context.js';
import { EncodedValue } from './encoded-value.js';
import type { CallOptions, StandardSchema, StaleValue } from './call-options.js';
import type { GuardedTier } from './guarded-tier.js';

/** A record that may be served and promoted. */
export interface Found {
  readonly tier: TierName;
  readonly record: OpenedRecord;
  /** What the log judges of it. */
  readonly candidate: Candidate;
  readonly encoded: EncodedValue;
  /** Life time at which the record's ttl ends, an expiry on the way considered. */
  readonly expiresAt: number;
}

/** One look through the tiers below memory, from the nearest down, until one has a good record. */
export class TierSearch {
  found: Found | undefined;
  stale: StaleCopy | undefined;
  /** Why there is nothing, as far as the last tier that had something to say knows. */
  reason: MissReason = 'never-seen';
  /** Tiers that were asked and had nothing to serve. */
  readonly missed: TierName[] = [];
  private guard: InvalidationGuard | undefined;
  /** The log's position when what was found was judged. */
  private judgedAt = -1;

  constructor(
    private readonly context: LaneContext,
    private readonly key: string,
    private readonly call: Pick<CallOptions, 'version' | 'schema'>,
    private readonly look: 'read' | 'peek' = 'read',
  ) {}

  /** What the search finds from here on is for the flight behind this fence. Needed before anything is awaited. */
  guardedBy(guard: InvalidationGuard): this {
    this.guard = guard;
    return this;
  }

  /** Whether what was found still counts, in the step in which it is about to be served. */
  get stillCounts(): boolean {
    if (this.found === undefined) return false;
    const { log } = this.context.shared;
    // every record moves the position
    if (log.position === this.judgedAt && this.guard?.isInvalidated !== true) return true;
    const { candidate, expiresAt } = this.found;
    if (!log.counts(candidate, this.guard)) return false;
    const expired = log.expiredAt(candidate, this.guard);
    return expired === undefined || expired >= expiresAt;
  }

  /** Synchronous as long as the tiers are. */
  run(): TierSearch | Promise<TierSearch> {
    if (isPartitioned(this.context) || isLagging(this.context)) {
      this.reason = 'tier-off';
      return this;
    }
    return this.from(0);
  }

  /** What was found turned out not to count when it was about to be served: looks on below it. */
  discard(): TierSearch | Promise<TierSearch> {
    const { below } = this.context.shared;
    const index = below.findIndex((gate) => gate.name === this.found?.tier);
    if (this.found !== undefined) this.missed.push(this.found.tier);
    this.found = undefined;
    this.reason = 'invalidated';
    return this.from(index + 1);
  }

  private from(first: number): TierSearch | Promise<TierSearch> {
    const { below } = this.context.shared;
    for (let index = first; index < below.length; index++) {
      const gate = below[index];
      if (gate === undefined) break;
      const lookup = gate[this.look](this.context.lane, this.key);
      if (lookup instanceof Promise) {
        return lookup.then((answer) => {
          this.consider(gate, answer);
          return this.found === undefined ? this.from(index + 1) : this;
        });
      }
      this.consider(gate, lookup);
      if (this.found !== undefined) break;
    }
    return this;
  }

  private consider(gate: GuardedTier, lookup: TierLookup): void {
    if (lookup.outcome === 'off') {
      if (lookup.reason !== 'policy') this.reason = 'tier-off';
      return;
    }
    if (lookup.outcome === 'hit') this.judge(gate, lookup.record);
    if (this.found === undefined) this.missed.push(gate.name);
  }

  private judge(gate: GuardedTier, found: TierRecord): void {
    const { shared, lane } = this.context;
    try {
      const record = found.opened ?? openRecord(found.bytes);
      if (record.key !== this.key) return;
      this.judgedAt = shared.log.position;
      const { key, tags, birth } = record;
      const candidate = { lane, key, tags, birth };
      const refusal = this.refusalOf(gate, record, candidate);
      if (refusal !== undefined) {
        this.reason = refusal;
        return;
      }
      const expired = shared.log.expiredAt(candidate, this.guard);
      const expiresAt = expired === undefined ? record.expiresAt : Math.min(record.expiresAt, expired);
      const encoded = EncodedValue.from({ codec: shared.codec, lane }, record.value);
      this.take({ tier: gate.name, record, candidate, encoded, expiresAt });
    } catch (error) {
      this.reason = error instanceof StaleType ? 'version' : 'damaged';
      if (this.reason === 'damaged') this.context.recorder.tierError(gate.name);
    }
  }

  private take(found: Found): void {
    const { record, encoded, expiresAt } = found;
    const now = this.context.shared.life.now();
    if (!satisfies(this.call.schema, encoded)) {
      this.reason = 'schema';
    } else if (now < expiresAt) {
      this.found = found;
    } else {
      this.reason = 'expired';
      const staleUntil = expiresAt + (record.staleUntil - record.expiresAt);
      if (now < staleUntil) this.stale = fresherOf(this.stale, { ...record, encoded, expiresAt, staleUntil });
    }
  }

  private refusalOf(gate: GuardedTier, record: OpenedRecord, candidate: Candidate): MissReason | undefined {
    const { shared } = this.context;
    if (record.appVersion !== shared.appVersion || record.schemaVersion !== this.call.version) return 'version';
    if (!gate.trusts(record.birth) || !shared.log.counts(candidate, this.guard)) return 'invalidated';
    return undefined;
  }
}

/**
 * The entry in memory if it still counts; one that doesn't is removed. It may be past its ttl. None is found good again
 * while nothing may be served: a hit does not ask about that.
 */
export function entryInMemory(context: LaneContext, key: string): MemoryEntry | undefined {
  const entry = context.memory.get(key);
  if (entry === undefined || isPartitioned(context) || isLagging(context)) return undefined;
  const { log } = context.shared;
  if (entry.stamp === log.stamp) return entry;
  const candidate = { lane: context.lane, key, tags: entry.tags, birth: entry.birth };
  if (!log.counts(candidate)) {
    context.memory.delete(key);
    return undefined;
  }
  const expired = log.expiredAt(candidate);
  if (expired !== undefined) entry.expire(expired);
  entry.stamp = log.stamp;
  return entry;
}

/** Whether this reader's version and schema accept what the entry holds. */
export function isUsableFor(
  context: LaneContext,
  entry: MemoryEntry,
  call: Pick<CallOptions, 'version' | 'schema'>,
): boolean {
  if (entry.schemaVersion !== call.version) return false;
  return call.schema === undefined || satisfies(call.schema, heldValue(context, entry));
}

export function heldValue(context: LaneContext, entry: MemoryEntry): EncodedValue {
  return EncodedValue.held({ codec: context.shared.codec, lane: context.lane }, entry.held);
}

/** The entry as a copy to fall back on, if its grace has not ended. */
export function staleCopyOf(context: LaneContext, entry: MemoryEntry, now: number): StaleCopy | undefined {
  if (now >= entry.staleUntil) return undefined;
  const { key, tags, birth, storedAt, expiresAt, staleUntil } = entry;
  return { key, tags, birth, storedAt, expiresAt, staleUntil, encoded: heldValue(context, entry) };
}

/** What memory holds of a key as a copy to fall back on: it counts, and this reader's version and schema accept it. */
export function staleInMemory(
  context: LaneContext,
  key: string,
  call: Pick<CallOptions, 'version' | 'schema'>,
): StaleCopy | undefined {
  const entry = entryInMemory(context, key);
  if (entry === undefined || !isUsableFor(context, entry, call)) return undefined;
  return staleCopyOf(context, entry, context.shared.life.now());
}

/**
 * Whether a stored value fits a Standard Schema. A validator that answers later, or throws, does not fit: a cache that
 * had to wait for it would be slower than computing.
 */
function satisfies(schema: StandardSchema | undefined, encoded: EncodedValue): boolean {
  if (schema === undefined) return true;
  try {
    const result = schema['~standard'].validate(encoded.valueFor('clone'));
    if (typeof result !== 'object' || result === null || result instanceof Promise) return false;
    return !('issues' in result) || result.issues === undefined;
  } catch {
    return false;
  }
}

/** An entry past its ttl that may still be served for as long as its grace lasts, if it counts at that moment. */
export interface StaleCopy {
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
  readonly storedAt: number;
  readonly expiresAt: number;
  readonly staleUntil: number;
  readonly encoded: EncodedValue;
}

/** The copy whose ttl ended last. */
export function fresherOf(a: StaleCopy | undefined, b: StaleCopy | undefined): StaleCopy | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b.expiresAt > a.expiresAt ? b : a;
}

/** As the computation sees it. */
export function staleValueOf(copy: StaleCopy, now: number): StaleValue<unknown> {
  return {
    value: copy.encoded.valueFor('frozen'),
    ageMs: now - copy.storedAt,
    expiredMs: Math.max(0, now - copy.expiresAt),
  };
}

/** This instance has been away from the others for so long that nothing they share may be served or kept here. */
export function isPartitioned({ shared, policy }: Pick<LaneContext, 'shared' | 'policy'>): boolean {
  return shared.shared?.isStale === true && policy.l4.enabled;
}

/** This process was held up, and has yet to hear what others said meanwhile: what it holds may have been named. */
export function isLagging({ shared, policy }: Pick<LaneContext, 'shared' | 'policy'>): boolean {
  return shared.shared !== undefined && shared.life.now() >= shared.shared.caughtUpUntil && policy.l4.enabled;
}

/**
 * For a caller who comes when this process was held up: resolves as soon as the others have been heard again, in a moment.
 * To compute at once instead would hold up a busy process all the more. Undefined for everybody else.
 */
export function whenCaughtUp(context: Pick<LaneContext, 'shared' | 'policy'>): Promise<void> | undefined {
  return isLagging(context) ? context.shared.shared?.whenCaughtUp() : undefined;
}
