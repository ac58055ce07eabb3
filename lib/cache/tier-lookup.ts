import { StaleType } from '../entries/codec/class-kinds.js';
import { decodeRecord, type DecodedRecord, type RecordReader, TreeRecord } from '../entries/record.js';
import type { TierName } from '../entries/tier-name.js';
import type { MissReason, TierOffReason } from '../events/reasons.js';
import type { InvalidationGuard } from '../invalidation/lane-log.js';
import type { MemoryEntry } from '../tiers/memory-tier.js';
import type { TierLookup } from '../tiers/tier.js';
import type { CallOptions, StaleValue } from './call-options.js';
import { EncodedValue } from './encoded-value.js';
import type { GuardedTier } from './guarded-tier.js';
import { isLagging, isPartitioned, type LaneContext, type Tracing } from './lane-context.js';

/** A record that may be served and promoted. */
export interface Found {
  readonly tier: TierName;
  readonly record: DecodedRecord;
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

/** The options of a call that decide whether an entry fits, in which form its value is wanted, and how soon. */
export type MatchOptions = Pick<CallOptions, 'version' | 'schema' | 'isolation' | 'hardTimeoutMs'>;

const MISS: Verdict = Object.freeze({ outcome: 'miss' });
const UNREADABLE: Verdict = Object.freeze({
  outcome: 'unusable',
  reason: 'version',
  error: new Error('only another release of the library, or another Node, can read it'),
});

/**
 * When the ttl of what a tier holds ends: by itself, or by an expiry since. Undefined if it no longer counts. Everything
 * that is served or listed is judged here.
 */
export function expiryIfValid(
  { shared: { log }, lane }: LaneContext,
  held: { readonly key: string; readonly tags: readonly string[]; readonly birth: number; readonly expiresAt: number },
  guard?: InvalidationGuard,
): number | undefined {
  const { key, tags, birth, expiresAt } = held;
  const candidate = { lane, key, tags, birth };
  if (!log.counts(candidate, guard)) return undefined;
  const expiredAt = log.expiredAt(candidate, guard);
  return expiredAt === undefined ? expiresAt : Math.min(expiresAt, expiredAt);
}

/**
 * Decides whether what a tier below memory holds may be served. A promise while an asynchronous validator is at work.
 */
function judge(
  context: LaneContext,
  search: TierSearch,
  tier: GuardedTier,
  lookup: TierLookup,
): Verdict | Promise<Verdict> {
  if (lookup.outcome === 'unreadable') return UNREADABLE;
  if (lookup.outcome !== 'hit') return lookup;
  const { shared, lane } = context;
  const { key, call, guard } = search;
  let record: DecodedRecord | undefined;
  try {
    record = lookup.record.opened ?? decodeRecord(lookup.record.bytes);
    if (record.key !== key) return MISS;
    if (record.appVersion !== shared.appVersion || record.schemaVersion !== call.version)
      return { outcome: 'unusable', reason: 'version', record };
    const expiresAt = tier.trusts(record.birth) ? expiryIfValid(context, record, guard) : undefined;
    if (expiresAt === undefined) return { outcome: 'unusable', reason: 'invalidated', record };
    const encoding = { codec: shared.codec, lane };
    const encoded =
      record instanceof TreeRecord
        ? EncodedValue.ofTree(encoding, record.tree, record.valueBytes)
        : EncodedValue.from(encoding, record.value);
    const found: Found = { tier: tier.name, record, encoded, expiresAt };
    if (call.schema === undefined) return worthOf(found, lookup.at ?? shared.life.now());
    const fits = call.schema.fits(record, () => encoded);
    const verdict = (does: boolean): Verdict =>
      does ? worthOf(found, shared.life.now()) : { outcome: 'unusable', reason: 'schema', record: found.record };
    return typeof fits === 'boolean' ? verdict(fits) : fits.then(verdict);
  } catch (error) {
    const reason = error instanceof StaleType ? 'version' : 'damaged';
    return record === undefined
      ? { outcome: 'unusable', reason, error }
      : { outcome: 'unusable', reason, record, error };
  }
}

/** What a record that counts and fits the schema is worth at `now`. */
function worthOf(found: Found, now: number): Verdict {
  const { record, encoded, expiresAt } = found;
  if (now < expiresAt) return { outcome: 'found', found };
  const staleUntil = expiresAt + (record.staleUntil - record.expiresAt);
  return { outcome: 'expired', record, stale: { ...record, encoded, expiresAt, staleUntil } };
}

/** What each tier answered, for an explanation. */
export type SearchTrace = Map<TierName, Verdict>;

/** An example stays in memory beyond the limits of its lane. */
const EXAMPLE_BYTES = 4 * 1024;

/** One search through the tiers below memory, from the nearest down, until one has a record that may be served. */
export class TierSearch {
  found: Found | undefined;
  stale: StaleCopy | undefined;
  /** Why nothing was found, by the last tier that knows a reason. */
  reason: MissReason = 'never-seen';
  /** Tiers that were asked and had nothing to serve. */
  readonly missed: TierName[] = [];
  /** A tier has a record of the key that the call cannot use, or cannot be asked. */
  mayHoldOlder = false;
  /** Collects what is invalidated while tiers are awaited. */
  guard: InvalidationGuard | undefined;
  readonly startedAt: number;
  /** The answer of a tier that is awaited. */
  private pending: Promise<void> | undefined;
  /** The log's position when what was found was judged. */
  private judgedAt = -1;

