import { InvalidationNotDurableError } from '../errors/cache.errors.js';
import { openRecord, sealRecord } from '../entries/record.js';
import { KeyPattern } from '../entries/pattern.js';
import type { InvalidationGuard } from '../invalidation/lane-log.js';
import type { LogRecord } from '../invalidation/journal.js';
import type { TierLookup, TierRecord } from '../tiers/tier.js';
import type { SharedContext, LaneContext } from './lane-context.js';
import type { GuardedTier } from './guarded-tier.js';

/** Where an invalidation was called. The other instances are told about local ones only. */
export type Origin = 'local' | 'remote';

const NOBODY = Promise.resolve(false);

/**
 * Carries out invalidations: in the log, in every tier, and for the other instances.
 *
 * The step of the call does all that memory and flights need. The promise resolves when the persistent tier has it as
 * well. A tier that could not carry it out serves nothing that is older.
 */
export class Invalidations {
  constructor(
    private readonly shared: SharedContext,
    private readonly spaces: ReadonlyMap<string, LaneContext>,
  ) {}

  /** Returns whether there was an entry. */
  async key(context: LaneContext, key: string, origin: Origin = 'local'): Promise<boolean> {
    const { lane } = context;
    const { records, removal } = this.shared.log.key(lane, key);
    const inMemory = context.memory.delete(key);
    this.announce(records, context, origin);
    const below = await this.below(records, (gate) => gate.remove(lane, key), origin);
    removal.committed();
    await this.confirm(below);
    return inMemory || below.results.includes(true);
  }

  async tags(tags: readonly string[], origin: Origin = 'local'): Promise<void> {
    const { records, stored } = this.shared.log.tags(tags);
    this.announce(records, undefined, origin);
    const shared = this.share(records, stored, origin);
    const [kept] = await Promise.allSettled([this.durable(records, stored), shared]);
    if (kept.status === 'rejected') throw kept.reason;
    await shared;
  }

  /** Returns how many distinct keys were removed. */
  async pattern(context: LaneContext, text: string, origin: Origin = 'local'): Promise<number> {
    const { lane } = context;
    const pattern = new KeyPattern(text);
    const { records, removal } = this.shared.log.pattern(lane, pattern);
    const gone = new Set(this.shared.memory.removeAll(lane, (entry) => pattern.matchesEntry(entry.key, entry.tags)));
    this.announce(records, context, origin);
    const matches = (key: string, tags: readonly string[]): boolean => {
      const matched = pattern.matchesEntry(key, tags);
      if (matched) gone.add(key);
      return matched;
    };
    const below = await this.below(records, (gate) => gate.removeMatching(lane, matches), origin);
    removal.committed();
    await this.confirm(below);
    return gone.size;
  }

  async clear(context: LaneContext, origin: Origin = 'local'): Promise<void> {
    const { lane } = context;
    const { records, stored } = this.shared.log.clear(lane);
    context.memory.clear();
    this.announce(records, context, origin);
    const below = this.below(records, (gate) => gate.clear(lane), origin);
    const [, done] = await Promise.all([this.durable(records, stored), below]);
    await this.confirm(done);
  }

  /** Ends the ttl of a key at once. Returns whether there was an entry. */
  async expireKey(context: LaneContext, key: string, origin: Origin = 'local'): Promise<boolean> {
    const { lane } = context;
    const { log, life } = this.shared;
    const now = life.now();
    const { records, removal } = log.expireKey(lane, key, now);
    const entry = context.memory.peek(key);
    entry?.expire(now);
    const guard = log.guard({ lane, key, tags: [] });
    this.announce(records, context, origin);
    const below = await this.below(records, (gate) => this.expireBelow(gate, guard, now), origin);
    log.close(guard);
    removal.committed();
    await this.confirm(below);
    return entry !== undefined || below.results.includes(true);
  }

  async expireTags(tags: readonly string[], origin: Origin = 'local'): Promise<void> {
    const { records, stored } = this.shared.log.expireTags(tags, this.shared.life.now());
    this.announce(records, undefined, origin);
    const shared = this.share(records, stored, origin);
    const [kept] = await Promise.allSettled([this.durable(records, stored), shared]);
    if (kept.status === 'rejected') throw kept.reason;
    await shared;
  }

  /** Removes a key. `write` stores its new value right behind the removal. */
  superseding(context: LaneContext, key: string, write: (record: LogRecord) => void): Promise<void> {
    const { lane } = context;
    const { records, removal } = this.shared.log.key(lane, key);
    context.memory.delete(key);
    const below = this.below(records, (gate) => gate.remove(lane, key), 'local');
    for (const record of records) write(record);
    // Only now, because a listener may invalidate this very key.
    this.announce(records, context, 'local');
    return below.then((done) => {
      removal.committed();
      return this.confirm(done);
    });
  }

