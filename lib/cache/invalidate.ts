import { TIER_PLACES } from '../entries/tier-name.js';
import { KeyPattern } from '../entries/pattern.js';
import { decodeRecord, encodeRecord } from '../entries/record.js';
import { InvalidationNotDurableError } from '../errors/cache.errors.js';
import type { LogRecord } from '../invalidation/journal.js';
import type { PublishedRecords, InvalidatedCache, SharedRecord } from '../invalidation/shared-log.js';
import type { InvalidationGuard, InvalidationsSince } from '../invalidation/lane-log.js';
import type { TierLookup, TierRecord } from '../tiers/tier.js';
import type { GuardedTier } from './guarded-tier.js';
import { isPartitioned, type LaneContext, type SharedContext } from './lane-context.js';
import { TierSearch } from './tier-lookup.js';

/** Where an invalidation was called. Only local ones are published to the other instances. */
export type Origin = 'local' | 'remote';

/** For the distributed tier. */
const NOT_PUBLISHED: PublishedRecords = Object.freeze({ held: Promise.resolve(false), copies: [] });

/**
 * Carries out invalidations: in the log, in every tier, and for the other instances.
 *
 * The step of the call does all that memory and flights need. The promise resolves when the persistent tier has it as
 * well. A tier that could not carry it out serves nothing that is older.
 */
export class Invalidations {
  constructor(
    private readonly shared: SharedContext,
    private readonly laneContexts: ReadonlyMap<string, LaneContext>,
  ) {}

  /** Returns whether there was an entry. */
  async key(context: LaneContext, key: string, origin: Origin = 'local'): Promise<boolean> {
    const { lane } = context;
    const { records, removal } = this.shared.log.key(lane, key);
    const inMemory = context.memory.delete(key);
    this.announce(records, context, origin);
    const below = await this.below(records, (tier) => tier.remove(lane, key), origin);
    removal.committed();
    this.confirm(below);
    return inMemory || below.results.includes(true);
  }

  async tags(tags: readonly string[], origin: Origin = 'local'): Promise<void> {
    const { records, stored } = this.shared.log.tags(tags);
    this.announce(records, undefined, origin);
    await this.acknowledge(records, stored, origin);
  }

  /** Returns how many distinct keys were removed. */
  async pattern(context: LaneContext, text: string, origin: Origin = 'local'): Promise<number> {
    const { lane } = context;
    const pattern = new KeyPattern(text);
    const { records, removal } = this.shared.log.pattern(lane, pattern);
    const gone = new Set<string>();
    const matches = (key: string, tags: readonly string[]): boolean => {
      const matched = pattern.matchesEntry(key, tags);
      if (matched) gone.add(key);
      return matched;
    };
    const inMemory = this.shared.memory.removeMatching(lane, matches);
    this.announce(records, context, origin);
    const below = await this.below(records, (tier) => tier.removeMatching(lane, matches), origin);
    await inMemory;
    removal.committed();
    this.confirm(below);
    return gone.size;
  }

  async clear(context: LaneContext, origin: Origin = 'local'): Promise<void> {
    const { lane } = context;
    const { records, stored } = this.shared.log.clear(lane);
    context.memory.clear();
    this.announce(records, context, origin);
    const below = this.below(records, (tier) => tier.clear(lane), origin);
    const [, done] = await Promise.all([this.durable(records, stored), below]);
    this.confirm(done);
  }

  /** Ends the ttl of a key at once. Returns whether there was an entry. */
  async expireKey(context: LaneContext, key: string, origin: Origin = 'local', at = Infinity): Promise<boolean> {
    const { lane } = context;
    const { log, life } = this.shared;
    const now = Math.min(at, life.now());
    const { records, removal } = log.expireKey(lane, key, now);
    const entry = context.memory.peek(key);
    entry?.expire(now);
    const guard = log.guard({ lane, key, tags: [] });
    this.announce(records, context, origin);
    const below = await this.below(records, (tier) => this.expireBelow(tier, guard, now), origin);
    log.close(guard);
    removal.committed();
    this.confirm(below);
    return entry !== undefined || below.results.includes(true);
  }

