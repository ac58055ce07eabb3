import type { KeyPattern } from '../entries/pattern.js';
import type { InvalidationKind } from '../events/reasons.js';
import { InvalidationGuard, type FlightSubject, LaneLog, type PendingRemoval, type PatternRecord } from './lane-log.js';
import { ExpiredTags, TagIndex } from './tag-index.js';
import type { LogJournal, LogRecord, LogRow } from './journal.js';

/** What the log judges: an entry in a tier, or a value about to land. */
export interface Candidate {
  readonly lane: string;
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
}

/** A record that was said, and when what must outlive the process has been stored. */
export interface Appended {
  readonly records: readonly LogRecord[];
  /** Rejects when the journal could not store it. Resolved already where there is no journal. */
  readonly stored: Promise<void>;
}

export interface LogOptions {
  /** Tags remembered by position before the floor rises. Default 100,000. */
  readonly tagLimit?: number;
  /** Where what must outlive the process is stored; absent without a persistent tier. */
  readonly journal?: LogJournal | undefined;
}

const DEFAULT_TAG_LIMIT = 100_000;
/** A birth that everything comes after. */
const BEFORE_ALL = -1;

/**
 * The ordered list of what no longer counts, and the one place that decides whether an entry still does.
 *
 * Positions only grow, by one with every record. A flight takes the position at which it opens as its birth, and its
 * entry carries that birth through every tier. A record names a subject at its position, and whatever belongs to the
 * subject and was born before no longer counts. Tags are remembered by position, so naming one costs the same however
 * many entries carry it. Keys and patterns are not remembered: they shut the flights under way, their entries are
 * removed, and they stay pending until the removal has been committed, so that nobody brings the old entry up again.
 *
 * The stamp moves only with records that do not remove what they name from memory (tags, clears, expiries, floors). An
 * entry in memory remembers the stamp at which it was last found good; as long as the stamp stands, it is still good.
 */
export class InvalidationLog {
  private currentStamp = 0;
  private flights = 0;
  private readonly positions: Positions;
  private readonly tagAt: TagIndex;
  private readonly expiredTags: ExpiredTags;
  private readonly lanes = new Map<string, LaneLog>();

  constructor(options: LogOptions = {}) {
    const limit = options.tagLimit ?? DEFAULT_TAG_LIMIT;
    this.tagAt = new TagIndex(limit);
    this.expiredTags = new ExpiredTags(limit);
    this.positions = new Positions(options.journal);
    if (options.journal !== undefined) this.takeUp(options.journal);
  }

  get position(): number {
    return this.positions.current;
  }

  get stamp(): number {
    return this.currentStamp;
  }

  /** The log of one lane; made when it is first asked for. */
  lane(name: string): LaneLog {
    let lane = this.lanes.get(name);
    if (lane === undefined) {
      lane = new LaneLog();
      this.lanes.set(name, lane);
    }
    return lane;
  }

  /** Opens a flight: takes its birth, and puts up the fence that is told of every record until `close`. */
  open(subject: FlightSubject): InvalidationGuard {
    return this.putUp(subject, ++this.flights, this.position);
  }

  /** Stands before what is about to be rewritten below: any landing and any record about the key shuts it. */
  guard(subject: FlightSubject): InvalidationGuard {
    return this.putUp(subject, 0, BEFORE_ALL);
  }

  close(guard: InvalidationGuard): void {
    this.lane(guard.subject.lane).close(guard);
  }

  /** What has this birth and flight number has landed: flights of its key that were opened before it land no more. */
  stored(candidate: Candidate, number: number): void {
    for (const guard of this.lane(candidate.lane).guardsOf(candidate.key)) {
      const { birth } = candidate;
      if (guard.birth < birth || (guard.birth === birth && guard.number < number)) guard.overtake();
    }
  }

  /** The one predicate: whether `candidate` still counts, and may land or be served. */
  counts(candidate: Candidate, guard?: InvalidationGuard): boolean {
    const { key, tags, birth } = candidate;
    const lane = this.lane(candidate.lane);
    if (guard !== undefined && (guard.isInvalidated || guard.removedAt > birth)) return false;
    if (lane.clearAt > birth || lane.pendingRemovalOf(key) > birth) return false;
    if (this.tagAt.isAfter(birth, tags)) return false;
    return !matchesAny(lane.patterns, candidate) && !(guard !== undefined && matchesAny(guard.patterns, candidate));
  }

