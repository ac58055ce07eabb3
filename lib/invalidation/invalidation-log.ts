import type { KeyPattern } from '../entries/pattern.js';
import type { InvalidationKind } from '../events/reasons.js';
import type { LogJournal, LogRecord, LogRow, ExpiredTag, LogState } from './journal.js';
import {
  type InvalidationGuard,
  InvalidationsSince,
  type FlightSubject,
  LaneLog,
  type PendingRemoval,
  type PatternRecord,
} from './lane-log.js';

/** What the log judges: an entry in a tier, or a value that is about to be stored. */
export interface Candidate {
  readonly lane: string;
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
}

/** The records that were appended, and when the journal has stored what must outlive the process. */
export interface Appended {
  readonly records: readonly LogRecord[];
  /** Rejects when the journal could not store it. Without a journal it is resolved. */
  readonly stored: Promise<void>;
}

export interface LogOptions {
  /** So many tags are remembered before the floor rises. Default 100,000. */
  readonly tagLimit?: number;
  /** Stores what must outlive the process. Absent without a persistent tier. */
  readonly journal?: LogJournal | undefined;
}

const DEFAULT_TAG_LIMIT = 100_000;
/** Older than every record. */
const BEFORE_ALL = -1;
/** After every flight. */
const SUPERSEDES = Infinity;

/**
 * The ordered list of invalidations, and the one place that decides whether an entry still counts.
 *
 * Positions only grow, by one with every record. A flight takes the position at which it opens as its birth, and its
 * entry carries that birth through every tier. A record names a subject at its position; entries of the subject with an
 * older birth no longer count. Tags are remembered by position, so the cost does not depend on how many entries carry
 * them. Keys and patterns are not remembered: they invalidate the flights that run, their entries are removed, and they
 * stay pending until the removal is committed, so that no read brings the old entry back.
 *
 * The stamp moves only with records that do not remove what they name from memory (tags, clears, expiries, floors). An
 * entry in memory keeps the stamp at which it was last checked. While the stamp has not moved, the entry still counts.
 */
export class InvalidationLog {
  /** Moves with every record that does not remove what it names from memory. */
  stamp = 0;
  private flights = 0;
  private readonly positions: Positions;
  private readonly tagAt: TagIndex;
  private readonly expiredTags: ExpiredTags;
  private readonly lanes = new Map<string, LaneLog>();
  /** In the order in which they began. */
  private readonly collectors = new Set<InvalidationsSince>();

  constructor(options: LogOptions = {}) {
    const limit = options.tagLimit ?? DEFAULT_TAG_LIMIT;
    this.tagAt = new TagIndex(limit);
    this.expiredTags = new ExpiredTags(limit);
    this.positions = new Positions(options.journal);
    if (options.journal !== undefined) this.takeUp(options.journal);
  }

  /** The position of the newest record. */
  get position(): number {
    return this.positions.at;
  }

  /** The log of one lane. It is created at the first call. */
  lane(name: string): LaneLog {
    let lane = this.lanes.get(name);
    if (lane === undefined) {
      lane = new LaneLog();
      this.lanes.set(name, lane);
    }
    return lane;
  }

  /** Opens the guard of a flight. It takes the flight's birth, and collects every record until `close`. */
  open(subject: FlightSubject): InvalidationGuard {
    return this.lane(subject.lane).open(subject, ++this.flights, this.positions.at);
  }

  /** Opens the guard of a computation whose result supersedes what is stored meanwhile. Only records invalidate it. */
  openPut(subject: FlightSubject): InvalidationGuard {
    return this.lane(subject.lane).open(subject, SUPERSEDES, this.positions.at);
  }

  /** Opens a guard for a record that is rewritten below. Any value that is stored and any record about the key invalidates it. */
  guard(subject: FlightSubject): InvalidationGuard {
    return this.lane(subject.lane).open(subject, 0, BEFORE_ALL);
  }

  close(guard: InvalidationGuard): void {
    this.lane(guard.subject.lane).close(guard);
  }

  /** Collects what is invalidated in a lane from here on, until `stopCollecting`. */
  collect(lane: string): InvalidationsSince {
    const since = new InvalidationsSince(lane);
    this.collectors.add(since);
    return since;
  }

  stopCollecting(since: InvalidationsSince): void {
    this.collectors.delete(since);
  }

  /** Whether a flight of the key that was opened before this one may still store its result. */
  hasOlderFlights({ subject: { lane, key }, number }: InvalidationGuard): boolean {
    return this.lane(lane)
      .guardsOf(key)
      .some((other) => other.number < number && !other.isInvalidated);
  }