  async expireTags(tags: readonly string[], origin: Origin = 'local', at = Infinity): Promise<void> {
    const { records, stored } = this.shared.log.expireTags(tags, Math.min(at, this.shared.life.now()));
    this.announce(records, undefined, origin);
    await this.acknowledge(records, stored, origin);
  }

  /** Removes keys, all in this step. `write` gets the record of each in turn, and stores its new value behind the removal. */
  async superseding(
    context: LaneContext,
    keys: readonly string[],
    write: (record: LogRecord) => void,
    bulk?: InvalidationsSince,
  ): Promise<void> {
    const { lane } = context;
    const appended = keys.map((key) => this.shared.log.key(lane, key, bulk));
    const records = appended.flatMap((each) => each.records);
    for (const key of keys) context.memory.delete(key);
    const below = this.below(records, (tier) => tier.removeKeys(lane, keys), 'local');
    for (const record of records) write(record);
    // Only now, because a listener may invalidate one of these keys.
    this.announce(records, context, 'local');
    const done = await below;
    for (const { removal } of appended) removal.committed();
    this.confirm(done);
  }

  /** As `key`, for a value that is not stored: it is not counted as an invalidation, and leaves what began later alone. */
  async dropOlder(context: LaneContext, { subject, birth }: InvalidationGuard): Promise<void> {
    const { lane, key } = subject;
    const { records, removal } = this.shared.log.older(subject, birth);
    context.memory.delete(key);
    // While this instance is partitioned, every result is such a value. It does not know what the others have, and leaves it to them.
    const origin = isPartitioned(context) ? 'remote' : 'local';
    if (origin === 'remote') this.shared.sharedLog?.hideOlder(lane, key);
    const below = await this.below(records, (tier) => tier.remove(lane, key), origin);
    removal.committed();
    this.confirm(below);
  }

  /**
   * Rewrites the record with its ttl ended. The old record is removed in the step of the call, so it is gone when the
   * call resolves. If the key was invalidated or stored while the record was read, that wins and nothing is rewritten.
   */
  private async expireBelow(tier: GuardedTier, guard: InvalidationGuard, now: number): Promise<boolean> {
    const { lane, key } = guard.subject;
    const rewrite = (lookup: TierLookup): boolean => {
      if (lookup.outcome !== 'hit') return false;
      const rewritten = guard.isInvalidated ? undefined : this.expired(lookup.record, guard, now);
      if (rewritten !== undefined) tier.write(lane, rewritten);
      return true;
    };
    const looking = tier.read(lane, key, 'peek');
    const removed = tier.remove(lane, key);
    const found = looking instanceof Promise ? looking.then(rewrite) : rewrite(looking);
    return (await Promise.all([removed, found])).includes(true);
  }

  /** Undefined for a record that cannot be read, does not count, or has no grace. */
  private expired(found: TierRecord, guard: InvalidationGuard, now: number): TierRecord | undefined {
    try {
      const record = found.opened ?? decodeRecord(found.bytes);
      const grace = record.staleUntil - record.expiresAt;
      const { lane, key } = guard.subject;
      if (grace <= 0 || record.key !== key || !this.shared.log.counts({ ...record, lane }, guard)) return undefined;
      const expiresAt = Math.min(record.expiresAt, now);
      const { tags, birth, computeMs } = record;
      const bytes = encodeRecord({ ...record, expiresAt, staleUntil: expiresAt + grace });
      return { key, tags, birth, computeMs, expiresAt: expiresAt + grace, bytes };
    } catch {
      return undefined;
    }
  }