  constructor(
    private readonly context: LaneContext,
    readonly key: string,
    readonly call: MatchOptions,
    private readonly how: 'read' | 'peek' = 'read',
    /** Entries that were stored earlier are not taken (epoch ms, exclusive). */
    private readonly storedAfter = -Infinity,
  ) {
    this.startedAt = context.shared.clock.monotonic();
  }

  /** Starts the search. It ends in the same step if the tiers are synchronous. */
  run(): this {
    if (isPartitioned(this.context) || isLagging(this.context)) {
      this.reason = 'tier-off';
      this.mayHoldOlder = true;
    } else this.pending = this.from(0);
    return this;
  }

  /** The same search, started anew: what was invalidated before it does not concern it. */
  again(): TierSearch {
    return new TierSearch(this.context, this.key, this.call, this.how, this.storedAfter).run();
  }

  /** Asks all tiers, also below the one that has the record, and notes what each answers. It counts nothing. */
  async traced(): Promise<SearchTrace> {
    const trace: SearchTrace = new Map();
    await this.from(0, trace);
    return trace;
  }

  /** What was found, if the search has ended and it still counts. */
  get servable(): Found | undefined {
    if (this.pending !== undefined || this.found === undefined) return undefined;
    return this.stillCounts(this.found) ? this.found : undefined;
  }

  /**
   * Calls `done` in the step in which the search ends. What was found is judged again in that step. If it no longer
   * counts, the search goes on below the tier that had it. The guard must have been opened in the step of `run`.
   */
  whenEnded<T>(guard: InvalidationGuard, done: (found: Found | undefined) => T): T | Promise<T> {
    this.guard = guard;
    const { pending } = this;
    if (pending !== undefined) {
      this.pending = undefined;
      return pending.then(() => this.whenEnded(guard, done));
    }
    if (this.found === undefined || this.stillCounts(this.found)) return done(this.found);
    this.discard();
    return this.whenEnded(guard, done);
  }

  private stillCounts({ record, expiresAt }: Found): boolean {
    // Every record moves the position.
    if (this.context.shared.log.position === this.judgedAt && this.guard?.isInvalidated !== true) return true;
    const valid = expiryIfValid(this.context, record, this.guard);
    return valid !== undefined && valid >= expiresAt;
  }

  private discard(): void {
    const { below } = this.context.shared;
    const index = below.findIndex((tier) => tier.name === this.found?.tier);
    if (this.found !== undefined) this.missed.push(this.found.tier);
    this.found = undefined;
    this.reason = 'invalidated';
    this.mayHoldOlder = true;
    this.pending = this.from(index + 1);
  }

  private from(first: number, trace?: SearchTrace): Promise<void> | undefined {
    const { lane, shared } = this.context;
    const { patienceMs } = this;
    for (let index = first; index < shared.below.length; index++) {
      const tier = shared.below[index];
      if (tier === undefined) break;
      const reader = trace === undefined && this.wantsValueAlone ? shared.reader : undefined;
      const lookup =
        shared.tracing === undefined
          ? tier.read(lane, this.key, this.how, reader, patienceMs)
          : this.followed(tier, shared.tracing, reader);
      if (lookup instanceof Promise) {
        return lookup.then((answer) => this.goOn(this.takes(tier, answer, trace), index + 1, trace));
      }
      if (lookup.outcome === 'miss' && trace === undefined) {
        this.missed.push(tier.name);
        continue;
      }
      const taken = this.takes(tier, lookup, trace);
      if (typeof taken !== 'boolean') return taken.then((ends) => this.goOn(ends, index + 1, trace));
      if (taken) break;
    }
    return undefined;
  }

  /** Whether a shared frozen value is all that becomes of a record: no copy for the caller, and no tier above to write it to. */
  private get wantsValueAlone(): boolean {
    const { call, how, missed } = this;
    return (
      how === 'read' &&
      missed.length === 0 &&
      call.schema === undefined &&
      call.isolation === 'frozen' &&
      this.context.policy.isolation === 'frozen'
    );
  }