  /**
   * Rewrites the record with its ttl ended. The old record is removed in the step of the call, so it is gone when the
   * call resolves. If the key was invalidated or stored while the record was read, that wins and nothing is rewritten.
   */
  private async expireBelow(gate: GuardedTier, guard: InvalidationGuard, now: number): Promise<boolean> {
    const { lane, key } = guard.subject;
    const rewrite = (lookup: TierLookup): boolean => {
      if (lookup.outcome !== 'hit') return false;
      const rewritten = guard.isInvalidated ? undefined : this.expired(lookup.record, guard, now);
      if (rewritten !== undefined) gate.write(lane, rewritten);
      return true;
    };
    const looking = gate.read(lane, key, 'peek');
    const removed = gate.remove(lane, key);
    const found = looking instanceof Promise ? looking.then(rewrite) : rewrite(looking);
    return (await Promise.all([removed, found])).includes(true);
  }

  /** Undefined for a record that cannot be read, does not count, or has no grace. */
  private expired(found: TierRecord, guard: InvalidationGuard, now: number): TierRecord | undefined {
    try {
      const record = found.opened ?? openRecord(found.bytes);
      const grace = record.staleUntil - record.expiresAt;
      const { lane, key } = guard.subject;
      if (grace <= 0 || record.key !== key || !this.shared.log.counts({ ...record, lane }, guard)) return undefined;
      const expiresAt = Math.min(record.expiresAt, now);
      const { tags, birth, computeMs } = record;
      const bytes = sealRecord({ ...record, expiresAt, staleUntil: expiresAt + grace });
      return { key, tags, birth, computeMs, expiresAt: expiresAt + grace, bytes };
    } catch {
      return undefined;
    }
  }

  /**
   * Asks every tier of this process at once, and publishes the records to the other instances. Never rejects. A tier that
   * fails serves nothing that is older than the records. The distributed tier follows them by the shared log.
   */
  private async below<T>(
    records: readonly LogRecord[],
    act: (gate: GuardedTier) => Promise<T>,
    origin: Origin,
  ): Promise<Below<T | boolean>> {
    const results: (T | boolean)[] = [];
    let untold: Failure | undefined;
    const note = this.noteMissed();
    const isReached = ({ name }: GuardedTier): boolean => name !== 'l4' && (note === undefined || name !== 'l3');
    const told = Promise.all(
      this.shared.below.filter(isReached).map(async (gate) => {
        try {
          results.push(await act(gate));
        } catch (cause) {
          gate.invalidateBefore(lastOf(records));
          if (gate.name === 'l3') untold = { cause };
        }
      }),
    );
    const [noted, shared] = await Promise.allSettled([note, this.share(records, told, origin), told]);
    if (shared.status === 'fulfilled') results.push(shared.value);
    return { results, untold, unnoted: causeOf(noted), unshared: causeOf(shared) };
  }

  private share(records: readonly LogRecord[], local: Promise<unknown>, origin: Origin): Promise<boolean> {
    const { shared } = this.shared;
    return shared === undefined || origin === 'remote' ? NOBODY : shared.publish(records, local);
  }

  /** Empties the persistent tier as a whole if it could not carry the invalidation out. */
  private async confirm({ untold, unnoted, unshared }: Omit<Below<unknown>, 'results'>): Promise<void> {
    if (unnoted !== undefined) throw this.notDurable(unnoted.cause);
    if (untold !== undefined) await this.voidPersistence(untold.cause);
    if (unshared !== undefined) throw unshared.cause;
  }

  private async durable(records: readonly LogRecord[], stored: Promise<void>): Promise<void> {
    const [noted, kept] = await Promise.allSettled([this.noteMissed(), stored]);
    if (noted.status === 'rejected') throw this.notDurable(noted.reason);
    if (kept.status === 'fulfilled') return;
    const position = lastOf(records);
    for (const gate of this.shared.below) if (gate.name === 'l3') gate.invalidateBefore(position);
    await this.voidPersistence(kept.reason);
  }

  /** A process that does not own the persistent tier leaves a note for the next owner. */
  private noteMissed(): Promise<void> | undefined {
    return this.shared.persistence?.noteMissed();
  }

  private notDurable(cause: unknown): InvalidationNotDurableError {
    return new InvalidationNotDurableError(this.shared.persistence?.directory ?? '', { cause });
  }

  private async voidPersistence(cause: unknown): Promise<void> {
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
      context?.recent.named(record);
      const counted = origin === 'remote' ? [] : context === undefined ? this.spaces.values() : [context];
      for (const each of counted) each.recorder.invalidation(kind);
      if (events.wants('invalidate')) events.emit('invalidate', { kind, lane, subject, position, origin });
    }
  }
}

interface Below<T> {
  readonly results: readonly T[];
  /** Why the persistent tier did not carry it out. */
  readonly untold: Failure | undefined;
  /** Why no note could be left for the next owner of the persistent tier. */
  readonly unnoted: Failure | undefined;
  /** Why the records could not be published to the other instances. */
  readonly unshared: Failure | undefined;
}

interface Failure {
  readonly cause: unknown;
}

const causeOf = (settled: PromiseSettledResult<unknown>): Failure | undefined =>
  settled.status === 'rejected' ? { cause: settled.reason } : undefined;

function lastOf(records: readonly LogRecord[]): number {
  return records.at(-1)?.position ?? 0;
}