  /** A value of this birth and flight number was stored: flights of its key that were opened before it store nothing. */
  stored(candidate: Candidate, number: number): void {
    for (const guard of this.lane(candidate.lane).guardsOf(candidate.key)) {
      const { birth } = candidate;
      if (guard.number === SUPERSEDES) continue;
      if (guard.birth < birth || (guard.birth === birth && guard.number < number)) guard.supersede();
      else guard.hasOlder = true;
    }
  }

  /** The one predicate: whether `candidate` still counts, and may be stored or served. */
  counts(candidate: Candidate, guard?: InvalidationGuard): boolean {
    const { key, tags, birth } = candidate;
    const lane = this.lane(candidate.lane);
    if (guard !== undefined && (guard.isInvalidated || guard.removedAt > birth)) return false;
    if (lane.clearAt > birth || lane.pendingRemovalOf(key) > birth) return false;
    if (tags.length > 0 && this.tagAt.isAfter(birth, tags)) return false;
    if (lane.patterns.length > 0 && matchesAny(lane.patterns, candidate)) return false;
    return guard === undefined || guard.patterns.length === 0 || !matchesAny(guard.patterns, candidate);
  }

  /** The record that invalidated or expired `candidate`, for a person to read. `counts` decides. */
  whyNot(candidate: Candidate): VoidedBy | undefined {
    const { key, tags, birth } = candidate;
    const lane = this.lane(candidate.lane);
    if (lane.clearAt > birth) return { kind: 'all', position: lane.clearAt, subject: '*' };
    const removedAt = lane.pendingRemovalOf(key);
    if (removedAt > birth) return { kind: 'key', position: removedAt, subject: key };
    const tagged = byTag('tag', this.tagAt, candidate);
    if (tagged !== undefined) return tagged;
    for (const { pattern, position } of lane.patterns) {
      if (position > birth && pattern.matchesEntry(key, tags))
        return { kind: 'pattern', position, subject: pattern.text };
    }
    return byTag('expire', this.expiredTags.positions, candidate);
  }

  /** When `candidate` was expired, by a tag or while it was computed. Undefined if it was not. */
  expiredAt(candidate: Candidate, guard?: InvalidationGuard): number | undefined {
    if (guard?.expiredAt !== undefined) return guard.expiredAt;
    const { lane, key, birth } = candidate;
    const expiring = this.lane(lane).pendingExpiryOf(key) ?? guard?.expiring;
    if (expiring !== undefined && expiring.position > birth) return expiring.at;
    return candidate.tags.length === 0 ? undefined : this.expiredTags.expiredAt(candidate.birth, candidate.tags);
  }

  /**
   * Invalidates one key of a lane and its flights. The caller removes it everywhere, then calls `committed`. What a bulk call
   * stores counts as handed in with the call (`bulk`), so bulk calls that began after it do not count it as newer.
   */
  key(lane: string, key: string, bulk?: InvalidationsSince): Appended & { readonly removal: PendingRemoval } {
    const record = this.next('key', lane, key);
    const log = this.lane(lane);
    for (const guard of log.guardsOf(key)) guard.supersede();
    for (const since of this.collectors) {
      if (since === bulk) break;
      if (since.lane === lane) since.key(key);
    }
    return { records: [record], stored: STORED, removal: log.removeKey(key, record.position) };
  }

  /**
   * Invalidates what is not newer than a result of this birth, which is not stored: flights and entries of this birth and
   * of earlier ones. Flights that began later go on. The caller removes the key everywhere, then calls `committed`.
   */
  older({ lane, key }: FlightSubject, birth: number): Appended & { readonly removal: PendingRemoval } {
    const record = this.next('key', lane, key);
    const log = this.lane(lane);
    for (const guard of log.guardsOf(key)) {
      if (guard.birth > birth) guard.removedBefore(birth + 1);
      else guard.supersede();
    }
    for (const since of this.collectors) if (since.lane === lane) since.key(key);
    return { records: [record], stored: STORED, removal: log.removeKey(key, birth + 1) };
  }

  /** Invalidates tags in all lanes. */
  tags(tags: readonly string[]): Appended {
    const records = tags.map((tag) => this.next('tag', null, tag));
    const rows = records.flatMap((record) => this.markTag(record));
    this.stamp++;
    return { records, stored: this.positions.store(rows) };
  }

  /** Invalidates what matches in a lane. The caller removes the matches everywhere, then calls `committed`. */
  pattern(lane: string, pattern: KeyPattern): Appended & { readonly removal: PendingRemoval } {
    const record = this.next('pattern', lane, pattern.text);
    const log = this.lane(lane);
    for (const guard of allGuards(log)) {
      if (pattern.matchesEntry(guard.subject.key, guard.subject.tags)) guard.invalidate();
    }
    for (const since of this.collectors) if (since.lane === lane) since.pattern(pattern);
    this.stamp++;
    return { records: [record], stored: STORED, removal: log.removePattern(pattern, record.position) };
  }

