import { StaleType } from '../entries/codec/class-kinds.js';
import { decodeRecord, type DecodedRecord } from '../entries/record.js';
import type { TierName } from '../entries/tier-name.js';
import type { MissReason, TierOffReason } from '../events/reasons.js';
import type { Candidate } from '../invalidation/invalidation-log.js';
import type { InvalidationGuard } from '../invalidation/lane-log.js';
import type { MemoryEntry } from '../tiers/memory-tier.js';
import type { TierLookup } from '../tiers/tier.js';
import type { CallOptions, StandardSchema, StaleValue } from './call-options.js';
import { EncodedValue } from './encoded-value.js';
import type { GuardedTier } from './guarded-tier.js';
import { isLagging, isPartitioned, type LaneContext } from './lane-context.js';

/** A record that may be served and promoted. */
export interface Found {
  readonly tier: TierName;
  readonly record: DecodedRecord;
  /** What the log judges. */
  readonly candidate: Candidate;
  readonly encoded: EncodedValue;
  /** When the record's ttl ends, or when it was expired before that. */
  readonly expiresAt: number;
}

/** What the record of one tier is worth to one call. */
export type Verdict =
  | { readonly outcome: 'found'; readonly found: Found }
  | { readonly outcome: 'miss' }
  | { readonly outcome: 'off'; readonly reason: TierOffReason }
  /** Past its ttl. */
  | { readonly outcome: 'expired'; readonly stale: StaleCopy; readonly record: DecodedRecord }
  | {
      readonly outcome: 'unusable';
      readonly reason: 'invalidated' | 'version' | 'schema' | 'damaged';
      readonly record?: DecodedRecord;
      readonly error?: unknown;
    };

/** The options of a call that decide whether an entry fits. */
export type FitOptions = Pick<CallOptions, 'version' | 'schema'>;

const MISS: Verdict = Object.freeze({ outcome: 'miss' });

/** Decides whether what a tier below memory holds may be served: the one place for it. */
export function judge(
  context: LaneContext,
  asked: { readonly key: string; readonly call: FitOptions },
  tier: GuardedTier,
  lookup: TierLookup,
  guard?: InvalidationGuard,
): Verdict {
  if (lookup.outcome !== 'hit') return lookup;
  const { shared, lane } = context;
  const { key, call } = asked;
  let record: DecodedRecord | undefined;
  try {
    record = lookup.record.opened ?? decodeRecord(lookup.record.bytes);
    if (record.key !== key) return MISS;
    const { tags, birth } = record;
    const candidate = { lane, key, tags, birth };
    if (record.appVersion !== shared.appVersion || record.schemaVersion !== call.version)
      return { outcome: 'unusable', reason: 'version', record };
    if (!tier.trusts(birth) || !shared.log.counts(candidate, guard))
      return { outcome: 'unusable', reason: 'invalidated', record };
    const expired = shared.log.expiredAt(candidate, guard);
    const expiresAt = expired === undefined ? record.expiresAt : Math.min(record.expiresAt, expired);
    const encoded = EncodedValue.from({ codec: shared.codec, lane }, record.value);
    const now = shared.life.now();
    if (!satisfies(call.schema, encoded)) return { outcome: 'unusable', reason: 'schema', record };
    if (now < expiresAt) return { outcome: 'found', found: { tier: tier.name, record, candidate, encoded, expiresAt } };
    const staleUntil = expiresAt + (record.staleUntil - record.expiresAt);
    return { outcome: 'expired', record, stale: { ...record, encoded, expiresAt, staleUntil } };
  } catch (error) {
    const reason = error instanceof StaleType ? 'version' : 'damaged';
    return record === undefined
      ? { outcome: 'unusable', reason, error }
      : { outcome: 'unusable', reason, record, error };
  }
}

/** One search through the tiers below memory, from the nearest down, until one has a record that may be served. */
export class TierSearch {
  found: Found | undefined;
  stale: StaleCopy | undefined;
  /** Why nothing was found, by the last tier that knows a reason. */
  reason: MissReason = 'never-seen';
  /** Tiers that were asked and had nothing to serve. */
  readonly missed: TierName[] = [];
  /** The guard of the flight that searches. It must be set before anything is awaited. */
  guard: InvalidationGuard | undefined;
  /** The log's position when what was found was judged. */
  private judgedAt = -1;

  constructor(
    private readonly context: LaneContext,
    readonly key: string,
    readonly call: FitOptions,
    private readonly how: 'read' | 'peek' = 'read',
  ) {}

