import type { LogCursor, SharedRecord, Subject } from '../../invalidation/shared-log.js';
import { TagIndex } from '../../invalidation/invalidation-log.js';
import { keyMember, ofMember } from './record-codec.js';
import { KeyPattern } from '../../entries/pattern.js';

/** So many tags, and keys, are remembered: as many as the server does. */
const REMEMBERED = 100_000;

/**
 * The records that this instance has followed, by sequence numbers. They are enough to judge entries whose birth is within
 * the time it has followed without a gap. Keys are remembered only where entries lie on other nodes than the log: else the
 * server removes their entries in the step of the record.
 */
export class AppliedInvalidations {
  readonly patterns = new RecentPatterns();
  private tags = new TagIndex(REMEMBERED);
  private keys: TagIndex | undefined;
  private readonly clears = new Map<string | null, number>();
  private since = Infinity;

  constructor(private readonly entries: 'beside-the-log' | 'spread' = 'beside-the-log') {}

  /** Records before `sequence` are unknown, except the patterns that the server sent. */
  beginAt(sequence: number): void {
    this.tags = new TagIndex(REMEMBERED);
    this.keys = this.entries === 'spread' ? new TagIndex(REMEMBERED) : undefined;
    this.clears.clear();
    this.since = sequence;
  }

  apply({ kind, lane, subject }: SharedRecord, sequence: number): void {
    if (kind === 'all') this.clears.set(lane, sequence);
    else if (lane === null) this.tags.mark(subject, sequence);
    else if (kind !== 'pattern') this.keys?.mark(keyMember(lane, subject), sequence);
  }

  /** Whether `matches` is enough: every record after `birth` was followed. The server has patterns that were forgotten. */
  knowsAllAfter(birth: number): boolean {
    return birth >= this.since && birth >= this.patterns.floor;
  }

  /** Whether a record after `birth` names the entry, or may have, because it is not remembered. */
  matches(entry: Subject, birth: number): boolean {
    if (this.clearOf(entry.lane) > birth || this.clearOf(null) > birth) return true;
    if (this.keys !== undefined && this.keys.isAfter(birth, [keyMember(entry.lane, entry.key)])) return true;
    return this.tags.isAfter(birth, entry.tags) || this.patterns.match(entry, birth);
  }

  private clearOf(lane: string | null): number {
    return this.clears.get(lane) ?? 0;
  }
}

interface RecentPattern {
  readonly lane: string;
  readonly pattern: KeyPattern;
  readonly sequence: number;
}

/** The server keeps half as many, and a floor for those it dropped. */
export const PATTERNS_ON_SERVER = 256;
const REMEMBERED_PATTERNS = 2 * PATTERNS_ON_SERVER;

/** The patterns that the server remembers, as far as this instance knows them. Instances match patterns; the server does not. */
export class RecentPatterns {
  private readonly patterns = new Map<string, RecentPattern>();
  private newest = 0;
  private forgotten = 0;

  /** Sequence number up to which all patterns are known. */
  get known(): number {
    return this.newest;
  }

  /** Sequence number of the newest pattern that was forgotten. */
  get floor(): number {
    return this.forgotten;
  }

  forget(): void {
    this.forgotten = 0;
    this.patterns.clear();
    this.newest = 0;
  }

  /** Alternating members and sequence numbers, as the scripts return them. */
  learnAll(found: readonly string[]): void {
    for (let at = 0; at + 1 < found.length; at += 2) this.learn(found[at] ?? '', Number(found[at + 1]));
  }

  learn(member: string, sequence: number): void {
    const { lane, subject } = ofMember(member);
    this.patterns.delete(member);
    this.patterns.set(member, { lane, pattern: new KeyPattern(subject), sequence });
    this.newest = Math.max(this.newest, sequence);
    if (this.patterns.size <= REMEMBERED_PATTERNS) return;
    for (const [oldest, { sequence: forgotten }] of this.patterns) {
      this.patterns.delete(oldest);
      this.forgotten = forgotten;
      break;
    }
  }

  /** Whether a pattern after `birth` matches this entry. */
  match(entry: Subject, birth: number): boolean {
    if (birth >= this.newest) return false;
    for (const { lane, pattern, sequence } of this.patterns.values()) {
      if (sequence > birth && lane === entry.lane && pattern.matchesEntry(entry.key, entry.tags)) return true;
    }
    return false;
  }
}

/** With more keys, all are hidden. */
const MOST_HIDDEN = 10_000;

/**
 * Keys of which this process had a newer value while it was partitioned. Their older entries may be on the server still, and
 * this process does not read them. The other instances never had the newer value.
 */
export class HiddenEntries {
  private readonly keys = new Set<string>();
  private areAll = false;
  private newest: { readonly lane: string; readonly subject: string } | undefined;
  /** Entries with an earlier birth are hidden. */
  private before: LogCursor | undefined;

  add(lane: string, key: string): void {
    this.newest = { lane, subject: key };
    this.before = undefined;
    if (this.keys.size >= MOST_HIDDEN) this.areAll = true;
    else this.keys.add(keyMember(lane, key));
  }

  /** Another generation has none of these entries. Returns one of the keys, if it is not known yet where hiding ends. */
  connected(generation: string): HiddenEntries['newest'] {
    if (this.before !== undefined && this.before.generation !== generation) this.clear();
    return this.before === undefined ? this.newest : undefined;
  }

  /** Births from `place` on are newer than what was hidden when `newest` was the last key. */
  olderThan(newest: HiddenEntries['newest'], place: LogCursor | undefined): void {
    if (this.newest === newest) this.before = place;
  }

  hides({ lane, key }: Pick<Subject, 'lane' | 'key'>, birth: number): boolean {
    if (this.newest === undefined || birth >= (this.before?.sequence ?? Infinity)) return false;
    return this.areAll || this.keys.has(keyMember(lane, key));
  }

  private clear(): void {
    this.keys.clear();
    this.areAll = false;
    this.newest = undefined;
    this.before = undefined;
  }
}

/** So many moves are remembered. Entries whose birth is older are not shared. */
const REMEMBERED_CURSORS = 16_384;

/**
 * Which sequence number had been followed at each position of this process: the shared birth of an entry with that local
 * birth. Every move of the cursor moves the position too, so a position has one cursor.
 */
export class CursorHistory {
  private generation = '';
  private positions: number[] = [];
  private sequences: number[] = [];

  get current(): LogCursor | undefined {
    const sequence = this.sequences.at(-1);
    return sequence === undefined ? undefined : { generation: this.generation, sequence };
  }

  /** From `position` on, the log has been followed up to `cursor`. A new generation drops the one before. */
  note(position: number, { generation, sequence }: LogCursor): void {
    if (generation !== this.generation) {
      this.generation = generation;
      this.positions = [];
      this.sequences = [];
    }
    this.positions.push(position);
    this.sequences.push(sequence);
    if (this.positions.length <= REMEMBERED_CURSORS) return;
    this.positions = this.positions.slice(REMEMBERED_CURSORS / 2);
    this.sequences = this.sequences.slice(REMEMBERED_CURSORS / 2);
  }

  /** The cursor at the position `birth`. Undefined if it is forgotten. */
  at(birth: number): LogCursor | undefined {
    let low = 0;
    let high = this.positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.positions[middle] ?? Infinity) <= birth) low = middle + 1;
      else high = middle;
    }
    const sequence = this.sequences[low - 1];
    return sequence === undefined ? undefined : { generation: this.generation, sequence };
  }
}
