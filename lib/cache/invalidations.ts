import { InvalidationNotDurableError } from '../errors/cache.errors.js';
import { openRecord, sealRecord } from '../entries/record.js';
import { KeyPattern } from '../entries/pattern.js';
import type { LogRecord } from '../invalidation/journal.js';
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
    await this.durable(records, stored);
    await this.confirm(await below);
  }

  /** Past its ttl at once. Whether there was something under the key. */
  async expireKey(space: LaneSpace, key: string): Promise<boolean> {
    const { lane } = space;
    const now = this.parts.life.now();
    const { records, removal } = this.parts.log.expireKey(lane, key, now);
    const entry = space.memory.peek(key);
    entry?.expire(now);
    this.announce(records, space);
    const below = await this.below(records, (gate) => this.expireBelow(gate, { lane, key, now }));
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
    this.announce(records, space);
    const below = this.below(records, (gate) => gate.remove(lane, key));
    for (const record of records) write(record);
    return below.then((done) => {
      removal.committed();
      return this.confirm(done);
    });
  }

  /** The record rewritten with its ttl ended, in the order removal, write. */
  private async expireBelow(gate: TierGate, target: { lane: string; key: string; now: number }): Promise<boolean> {
    const { lane, key, now } = target;
    const lookup = await gate.read(lane, key);
    const removed = gate.remove(lane, key);
    if (lookup.outcome === 'hit') {
      const record = openRecord(lookup.record.bytes);
      const grace = record.staleUntil - record.expiresAt;
      const expiresAt = Math.min(record.expiresAt, now);
      const bytes = sealRecord({ ...record, expiresAt, staleUntil: expiresAt + grace });
      if (grace > 0) gate.write(lane, { ...lookup.record, expiresAt: expiresAt + grace, bytes });
    }
    return (await removed) || lookup.outcome === 'hit';
  }

  /** Asks every tier below at once. One that fails is distrusted for everything born before the records. */
  private async below<T>(records: readonly LogRecord[], act: (gate: TierGate) => Promise<T>): Promise<Below<T>> {
    const position = lastOf(records);
    const results: T[] = [];
    let persistentFailed = false;
    let cause: unknown;
    const note = this.noteMissed();
    const reached = note === undefined ? this.parts.below : this.parts.below.filter(({ name }) => name !== 'l3');
    await Promise.all([
      note,
      ...reached.map(async (gate) => {
        try {
          results.push(await act(gate));
        } catch (error) {
          gate.distrust(position);
          if (gate.name === 'l3') {
            persistentFailed = true;
            cause = error;
          }
        }
      }),
    ]);
    return { results, persistentFailed, cause };
  }

  /** If the persistent tier could not be told, it is emptied as a whole. */
  private async confirm(below: Below<unknown>): Promise<void> {
    if (below.persistentFailed) await this.voidPersistence(below.cause);
  }

  private async durable(records: readonly LogRecord[], stored: Promise<void>): Promise<void> {
    await this.noteMissed();
    try {
      await stored;
    } catch (error) {
      const position = lastOf(records);
      for (const gate of this.parts.below) if (gate.name === 'l3') gate.distrust(position);
      await this.voidPersistence(error);
    }
  }

  /** A process that does not own the persistent tier leaves word for the next owner. */
  private noteMissed(): Promise<void> | undefined {
    const { persistence } = this.parts;
    return persistence?.noteMissed()?.catch((cause: unknown) => {
      throw new InvalidationNotDurableError(persistence.directory, { cause });
    });
  }

  private async voidPersistence(cause: unknown): Promise<void> {
    const { persistence } = this.parts;
    if (persistence === undefined) return;
    try {
      await persistence.void();
    } catch (error) {
      throw new InvalidationNotDurableError(persistence.directory, { cause: error ?? cause });
    }
  }

  /** A tag reaches all lanes, and is counted once, where it was said. */
  private announce(records: readonly LogRecord[], space: LaneSpace | undefined): void {
    const { events } = this.parts;
    for (const { kind, lane, subject, position } of records) {
      if (space !== undefined) space.recorder.invalidation(kind);
      else for (const each of this.spaces.values()) each.recorder.invalidation(kind);
      if (events.wants('invalidate')) events.emit('invalidate', { kind, lane, subject, position, origin: 'local' });
    }
  }
}

interface Below<T> {
  readonly results: readonly T[];
  readonly persistentFailed: boolean;
  readonly cause: unknown;
}

function lastOf(records: readonly LogRecord[]): number {
  return records.at(-1)?.position ?? 0;
}