  /**
   * Asks every tier of this process at once, and publishes the records to the other instances. Never rejects. A tier that
   * fails serves nothing that is older than the records, and the persistent tier is emptied. The distributed tier follows
   * them by the shared log.
   */
  private async below<T>(
    records: readonly LogRecord[],
    act: (tier: GuardedTier) => Promise<T>,
    origin: Origin,
  ): Promise<Outcome<T | boolean>> {
    const results: (T | boolean)[] = [];
    let tierFailure: Failure | undefined;
    const note = this.noteMissed();
    const isReached = ({ name }: GuardedTier): boolean =>
      TIER_PLACES[name] === 'disk' && (note === undefined || name !== 'l3');
    const local = Promise.all(
      this.shared.below.filter(isReached).map(async (tier) => {
        try {
          results.push(await act(tier));
        } catch (error) {
          tier.invalidateBefore(lastOf(records));
          // At once: later, it may have been emptied for another failure, and would be once more.
          if (tier.name === 'l3') tierFailure = await this.emptyPersistence(error).then(() => undefined, failureOf);
        }
      }),
    );
    const publishing = this.publish(records, local, origin);
    const known = Promise.all([note, this.publishOnHost(records, { local, publishing, origin })]);
    const [noted, published] = await Promise.allSettled([known, publishing.held, local]);
    if (published.status === 'fulfilled') results.push(published.value);
    return { results, failures: { tier: tierFailure, journal: causeOf(noted), peers: causeOf(published) } };
  }

  /**
   * For the other processes of the directory. Redis gets the records first: another process that has heard of them must not
   * find there what they name.
   */
  private publishOnHost(
    records: readonly LogRecord[],
    { local, publishing, origin }: Publishing,
  ): Promise<void> | undefined {
    const { hostLog, sharedLog } = this.shared;
    if (origin === 'remote') return undefined;
    const { copies, held: settled } = publishing;
    return hostLog?.publish(records, local, sharedLog && { copies, settled });
  }

  private publish(records: readonly LogRecord[], local: Promise<unknown>, origin: Origin): PublishedRecords {
    const { sharedLog: shared } = this.shared;
    return shared === undefined || origin === 'remote' ? NOT_PUBLISHED : shared.publish(records, local);
  }

  /** Throws if an invalidation is not durable, or not published. */
  private confirm({ failures: { tier, journal, peers } }: Outcome<unknown>): void {
    if (journal !== undefined) throw this.notDurable(journal.cause);
    if (tier !== undefined) throw tier.cause;
    if (peers !== undefined) throw peers.cause;
  }

  /** Resolves when the records of a tag are on disk and published. */
  private async acknowledge(records: readonly LogRecord[], stored: Promise<void>, origin: Origin): Promise<void> {
    const published = this.publish(records, stored, origin);
    const onHost = this.publishOnHost(records, { local: stored, publishing: published, origin });
    const [kept, known] = await Promise.allSettled([this.durable(records, stored), onHost, published.held]);
    if (kept.status === 'rejected') throw kept.reason;
    if (known.status === 'rejected') throw this.notDurable(known.reason);
    await published.held;
  }

  private async durable(records: readonly LogRecord[], stored: Promise<void>): Promise<void> {
    const note = this.noteMissed();
    const [noted, kept] = await Promise.allSettled([note, stored]);
    if (noted.status === 'rejected') throw this.notDurable(noted.reason);
    if (kept.status === 'fulfilled' || note !== undefined) return;
    const position = lastOf(records);
    for (const tier of this.shared.below) if (tier.name === 'l3') tier.invalidateBefore(position);
    await this.emptyPersistence(kept.reason);
  }

  /** A process that does not own the persistent tier leaves a note for the next owner. */
  private noteMissed(): Promise<void> | undefined {
    return this.shared.persistence?.noteMissed();
  }

  private notDurable(cause: unknown): InvalidationNotDurableError {
    return new InvalidationNotDurableError(this.shared.persistence?.directory ?? '', { cause });
  }

