import { InvalidationNotDurableError } from '../errors/cache.errors.js';
import { openRecord, sealRecord } from '../entries/record.js';
import { KeyPattern } from '../entries/pattern.js';
import type { Fence } from '../invalidation/fence.js';
import type { LogRecord } from '../invalidation/journal.js';
import type { TierRecord } from '../tiers/tier.js';
import type { CacheParts, LaneSpace } from './lane-space.js';
import type { TierGate } from './tier-gate.js';

/**
 * Says what no longer counts, in the log and in every tier.
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
  async key(space: LaneSpace, key: string): Promise<boolean> {
    const { lane } = space;
    const { records, removal } = this.parts.log.key(lane, key);
    const inMemory = space.memory.delete(key);
    this.announce(records, space);
    const below = await this.below(records, (gate) => gate.remove(lane, key));
    removal.committed();
    await this.confirm(below);
    return inMemory || below.results.includes(true);
  }

  async tags(tags: readonly string[]): Promise<void> {
    const { records, stored } = this.parts.log.tags(tags);
    this.announce(records, undefined);
    await this.durable(records, stored);
  }

  /** How many distinct keys went. */
  async pattern(space: LaneSpace, text: string): Promise<number> {
    const { lane } = space;
    const pattern = new KeyPattern(text);
    const { records, removal } = this.parts.log.pattern(lane, pattern);
    const gone = new Set(this.parts.memory.removeAll(lane, (entry) => pattern.matchesEntry(entry.key, entry.tags)));
    this.announce(records, space);
    const matches = (key: string, tags: readonly string[]): boolean => {
      const matched = pattern.matchesEntry(key, tags);
      if (matched) gone.add(key);
      return matched;
    };
    const below = await this.below(records, (gate) => gate.removeMatching(lane, matches));
    removal.committed();
    await this.confirm(below);
    return gone.size;
  }

  async clear(space: LaneSpace): Promise<void> {
    const { lane } = space;
    const { records, stored } = this.parts.log.clear(lane);
    space.memory.clear();
    this.announce(records, space);
    const below = this.below(records, (gate) => gate.clear(lane));
    const [, done] = await Promise.all([this.durable(records, stored), below]);
    await this.confirm(done);
  }

  /** Past its ttl at once. Whether there was something under the key. */
  async expireKey(space: LaneSpace, key: string): Promise<boolean> {
    const { lane } = space;
    const { log, life } = this.parts;
    const now = life.now();
    const { records, removal } = log.expireKey(lane, key, now);
    const entry = space.memory.peek(key);
    entry?.expire(now);
    const guard = log.guard({ lane, key, tags: [] });
    this.announce(records, space);
    const below = await this.below(records, (gate) => this.expireBelow(gate, guard, now));
    log.close(guard);
    removal.committed();
    await this.confirm(below);
    return entry !== undefined || below.results.includes(true);
  }

  async expireTags(tags: readonly string[]): Promise<void> {
    const { records, stored } = this.parts.log.expireTags(tags, this.parts.life.now());
    this.announce(records, undefined);
    await this.durable(records, stored);
  }

  /** Removes a key whose new value, if any, is written right behind the removal. */
  superseding(space: LaneSpace, key: string, write: (record: LogRecord) => void): Promise<void> {
    const { lane } = space;
    const { records, removal } = this.parts.log.key(lane, key);
    space.memory.delete(key);
    const below = this.below(records, (gate) => gate.remove(lane, key));
    for (const record of records) write(record);
    // Only now: a listener may say something about the very key.
    this.announce(records, space);
    return below.then((done) => {
      removal.committed();
      return this.confirm(done);
    });
  }

  /**
   * The record rewritten with its ttl ended, in the order removal, write. What was said about the key or landed under it
   * while the record was being read has taken its place, and is left alone.
   */
  private async expireBelow(gate: TierGate, guard: Fence, now: number): Promise<boolean> {
    const { lane, key } = guard.subject;
    const lookup = await gate.peek(lane, key);
    const found = lookup.outcome === 'hit' ? lookup.record : undefined;
    if (guard.isShut) return found !== undefined;
    const removed = gate.remove(lane, key);
    const rewritten = found === undefined ? undefined : this.expired(found, guard, now);
    if (rewritten !== undefined) gate.write(lane, rewritten);
    return (await removed) || found !== undefined;
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
   * Asks every tier below at once; never rejects. One that fails is distrusted for everything born before the records.
   */
  private async below<T>(records: readonly LogRecord[], act: (gate: TierGate) => Promise<T>): Promise<Below<T>> {
    const position = lastOf(records);
    const results: T[] = [];
    let untold: Untold | undefined;
    const note = this.noteMissed();
    const reached = note === undefined ? this.parts.below : this.parts.below.filter(({ name }) => name !== 'l3');
    const [noted] = await Promise.allSettled([
      note,
      ...reached.map(async (gate) => {
        try {
          results.push(await act(gate));
        } catch (cause) {
          gate.distrust(position);
          if (gate.name === 'l3') untold = { cause };
        }
      }),
    ]);
    return { results, untold, unnoted: noted.status === 'rejected' ? { cause: noted.reason } : undefined };
  }

  /** If the persistent tier could not be told, it is emptied as a whole. */
  private async confirm({ untold, unnoted }: Omit<Below<unknown>, 'results'>): Promise<void> {
    if (unnoted !== undefined) throw this.notDurable(unnoted.cause);
    if (untold !== undefined) await this.voidPersistence(untold.cause);
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
  private announce(records: readonly LogRecord[], space: LaneSpace | undefined): void {
    const { events } = this.parts;
    for (const record of records) {
      const { kind, lane, subject, position } = record;
      space?.recent.named(record);
      if (space !== undefined) space.recorder.invalidation(kind);
      else for (const each of this.spaces.values()) each.recorder.invalidation(kind);
      if (events.wants('invalidate')) events.emit('invalidate', { kind, lane, subject, position, origin: 'local' });
    }
  }
}

interface Below<T> {
  readonly results: readonly T[];
  /** Why the persistent tier was not told. */
  readonly untold: Untold | undefined;
  /** Why no word could be left for the next owner of the persistent tier. */
  readonly unnoted: Untold | undefined;
}

interface Untold {
  readonly cause: unknown;
}

function lastOf(records: readonly LogRecord[]): number {
  return records.at(-1)?.position ?? 0;
}