  /** Whether what was found still counts in the step in which it is served. */
  get stillCounts(): boolean {
    if (this.found === undefined) return false;
    const { log } = this.context.shared;
    // Every record moves the position.
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

  /** Drops what was found, because it no longer counts, and searches the tiers below. */
  discard(): TierSearch | Promise<TierSearch> {
    const { below } = this.context.shared;
    const index = below.findIndex((tier) => tier.name === this.found?.tier);
    if (this.found !== undefined) this.missed.push(this.found.tier);
    this.found = undefined;
    this.reason = 'invalidated';
    return this.from(index + 1);
  }

  private from(first: number): TierSearch | Promise<TierSearch> {
    const { below } = this.context.shared;
    for (let index = first; index < below.length; index++) {
      const tier = below[index];
      if (tier === undefined) break;
      const lookup = tier.read(this.context.lane, this.key, this.how);
      if (lookup instanceof Promise) {
        return lookup.then((answer) => {
          this.consider(tier, answer);
          return this.found === undefined ? this.from(index + 1) : this;
        });
      }
      this.consider(tier, lookup);
      if (this.found !== undefined) break;
    }
    return this;
  }

  private consider(tier: GuardedTier, lookup: TierLookup): void {
    const { shared, recorder } = this.context;
    // Before the judgement: a schema is the app's code, and may invalidate.
    const { position } = shared.log;
    const verdict = judge(this.context, this, tier, lookup, this.guard);
    if (verdict.outcome === 'found') {
      this.found = verdict.found;
      this.judgedAt = position;
      return;
    }
    if (verdict.outcome === 'off') {
      if (verdict.reason !== 'policy') this.reason = 'tier-off';
      return;
    }
    this.missed.push(tier.name);
    if (verdict.outcome === 'unusable') {
      this.reason = verdict.reason;
      if (verdict.reason === 'damaged') recorder.tierError(tier.name);
    } else if (verdict.outcome === 'expired') {
      this.reason = 'expired';
      if (shared.life.now() < verdict.stale.staleUntil) this.stale = fresherOf(this.stale, verdict.stale);
    }
  }
}

/**
 * The entry in memory if it still counts, also past its ttl. An entry that does not count is removed.
 *
 * While this instance may serve nothing, no entry is marked as checked, because a hit relies on that mark.
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

/** Whether the call's version and schema accept what the entry holds. */
export function isUsableFor(context: LaneContext, entry: MemoryEntry, call: FitOptions): boolean {
  if (entry.schemaVersion !== call.version) return false;
  return call.schema === undefined || satisfies(call.schema, heldValue(context, entry));
}

export function heldValue(context: LaneContext, entry: MemoryEntry): EncodedValue {
  return EncodedValue.held({ codec: context.shared.codec, lane: context.lane }, entry.held);
}

/** An entry past its ttl, or due for a refresh. It may be served until its grace ends, if it counts at that moment. */
export interface StaleCopy {
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
  readonly storedAt: number;
  readonly expiresAt: number;
  readonly staleUntil: number;
  readonly encoded: EncodedValue;
}

/** The entry as a stale copy, if its grace has not ended. */
export function staleCopyOf(context: LaneContext, entry: MemoryEntry, now: number): StaleCopy | undefined {
  if (now >= entry.staleUntil) return undefined;
  const { key, tags, birth, storedAt, expiresAt, staleUntil } = entry;
  return { key, tags, birth, storedAt, expiresAt, staleUntil, encoded: heldValue(context, entry) };
}

/** What memory holds of a key as a stale copy: it counts, and the call's version and schema accept it. */
export function staleInMemory(context: LaneContext, key: string, call: FitOptions): StaleCopy | undefined {
  const entry = entryInMemory(context, key);
  if (entry === undefined || !isUsableFor(context, entry, call)) return undefined;
  return staleCopyOf(context, entry, context.shared.life.now());
}

/** The copy whose ttl ended last. */
export function fresherOf(a: StaleCopy | undefined, b: StaleCopy): StaleCopy {
  return a === undefined || b.expiresAt > a.expiresAt ? b : a;
}

/** The stale copy as the computation sees it. */
export function staleValueOf(copy: StaleCopy, now: number): StaleValue<unknown> {
  return {
    value: copy.encoded.valueFor('frozen'),
    ageMs: now - copy.storedAt,
    expiredMs: Math.max(0, now - copy.expiresAt),
  };
}

/**
 * Whether a stored value fits a Standard Schema. A validator that returns a promise, or throws, does not fit: waiting for
 * it would make a hit slower than computing.
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