  private async emptyPersistence(cause: unknown): Promise<void> {
    const { persistence } = this.shared;
    if (persistence === undefined) return;
    try {
      await persistence.invalidateAll();
    } catch (error) {
      throw this.notDurable(error ?? cause);
    }
  }

  /** Counts and emits the records. A tag counts in all lanes; a remote record is counted where it was called. */
  private announce(records: readonly LogRecord[], context: LaneContext | undefined, origin: Origin): void {
    const { events } = this.shared;
    for (const record of records) {
      const { kind, lane, subject, position } = record;
      context?.history.named(record);
      const counted = origin === 'remote' ? [] : context === undefined ? this.laneContexts.values() : [context];
      for (const each of counted) each.recorder.invalidation(kind);
      if (events.wants('invalidate')) events.emit('invalidate', { kind, lane, subject, position, origin });
    }
  }
}

interface Publishing {
  /** Settles when the tiers of this process have carried the records out. */
  readonly local: Promise<unknown>;
  /** For Redis. */
  readonly publishing: PublishedRecords;
  readonly origin: Origin;
}

interface Outcome<T> {
  readonly results: readonly T[];
  readonly failures: Failures;
}

/** What kept an invalidation from being carried out everywhere. */
interface Failures {
  /** The persistent tier did not carry it out, and could not be emptied. */
  readonly tier: Failure | undefined;
  /** No note could be left for the next owner of the persistent tier. */
  readonly journal: Failure | undefined;
  /** The records could not be published to the other instances. */
  readonly peers: Failure | undefined;
}

interface Failure {
  readonly cause: unknown;
}

const failureOf = (cause: unknown): Failure => ({ cause });

const causeOf = (settled: PromiseSettledResult<unknown>): Failure | undefined =>
  settled.status === 'rejected' ? { cause: settled.reason } : undefined;

function lastOf(records: readonly LogRecord[]): number {
  return records.at(-1)?.position ?? 0;
}

/**
 * Removes what is older than a result that is not stored. Its callers have seen the newer result, so nobody may get an older
 * one after them, also not inside its grace.
 */
export class OlderValues {
  constructor(
    private readonly context: LaneContext,
    private readonly invalidations: Invalidations,
  ) {}

  /** Takes effect in this step. A tier that fails to remove it serves nothing that is older, so no caller has to know. */
  remove(unstored: InvalidationGuard): void {
    if (this.context.shared.memory.state.state === 'off') return;
    this.invalidations.dropOlder(this.context, unstored).catch(() => undefined);
  }

  /** Runs what goes past the cache, and then removes what the tiers hold of the keys, unless it is newer. */
  async removeAfter<T>(keys: readonly string[], run: () => T): Promise<Awaited<T>> {
    const { shared, lane } = this.context;
    const guards = keys.map((key) => shared.log.open({ lane, key, tags: [] }));
    // What begins from here on is newer.
    shared.log.pass();
    try {
      const value = await run();
      await Promise.all(guards.map((guard) => this.removeIfHeld(guard)));
      return value;
    } finally {
      for (const guard of guards) shared.log.close(guard);
    }
  }

  private async removeIfHeld(guard: InvalidationGuard): Promise<void> {
    const { key } = guard.subject;
    if (await this.isHeld(key, guard)) this.remove(guard);
  }

  private async isHeld(key: string, guard: InvalidationGuard): Promise<boolean> {
    const { context } = this;
    const { log } = context.shared;
    if (guard.isSuperseded) return false;
    if (context.memory.peek(key) !== undefined || log.hasOlderFlights(guard)) return true;
    const search = new TierSearch(context, key, context.defaults, 'peek').run();
    const looking = log.open({ lane: context.lane, key, tags: [] });
    try {
      const isThere = await search.whenEnded(looking, (found) => found !== undefined || search.mayHoldOlder);
      return isThere && !guard.isSuperseded;
    } finally {
      log.close(looking);
    }
  }
}