  /** The record that voids or expired `candidate`, if one did; to be told, not to be decided by. */
  whyNot(candidate: Candidate): VoidedBy | undefined {
    return whyNot(candidate, { lane: this.lane(candidate.lane), tagAt: this.tagAt, expiredTags: this.expiredTags });
  }

  /** Life time at which `candidate` was put past its ttl by one of its tags or on its way; undefined if it was not. */
  expiredAt(candidate: Candidate, guard?: InvalidationGuard): number | undefined {
    if (guard?.expiredAt !== undefined) return guard.expiredAt;
    const { lane, key, birth } = candidate;
    const expiring = this.lane(lane).pendingExpiryOf(key) ?? guard?.expiring;
    if (expiring !== undefined && expiring.position > birth) return expiring.at;
    return this.expiredTags.expiredAt(candidate.birth, candidate.tags);
  }

  /** Names one key of a lane: shuts its flights. The caller removes it everywhere, then calls `committed`. */
  key(lane: string, key: string): Appended & { readonly removal: PendingRemoval } {
    const record = this.next('key', lane, key);
    const log = this.lane(lane);
    for (const guard of log.guardsOf(key)) guard.invalidate(record);
    return { records: [record], stored: STORED, removal: log.removeKey(key, record.position) };
  }

  /** Names tags of all lanes. */
  tags(tags: readonly string[]): Appended {
    const records = tags.map((tag) => this.next('tag', null, tag));
    const rows = records.flatMap((record) => this.markTag(record));
    this.currentStamp++;
    return { records, stored: this.positions.store(rows) };
  }

  /** Names what matches in a lane. The caller removes the matches everywhere, then calls `committed`. */
  pattern(lane: string, pattern: KeyPattern): Appended & { readonly removal: PendingRemoval } {
    const record = this.next('pattern', lane, pattern.text);
    const log = this.lane(lane);
    for (const guard of log.allGuards()) {
      if (pattern.matchesEntry(guard.subject.key, guard.subject.tags)) guard.invalidate(record);
    }
    return { records: [record], stored: STORED, removal: log.removePattern(pattern, record) };
  }

  /** Names everything of a lane. */
  clear(lane: string): Appended {
    const record = this.next('all', lane, '*');
    const log = this.lane(lane);
    log.clearAt = record.position;
    for (const guard of log.allGuards()) guard.invalidate(record);
    this.currentStamp++;
    return { records: [record], stored: this.positions.store([{ row: 'clear', lane, position: record.position }]) };
  }

  /** Puts a key's flights past their ttl. The caller rewrites the expiry of its entry everywhere, as a removal. */
  expireKey(lane: string, key: string, now: number): Appended & { readonly removal: PendingRemoval } {
    const record = this.next('expire', lane, key);
    const log = this.lane(lane);
    for (const guard of log.guardsOf(key)) guard.expire(now);
    const removal = log.expireKey(key, { position: record.position, at: now });
    return { records: [record], stored: STORED, removal };
  }

  /** Puts what carries one of `tags`, in all lanes, past its ttl. */
  expireTags(tags: readonly string[], now: number): Appended {
    const records = tags.map((tag) => this.next('expire', null, tag));
    const rows = records.flatMap((record) => this.markExpired(record, now));
    this.currentStamp++;
    return { records, stored: this.positions.store(rows) };
  }

  /** Moves the position without a record, so that births before and after can be told apart. */
  pass(): void {
    this.positions.next();
  }

  /** Shuts every flight, for when what they started from can no longer be proved. */
  invalidateAll(): void {
    const record = this.next('all', null, '*');
    for (const lane of this.lanes.values()) for (const guard of lane.allGuards()) guard.invalidate(record);
    this.currentStamp++;
  }

  /** Goes on from what another owner of the persistent tier has stored: nothing from before is trusted. */
  adopt(journal: LogJournal): void {
    this.invalidateAll();
    this.takeUp(journal);
    this.currentStamp++;
  }

  /** Stores the highest life time seen. */
  async storeTime(now: number): Promise<void> {
    await this.positions.store([{ row: 'time', at: now }]);
  }