  /** Invalidates everything in a lane. */
  clear(lane: string): Appended {
    const record = this.next('all', lane, '*');
    const log = this.lane(lane);
    log.clearAt = record.position;
    for (const guard of allGuards(log)) guard.supersede();
    for (const since of this.collectors) if (since.lane === lane) since.all();
    this.stamp++;
    return { records: [record], stored: this.positions.store([{ row: 'clear', lane, position: record.position }]) };
  }

  /** Expires a key's flights. The caller rewrites the expiry of its entry everywhere, as a removal. */
  expireKey(lane: string, key: string, now: number): Appended & { readonly removal: PendingRemoval } {
    const record = this.next('expire', lane, key);
    const log = this.lane(lane);
    for (const guard of log.guardsOf(key)) guard.expire(now);
    const removal = log.expireKey(key, { position: record.position, at: now });
    return { records: [record], stored: STORED, removal };
  }

  /** Expires what carries one of `tags`, in all lanes. */
  expireTags(tags: readonly string[], now: number): Appended {
    const records = tags.map((tag) => this.next('expire', null, tag));
    const rows = records.flatMap((record) => this.markExpired(record, now));
    this.stamp++;
    return { records, stored: this.positions.store(rows) };
  }

  /** Moves the position without a record, so that births before and after it differ. */
  pass(): void {
    this.positions.next();
  }

  /** Invalidates every flight: what they started from can no longer be proved. */
  invalidateAll(): void {
    this.pass();
    for (const lane of this.lanes.values()) for (const guard of allGuards(lane)) guard.invalidate();
    for (const since of this.collectors) since.all();
    this.stamp++;
  }

  /** Continues from what another owner of the persistent tier has stored. Nothing from before counts. */
  adopt(journal: LogJournal): void {
    this.invalidateAll();
    this.takeUp(journal);
    this.stamp++;
  }

  /** Stores the highest life time seen. */
  async storeTime(now: number): Promise<void> {
    await this.positions.store([{ row: 'time', at: now }]);
  }

  private takeUp(journal: LogJournal): void {
    const state = journal.initial;
    for (const [tag, position] of state.tagAt) this.tagAt.mark(tag, Math.max(position, this.tagAt.at(tag)));
    this.tagAt.raiseTo(state.tagFloor);
    this.expiredTags.takeUp(state);
    for (const [lane, position] of state.clearAt) {
      const log = this.lane(lane);
      log.clearAt = Math.max(log.clearAt, position);
    }
    this.positions.goOn(journal);
  }

  private next(kind: InvalidationKind, lane: string | null, subject: string): LogRecord {
    return { position: this.positions.next(), kind, lane, subject };
  }

  private markTag(record: LogRecord): readonly LogRow[] {
    const { subject: tag, position } = record;
    for (const lane of this.lanes.values()) {
      for (const guard of allGuards(lane)) if (guard.subject.tags.includes(tag)) guard.invalidate();
    }
    for (const since of this.collectors) since.tag(tag);
    const floor = this.tagAt.mark(tag, position);
    const row: LogRow = { row: 'tag', tag, position };
    return floor === undefined ? [row] : [row, { row: 'tag-floor', ...floor }];
  }

  private markExpired(record: LogRecord, now: number): readonly LogRow[] {
    const { subject: tag, position } = record;
    for (const lane of this.lanes.values()) {
      for (const guard of allGuards(lane)) if (guard.subject.tags.includes(tag)) guard.expire(now);
    }
    const row: LogRow = { row: 'expired-tag', tag, position, at: now };
    const floor = this.expiredTags.mark(tag, { position, at: now });
    return floor === undefined ? [row] : [row, { row: 'expire-floor', ...floor }];
  }
}

function* allGuards(lane: LaneLog): Iterable<InvalidationGuard> {
  for (const guards of lane.guards.values()) yield* guards;
}

function matchesAny(patterns: readonly PatternRecord[], candidate: Candidate): boolean {
  for (const { pattern, position } of patterns) {
    if (position > candidate.birth && pattern.matchesEntry(candidate.key, candidate.tags)) return true;
  }
  return false;
}

/** So many positions are reserved at a time. */
const CEILING_STEP = 65_536;
const STORED = Promise.resolve();

/**
 * The counter of the log, and its journal.
 *
 * Positions are reserved in the journal before they are used, and so before any entry takes one as its birth. After a
 * restart the count goes on above all that were used.
 */
class Positions {
  /** The position of the newest record. */
  at = 0;
  private ceiling = 0;

