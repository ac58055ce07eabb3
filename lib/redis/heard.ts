import type { SharedRecord } from '../invalidation/shared-log.js';
import { TagPositions } from '../invalidation/tag-index.js';
import { RecentPatterns } from './recent-patterns.js';
import type { Named } from './subject.js';

/** Tags remembered before those of the older half are left to the server. */
const TAGS_REMEMBERED = 100_000;

/**
 * What this instance has heard from the shared log, by sequence numbers: enough to judge by itself what was born since it
 * has been listening without a gap. Keys are not remembered: the server removes their entries in the step of the record.
 */
export class Heard {
  readonly patterns = new RecentPatterns();
  private tags = new TagPositions(TAGS_REMEMBERED);
  private readonly clears = new Map<string | null, number>();
  private since = Infinity;

  /** Nothing from before `sequence` is known, beside the patterns that the server has told. */
  beginAt(sequence: number): void {
    this.tags = new TagPositions(TAGS_REMEMBERED);
    this.clears.clear();
    this.since = sequence;
  }

  hear({ kind, lane, subject }: SharedRecord, sequence: number): void {
    if (kind === 'all') this.clears.set(lane, sequence);
    else if (lane === null) this.tags.mark(subject, sequence);
  }

  /** Whether everything that came after `birth` was heard and is remembered. */
  knowsAllAfter(birth: number): boolean {
    return birth >= this.since && birth >= this.tags.floor && birth >= this.patterns.floor;
  }

  /** Whether something that was heard after `birth` names the entry. */
  names(entry: Named, birth: number): boolean {
    if (this.clearOf(entry.lane) > birth || this.clearOf(null) > birth) return true;
    return this.tags.isAfter(birth, entry.tags) || this.patterns.name(entry, birth);
  }

  private clearOf(lane: string | null): number {
    return this.clears.get(lane) ?? 0;
  }
}