  /** Half of the caller's time is left for the computation. */
  private get patienceMs(): number | undefined {
    const { hardTimeoutMs } = this.call;
    return hardTimeoutMs === null ? undefined : hardTimeoutMs / 2;
  }

  private followed(
    tier: GuardedTier,
    tracing: Tracing,
    reader: RecordReader | undefined,
  ): TierLookup | Promise<TierLookup> {
    const { lane } = this.context;
    const read = (): TierLookup | Promise<TierLookup> => tier.read(lane, this.key, this.how, reader, this.patienceMs);
    return tier.name === 'l1' ? read() : tracing.lookup(tier.name, lane, this.key, read);
  }

  /** Goes on with the next tier, unless the search has ended. */
  private goOn(
    ends: boolean | Promise<boolean>,
    next: number,
    trace: SearchTrace | undefined,
  ): Promise<void> | undefined {
    if (typeof ends !== 'boolean') return ends.then((taken) => this.goOn(taken, next, trace));
    return ends ? undefined : this.from(next, trace);
  }

  /** Whether the search ends with what this tier answered. */
  private takes(tier: GuardedTier, lookup: TierLookup, trace: SearchTrace | undefined): boolean | Promise<boolean> {
    // Before the judgement: a schema is the app's code, and may invalidate.
    const { position } = this.context.shared.log;
    const verdict = judge(this.context, this, tier, lookup);
    if (verdict instanceof Promise) return verdict.then((late) => this.note(tier, late, position, trace));
    const ends = this.note(tier, verdict, position, trace);
    if (ends && this.found !== undefined && this.found.encoded.sizeBytes <= EXAMPLE_BYTES) {
      const { examples } = this.context;
      examples.search = this;
      examples.lookup = lookup;
    }
    return ends;
  }

  /** Notes what a tier had, judged at `position`. Whether the search ends with it. */
  private note(tier: GuardedTier, verdict: Verdict, position: number, trace: SearchTrace | undefined): boolean {
    const { shared, recorder } = this.context;
    if (trace !== undefined) {
      trace.set(tier.name, verdict);
      return false;
    }
    switch (verdict.outcome) {
      case 'found':
        if (verdict.found.record.storedAt <= this.storedAfter) break;
        this.found = verdict.found;
        this.judgedAt = position;
        return true;
      case 'off':
        if (verdict.reason !== 'policy') this.reason = 'tier-off';
        if (MAY_COME_BACK.has(verdict.reason)) this.mayHoldOlder = true;
        return false;
      case 'miss':
        break;
      case 'expired':
        this.reason = 'expired';
        if (shared.life.now() < verdict.stale.staleUntil) this.stale = fresherOf(this.stale, verdict.stale);
        break;
      default:
        this.reason = verdict.reason;
        if (verdict.reason === 'damaged') recorder.tierError(tier.name);
    }
    this.missed.push(tier.name);
    this.mayHoldOlder ||= verdict.outcome !== 'miss';
    return false;
  }
}

/** A tier that is off for one of these may be on again with what it holds. */
const MAY_COME_BACK: ReadonlySet<TierOffReason> = new Set<TierOffReason>([
  'breaker',
  'disconnected',
  'disk-full',
  'read-only',
  'in-use',
]);

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
  const expiresAt = expiryIfValid(context, entry);
  if (expiresAt === undefined) {
    context.memory.delete(key);
    return undefined;
  }
  entry.expire(expiresAt);
  entry.stamp = log.stamp;
  return entry;
}

/** Whether the call's version and schema accept what the entry holds. */
export function matchesCall(context: LaneContext, entry: MemoryEntry, call: MatchOptions): boolean {
  if (entry.schemaVersion !== call.version) return false;
  return call.schema === undefined || call.schema.fits(entry, () => heldValue(context, entry)) === true;
}

/**
 * Waits until asynchronous validators have judged what memory holds of the keys, so that `matchesCall` knows. Undefined
 * if there is nothing to wait for.
 */
export function whenJudged(
  context: LaneContext,
  keys: string | readonly string[],
  call: MatchOptions,
): Promise<unknown> | undefined {
  const { schema } = call;
  if (schema === undefined) return undefined;
  const judged = [keys].flat().flatMap((key) => {
    const entry = context.memory.peek(key);
    const fits = entry === undefined || schema.fits(entry, () => heldValue(context, entry));
    return typeof fits === 'boolean' ? [] : [fits];
  });
  return judged.length === 0 ? undefined : Promise.all(judged);
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
export function staleInMemory(context: LaneContext, key: string, call: MatchOptions): StaleCopy | undefined {
  const entry = entryInMemory(context, key);
  if (entry === undefined || !matchesCall(context, entry, call)) return undefined;
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