/** `server`: records from Redis, of the lanes that instances share. `host`: records from the processes of the directory, of all lanes. */
type Source = 'server' | 'host';

/** Applies the invalidations of other instances to this one. */
export class RemoteInvalidations implements InvalidatedCache {
  constructor(
    private readonly shared: SharedContext,
    private readonly laneContexts: ReadonlyMap<string, LaneContext>,
    private readonly invalidations: Invalidations,
    private readonly source: Source = 'server',
  ) {
    // L3 is read once this process has followed what was invalidated while it did not run.
    if (source === 'server') for (const tier of this.tiers('l3')) tier.hold();
  }

  apply(record: SharedRecord): Promise<void> {
    const { copy } = record;
    const done =
      copy === undefined || this.source === 'server' ? undefined : this.shared.sharedLog?.receivedOnHost(record, copy);
    if (done === undefined) return this.carryOut(record);
    this.pass();
    return done.then(() => undefined);
  }

  private async carryOut({ kind, lane, subject, at }: SharedRecord): Promise<void> {
    if (lane === null) return this.everywhere(kind, subject, at);
    const context = this.laneContexts.get(lane);
    if (context === undefined && this.source === 'host') return this.ofOtherApps(kind, lane, subject);
    if (context === undefined || (this.source === 'server' && !context.policy.l4.enabled)) {
      this.pass();
      return;
    }
    const { invalidations } = this;
    if (kind === 'key') await invalidations.key(context, subject, 'remote');
    else if (kind === 'pattern') await invalidations.pattern(context, subject, 'remote');
    else if (kind === 'expire') await invalidations.expireKey(context, subject, 'remote', at);
    else await invalidations.clear(context, 'remote');
  }

  pass(): void {
    this.shared.log.pass();
  }

  /** Drops all older entries in this step. The removals on disk follow. */
  async drop(): Promise<void> {
    const { persistence } = this.shared;
    const isEmpty = persistence?.isEmpty() ?? true;
    this.bar();
    for (const tier of this.tiers('l2')) {
      for (const lane of this.laneContexts.keys()) tier.clear(lane).catch(() => undefined);
    }
    if (!isEmpty) await persistence?.invalidateAll();
  }

  bar(): void {
    const { log, memory } = this.shared;
    log.invalidateAll();
    memory.clearAll();
    for (const tier of this.tiers('l2', 'l3')) tier.invalidateBefore(log.position);
  }

  suspect(): void {
    this.shared.log.invalidateAll();
  }

  release(): void {
    for (const tier of this.tiers('l3')) tier.release();
  }

  /** A lane that this app does not have. L3 may hold entries of it, for another app that uses the directory. */
  private async ofOtherApps(kind: SharedRecord['kind'], lane: string, subject: string): Promise<void> {
    const { persistence } = this.shared;
    this.pass();
    if (persistence?.noteMissed() !== undefined) return;
    const pattern = kind === 'pattern' ? new KeyPattern(subject) : undefined;
    const removals = this.tiers('l3').map((tier) => {
      if (pattern !== undefined) return tier.removeMatching(lane, (key, tags) => pattern.matchesEntry(key, tags));
      return kind === 'all' ? tier.clear(lane) : tier.remove(lane, subject);
    });
    await Promise.all(removals).catch(() => persistence?.invalidateAll());
  }

  private async everywhere(kind: SharedRecord['kind'], subject: string, at: number | undefined): Promise<void> {
    if (kind === 'tag') await this.invalidations.tags([subject], 'remote');
    else if (kind === 'expire') await this.invalidations.expireTags([subject], 'remote', at);
    else
      await Promise.all([...this.laneContexts.values()].map((context) => this.invalidations.clear(context, 'remote')));
  }

  private tiers(...names: readonly GuardedTier['name'][]): readonly GuardedTier[] {
    return this.shared.below.filter(({ name }) => names.includes(name));
  }
}