  private putUp(subject: FlightSubject, number: number, birth: number): InvalidationGuard {
    const lane = this.lane(subject.lane);
    const { key } = subject;
    const [removedAt, expiring] = [lane.pendingRemovalOf(key), lane.pendingExpiryOf(key)];
    const guard = new InvalidationGuard(subject, number, birth, removedAt, lane.patterns, expiring);
    lane.admit(guard);
    return guard;
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
      for (const guard of lane.allGuards()) if (guard.subject.tags.includes(tag)) guard.invalidate(record);
    }
    const floor = this.tagAt.mark(tag, position);
    const row: LogRow = { row: 'tag', tag, position };
    return floor === undefined ? [row] : [row, { row: 'tag-floor', ...floor }];
  }

  private markExpired(record: LogRecord, now: number): readonly LogRow[] {
    const { subject: tag, position } = record;
    for (const lane of this.lanes.values()) {
      for (const guard of lane.allGuards()) if (guard.subject.tags.includes(tag)) guard.expire(now);
    }
    const row: LogRow = { row: 'expired-tag', tag, position, at: now };
    const floor = this.expiredTags.mark(tag, { position, at: now });
    return floor === undefined ? [row] : [row, { row: 'expire-floor', ...floor }];
  }
}

function matchesAny(patterns: readonly PatternRecord[], candidate: Candidate): boolean {
  for (const { pattern, position } of patterns) {
    if (position > candidate.birth && pattern.matchesEntry(candidate.key, candidate.tags)) return true;
  }
  return false;
}

/** Positions reserved ahead in the journal at a time. */
const CEILING_STEP = 65_536;
const STORED = Promise.resolve();

/**
 * The counter of the log, and its journal.
 *
 * Positions are reserved in the journal ahead of use, and so ahead of every entry that is born at them: after a restart
 * the count goes on above all that was ever used.
 */
class Positions {
  private at = 0;
  private ceiling = 0;

  constructor(private journal: LogJournal | undefined) {}

  get current(): number {
    return this.at;
  }

  next(): number {
    this.at++;
    this.reserve();
    return this.at;
  }

  /** Goes on above what `journal` has seen, and stores there from now on. */
  goOn(journal: LogJournal): void {
    this.journal = journal;
    this.at = Math.max(this.at, journal.initial.ceiling);
    this.ceiling = this.at;
    this.reserve();
  }

  /** Rejects when the journal could not store the rows. Resolved already where there is no journal. */
  store(rows: readonly LogRow[]): Promise<void> {
    return this.journal === undefined || rows.length === 0 ? STORED : this.journal.append(rows);
  }

  private reserve(): void {
    if (this.journal === undefined || this.at + CEILING_STEP / 2 < this.ceiling) return;
    this.ceiling = this.at + CEILING_STEP;
    // A journal that fails has its tier voided by whoever owns it; a lost reservation is then without effect.
    this.store([{ row: 'ceiling', position: this.ceiling }]).catch(() => undefined);
  }
}

/** The record by which an entry stopped counting. */
export interface VoidedBy {
  readonly kind: InvalidationKind;
  readonly position: number;
  /** Absent where only that there was such a record is still known. */
  readonly subject?: string;
}

interface Judged {
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
}

interface Known {
  readonly lane: LaneLog;
  readonly tagAt: TagIndex;
  readonly expiredTags: ExpiredTags;
}

/** What a person is told; what counts is decided by the log itself. */
function whyNot(judged: Judged, { lane, tagAt, expiredTags }: Known): VoidedBy | undefined {
  const { key, tags, birth } = judged;
  if (lane.clearAt > birth) return { kind: 'all', position: lane.clearAt, subject: '*' };
  const removedAt = lane.pendingRemovalOf(key);
  if (removedAt > birth) return { kind: 'key', position: removedAt, subject: key };
  const named = byTag('tag', tagAt, judged);
  if (named !== undefined) return named;
  for (const { pattern, position } of lane.patterns) {
    if (position > birth && pattern.matchesEntry(key, tags))
      return { kind: 'pattern', position, subject: pattern.text };
  }
  return byTag('expire', expiredTags.positions, judged);
}

function byTag(kind: 'tag' | 'expire', positions: TagIndex, { tags, birth }: Judged): VoidedBy | undefined {
  for (const tag of tags) {
    const position = positions.at(tag);
    if (position > birth) return { kind, position, subject: tag };
  }
  return tags.length > 0 && birth < positions.floor ? { kind, position: positions.floor } : undefined;
}