  constructor(private journal: LogJournal | undefined) {}

  next(): number {
    this.at++;
    this.reserve();
    return this.at;
  }

  /** Continues above what `journal` has seen, and stores there from now on. */
  goOn(journal: LogJournal): void {
    this.journal = journal;
    this.at = Math.max(this.at, journal.initial.ceiling);
    this.ceiling = this.at;
    this.reserve();
  }

  /** Rejects when the journal could not store the rows. Without a journal it is resolved. */
  store(rows: readonly LogRow[]): Promise<void> {
    return this.journal === undefined || rows.length === 0 ? STORED : this.journal.append(rows);
  }

  private reserve(): void {
    if (this.journal === undefined || this.at + CEILING_STEP / 2 < this.ceiling) return;
    this.ceiling = this.at + CEILING_STEP;
    // The owner of a journal that fails empties its tier, so a lost reservation has no effect.
    this.store([{ row: 'ceiling', position: this.ceiling }]).catch(() => undefined);
  }
}

/** The record by which an entry stopped counting. */
export interface VoidedBy {
  readonly kind: InvalidationKind;
  readonly position: number;
  /** Absent where only the position of the record is still known. */
  readonly subject?: string;
}

function byTag(kind: 'tag' | 'expire', positions: TagIndex, { tags, birth }: Candidate): VoidedBy | undefined {
  for (const tag of tags) {
    const position = positions.at(tag);
    if (position > birth) return { kind, position, subject: tag };
  }
  return tags.length > 0 && birth < positions.floor ? { kind, position: positions.floor } : undefined;
}

/** What was dropped to stay within the limit. */
interface RaisedFloor {
  readonly position: number;
  readonly dropped: readonly string[];
}

/**
 * tag -> position of its latest record, bounded.
 *
 * Past the limit the older half is dropped, and the floor rises to the newest position among them. A tagged entry whose
 * birth is below the floor no longer counts, because a dropped record may have named it.
 */
export class TagIndex {
  private readonly positions = new Map<string, number>();
  private lowest = 0;

  constructor(private readonly limit: number) {}

  get floor(): number {
    return this.lowest;
  }

  get size(): number {
    return this.positions.size;
  }

  at(tag: string): number {
    return this.positions.get(tag) ?? 0;
  }

  /** Whether a record of one of `tags` is newer than `birth`, or may have been. */
  isAfter(birth: number, tags: readonly string[]): boolean {
    if (tags.length === 0) return false;
    if (birth < this.lowest) return true;
    for (const tag of tags) {
      const position = this.positions.get(tag);
      if (position !== undefined && position > birth) return true;
    }
    return false;
  }

  mark(tag: string, position: number): RaisedFloor | undefined {
    this.positions.set(tag, position);
    return this.positions.size > this.limit ? this.raiseFloor() : undefined;
  }

  raiseTo(floor: number): void {
    this.lowest = Math.max(this.lowest, floor);
  }

  private raiseFloor(): RaisedFloor {
    const byAge = [...this.positions].toSorted((a, b) => a[1] - b[1]);
    const leaving = byAge.slice(0, Math.ceil(byAge.length / 2));
    for (const [tag, position] of leaving) {
      this.positions.delete(tag);
      this.raiseTo(position);
    }
    return { position: this.lowest, dropped: leaving.map(([tag]) => tag) };
  }
}

/** tag -> position and time of its latest expiry, bounded like the positions. */
class ExpiredTags {
  readonly positions: TagIndex;
  private readonly expired = new Map<string, ExpiredTag>();

  constructor(limit: number) {
    this.positions = new TagIndex(limit);
  }

  /** Adds what an earlier process stored. */
  takeUp(state: LogState): void {
    for (const [tag, expired] of state.expiredTagAt) this.mark(tag, expired);
    this.positions.raiseTo(state.expireFloor);
  }

  mark(tag: string, expired: ExpiredTag): RaisedFloor | undefined {
    if (expired.position < this.positions.at(tag)) return undefined;
    this.expired.set(tag, expired);
    const floor = this.positions.mark(tag, expired.position);
    for (const dropped of floor?.dropped ?? []) this.expired.delete(dropped);
    return floor;
  }

  /** The time of the newest record of `tags` after `birth`. 0 if there may be one that was dropped. */
  expiredAt(birth: number, tags: readonly string[]): number | undefined {
    if (!this.positions.isAfter(birth, tags)) return undefined;
    const newest = tags.map((tag) => this.expired.get(tag)).toSorted((a, b) => positionOf(b) - positionOf(a))[0];
    return newest !== undefined && newest.position > birth ? newest.at : 0;
  }
}

function positionOf(expired: ExpiredTag | undefined): number {
  return expired?.position ?? 0;
}
