import { InvalidationNotDurableError } from '../errors/cache.errors.js';
import { openRecord, sealRecord } from '../entries/record.js';
import { KeyPattern } from '../entries/pattern.js';
import type { Fence } from '../invalidation/lane-log.js';
import type { LogRecord } from '../invalidation/journal.js';
import type { TierLookup, TierRecord } from '../tiers/tier.js';
import type { CacheParts, LaneSpace } from './lane-context.js';
import type { TierGate } from './guarded-tier.js';

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
    private readonly parts: CacheParts,
    private readonly spaces: ReadonlyMap<string, LaneSpace>,
  ) {}

  /** Whether there was something under the key. */
  async key(space: LaneSpace, key: string, origin: Origin = 'local'): Promise<boolean> {
    const { lane } = space;
    const { records, removal } = this.parts.log.key(lane, key);
    const inMemory = space.memory.delete(key);
    this.announce(records, space, origin);
    const below = await this.below(records, (gate) => gate.remove(lane, key), origin);
    removal.committed();
    await this.confirm(below);
    return inMemory || below.results.includes(true);
  }

  async tags(tags: readonly string[], origin: Origin = 'local'): Promise<void> {
    const { records, stored } = this.parts.log.tags(tags);
    this.announce(records, undefined, origin);
    const shared = this.share(records, stored, origin);
    const [kept] = await Promise.allSettled([this.durable(records, stored), shared]);
    if (kept.status === 'rejected') throw kept.reason;
    await shared;
  }

  /** How many distinct keys went. */
  async pattern(space: LaneSpace, text: string, origin: Origin = 'local'): Promise<number> {
    const { lane } = space;
    const pattern = new KeyPattern(text);
    const { records, removal } = this.parts.log.pattern(lane, pattern);
    const gone = new Set(this.parts.memory.removeAll(lane, (entry) => pattern.matchesEntry(entry.key, entry.tags)));
    this.announce(records, space, origin);
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

  async clear(space: LaneSpace, origin: Origin = 'local'): Promise<void> {
    const { lane } = space;
    const { records, stored } = this.parts.log.clear(lane);
    space.memory.clear();
    this.announce(records, space, origin);
    const below = this.below(records, (gate) => gate.clear(lane), origin);
    const [, done] = await Promise.all([this.durable(records, stored), below]);
    await this.confirm(done);
  }

  /** Past its ttl at once. Whether there was something under the key. */
  async expireKey(space: LaneSpace, key: string, origin: Origin = 'local'): Promise<boolean> {
    const { lane } = space;
    const { log, life } = this.parts;
    const now = life.now();
    const { records, removal } = log.expireKey(lane, key, now);
    const entry = space.memory.peek(key);
    entry?.expire(now);
    const guard = log.guard({ lane, key, tags: [] });
    this.announce(records, space, origin);
    const below = await this.below(records, (gate) => this.expireBelow(gate, guard, now), origin);
    log.close(guard);
    removal.committed();
    await this.confirm(below);
    return entry !== undefined || below.results.includes(true);
  }

  async expireTags(tags: readonly string[], origin: Origin = 'local'): Promise<void> {
    const { records, stored } = this.parts.log.expireTags(tags, this.parts.life.now());
    this.announce(records, undefined, origin);
    const shared = this.share(records, stored, origin);
    const [kept] = await Promise.allSettled([this.durable(records, stored), shared]);
    if (kept.status === 'rejected') throw kept.reason;
    await shared;
  }

  /** Removes a key whose new value, if any, is written right behind the removal. */
  superseding(space: LaneSpace, key: string, write: (record: LogRecord) => void): Promise<void> {
    const { lane } = space;
    const { records, removal } = this.parts.log.key(lane, key);
    space.memory.delete(key);
    const below = this.below(records, (gate) => gate.remove(lane, key), 'local');
    for (const record of records) write(record);
    // Only now: a listener may say something about the very key.
    this.announce(records, space, 'local');
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
  private async expireBelow(gate: TierGate, guard: Fence, now: number): Promise<boolean> {
    const { lane, key } = guard.subject;
    const rewrite = (lookup: TierLookup): boolean => {
      if (lookup.outcome !== 'hit') return false;
      const rewritten = guard.isShut ? undefined : this.expired(lookup.record, guard, now);
      if (rewritten !== undefined) gate.write(lane, rewritten);
      return true;
    };
    const looking = gate.peek(lane, key);
    const removed = gate.remove(lane, key);
    const found = looking instanceof Promise ? looking.then(rewrite) : rewrite(looking);
    return (await Promise.all([removed, found])).includes(true);
  }

  /** `undefined` for what cannot be read, does not count, or has no grace to be kept for. */
  private expired(found: TierRecord, guard: Fence, now: number): TierRecord | undefined {
    try {
      const record = found.opened ?? openRecord(found.bytes);
      const grace = record.staleUntil - record.expiresAt;
      const { lane, key } = guard.subject;
      if (grace <= 0 || record.key !== key || !this.parts.log.counts({ ...record, lane }, guard)) return undefined;
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
    act: (gate: TierGate) => Promise<T>,
    origin: Origin,
  ): Promise<Below<T | boolean>> {
    const results: (T | boolean)[] = [];
    let untold: Untold | undefined;
    const note = this.noteMissed();
    const isReached = ({ name }: TierGate): boolean => name !== 'l4' && (note === undefined || name !== 'l3');
    const told = Promise.all(
      this.parts.below.filter(isReached).map(async (gate) => {
        try {
          results.push(await act(gate));
        } catch (cause) {
          gate.distrust(lastOf(records));
          if (gate.name === 'l3') untold = { cause };
        }
      }),
    );
    const [noted, shared] = await Promise.allSettled([note, this.share(records, told, origin), told]);
    if (shared.status === 'fulfilled') results.push(shared.value);
    return { results, untold, unnoted: causeOf(noted), unshared: causeOf(shared) };
  }

  private share(records: readonly LogRecord[], local: Promise<unknown>, origin: Origin): Promise<boolean> {
    const { shared } = this.parts;
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
    for (const gate of this.parts.below) if (gate.name === 'l3') gate.distrust(position);
    await this.voidPersistence(kept.reason);
  }

  /** A process that does not own the persistent tier leaves word for the next owner. */
  private noteMissed(): Promise<void> | undefined {
    return this.parts.persistence?.noteMissed();
  }

  private notDurable(cause: unknown): InvalidationNotDurableError {
    return new InvalidationNotDurableError(this.parts.persistence?.directory ?? '', { cause });
  }

  private async voidPersistence(cause: unknown): Promise<void> {
    const { persistence } = this.parts;
    if (persistence === undefined) return;
    try {
      await persistence.void();
    } catch (error) {
      throw this.notDurable(error ?? cause);
    }
  }

  /** A tag reaches all lanes, and is counted once, where it was said. */
  private announce(records: readonly LogRecord[], space: LaneSpace | undefined, origin: Origin): void {
    const { events } = this.parts;
    for (const record of records) {
      const { kind, lane, subject, position } = record;
      space?.recent.named(record);
      const counted = origin === 'remote' ? [] : space === undefined ? this.spaces.values() : [space];
      for (const each of counted) each.recorder.invalidation(kind);
      if (events.wants('invalidate')) events.emit('invalidate', { kind, lane, subject, position, origin });
    }
  }
}

interface Below<T> {
  readonly results: readonly T[];
  /** Why the persistent tier was not told. */
  readonly untold: Untold | undefined;
  /** Why no word could be left for the next owner of the persistent tier. */
  readonly unnoted: Untold | undefined;
  /** Why the other instances do not know yet. */
  readonly unshared: Untold | undefined;
}

interface Untold {
  readonly cause: unknown;
}

const causeOf = (settled: PromiseSettledResult<unknown>): Untold | undefined =>
  settled.status === 'rejected' ? { cause: settled.reason } : undefined;

function lastOf(records: readonly LogRecord[]): number {
  return records.at(-1)?.position ?? 0;
}
