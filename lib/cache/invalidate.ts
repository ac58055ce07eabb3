import { InvalidationNotDurableError } from '../errors/cache.errors.js';
import { openRecord, sealRecord } from '../entries/record.js';
import { KeyPattern } from '../entries/pattern.js';
import type { InvalidationGuard } from '../invalidation/lane-log.js';
import type { LogRecord } from '../invalidation/journal.js';
import type { TierLookup, TierRecord } from '../tiers/tier.js';
import type { SharedContext, LaneContext } from './lane-context.js';
import type { GuardedTier } from './guarded-tier.js';

/** Where it was said: here, and then the other instances are told, or by another instance. */
export type Origin = 'local' | 'remote';

const NOBODY = Promise.resolve(false);

/**
 * Says what no longer counts, in the log, in every tier, and to the other instances.
 *
 * The step in which an invalidation is called does all that memory and flights need. The promise resolves when the
 * persistent tier has it as well; a tier below that could not be told serves nothing from before.
 */
export class Invalidations {
  constructor(
    private readonly shared: SharedContext,
    private readonly spaces: ReadonlyMap<string, LaneContext>,
  ) {}

  /** Whether there was something under the key. */
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

  /** How many distinct keys went. */
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

  /** Past its ttl at once. Whether there was something under the key. */
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

  /** Removes a key whose new value, if any, is written right behind the removal. */
  superseding(context: LaneContext, key: string, write: (record: LogRecord) => void): Promise<void> {
    const { lane } = context;
    const { records, removal } = this.shared.log.key(lane, key);
    context.memory.delete(key);
    const below = this.below(records, (gate) => gate.remove(lane, key), 'local');
    for (const record of records) write(record);
    // Only now: a listener may say something about the very key.
    this.announce(records, context, 'local');
    return below.then((done) => {
      removal.committed();
      return this.confirm(done);
    });
  }

  /**
   * The record rewritten with its ttl ended. It is removed in the step of the call, so that it has gone when the call
   * resolves, whatever comes meanwhile. What was said about the key or landed under it while the record was being read
   * has taken its place, and is left alone.
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

  /** `undefined` for what cannot be read, does not count, or has no grace to be kept for. */
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
   * Asks every tier of this process at once, and tells the other instances; never rejects. A tier that fails is
   * distrusted for everything born before the records. The distributed tier learns of them by the shared log.
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

  /** If the persistent tier could not be told, it is emptied as a whole. */
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

  /** A process that does not own the persistent tier leaves word for the next owner. */
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

  /** A tag reaches all lanes, and is counted once, where it was said. */
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
  /** Why the persistent tier was not told. */
  readonly untold: Failure | undefined;
  /** Why no word could be left for the next owner of the persistent tier. */
  readonly unnoted: Failure | undefined;
  /** Why the other instances do not know yet. */
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
