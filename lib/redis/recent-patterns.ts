import { KeyPattern } from '../entries/pattern.js';
import { ofMember, type Named } from './subject.js';

interface RecentPattern {
  readonly lane: string;
  readonly pattern: KeyPattern;
  readonly sequence: number;
}

/** The server keeps half of it, and a floor for what it let go. */
export const PATTERNS_ON_SERVER = 256;
const REMEMBERED_PATTERNS = 2 * PATTERNS_ON_SERVER;

/** The patterns that the server remembers, as far as this instance has heard of them: it matches, the server does not. */
export class RecentPatterns {
  private readonly patterns = new Map<string, RecentPattern>();
  private newest = 0;
  private forgotten = 0;

  /** Sequence number up to which all are known. */
  get known(): number {
    return this.newest;
  }

  /** Of the newest that was forgotten. */
  get floor(): number {
    return this.forgotten;
  }

  forget(): void {
    this.forgotten = 0;
    this.patterns.clear();
    this.newest = 0;
  }

  /** Members and sequence numbers by turns, as the scripts give them. */
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

  /** Whether one of them came after `birth` and is about this entry. */
  name(entry: Named, birth: number): boolean {
    if (birth >= this.newest) return false;
    for (const { lane, pattern, sequence } of this.patterns.values()) {
      if (sequence > birth && lane === entry.lane && pattern.matchesEntry(entry.key, entry.tags)) return true;
    }
    return false;
  }
}
