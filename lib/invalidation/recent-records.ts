import { KeyPattern } from '../entries/pattern.js';
import type { LogPlace } from '../storage/host-log/log-files.js';
import type { SharedRecord } from './shared-log.js';

/** What a record may name. */
export interface Subject {
  readonly lane: string;
  readonly key: string;
  readonly tags: readonly string[];
}

/** Whether `record` invalidates or expires `subject`. */
export function names(record: SharedRecord, { lane, key, tags }: Subject): boolean {
  if (record.lane !== null && record.lane !== lane) return false;
  if (record.kind === 'all') return true;
  if (record.kind === 'pattern') return new KeyPattern(record.subject).matchesEntry(key, tags);
  return record.lane === null ? tags.includes(record.subject) : record.subject === key;
}

/** What is known of an entry that counted at some place of the log. `unknown`: the records since then are forgotten. */
export type Standing = 'counts' | 'named' | 'unknown';

/** So many records are remembered. Offers from before them are refused. */
const REMEMBERED = 20_000;

/** The newest records of the log of a directory, in its order. They decide what L3 accepts from other processes. */
export class RecentRecords {
  private records: { readonly position: number; readonly record: SharedRecord }[] = [];
  private generation: string | undefined;
  /** What lies before it is not known. */
  private floor = 0;

  /** Nothing is known of what was before `place`. */
  restart({ generation, position }: LogPlace): void {
    this.records = [];
    this.generation = generation;
    this.floor = position;
  }

  add({ position }: LogPlace, record: SharedRecord): void {
    this.records.push({ position, record });
    if (this.records.length < 2 * REMEMBERED) return;
    this.records = this.records.slice(REMEMBERED);
    this.floor = this.records[0]?.position ?? position;
  }

  /** Whether a record since `asOf` names the subject. */
  judge({ generation, position }: Pick<LogPlace, 'generation' | 'position'>, subject: Subject): Standing {
    if (generation !== this.generation || position < this.floor) return 'unknown';
    for (let index = this.records.length - 1; index >= 0; index--) {
      const newer = this.records[index];
      if (newer === undefined || newer.position <= position) return 'counts';
      if (names(newer.record, subject)) return 'named';
    }
    return 'counts';
  }
}

/** An entry that waits for records of this process to come round. */
interface WaitingOffer<T> {
  readonly subject: Subject;
  readonly missing: Set<T>;
  readonly resolve: (asOf: LogPlace | undefined) => void;
}

/**
 * Entries that this process has set, until the records of the sets are in the order of the log. `T` is such a record.
 * An entry is given up if another process has named it in the meantime.
 */
export class WaitingOffers<T> {
  private readonly waiting = new Set<WaitingOffer<T>>();

  /** Resolves to the place of the last of `missing`, or to undefined. */
  add(subject: Subject, missing: Iterable<T>): Promise<LogPlace | undefined> {
    return new Promise((resolve) => this.waiting.add({ subject, missing: new Set(missing), resolve }));
  }

  echoed(own: T, place: LogPlace): void {
    for (const offer of this.waiting) {
      if (offer.missing.delete(own) && offer.missing.size === 0) this.end(offer, place);
    }
  }

  /** Another process has invalidated something. */
  named(record: SharedRecord): void {
    for (const offer of this.waiting) if (names(record, offer.subject)) this.end(offer, undefined);
  }

  giveUp(): void {
    for (const offer of this.waiting) this.end(offer, undefined);
  }

  private end(offer: WaitingOffer<T>, asOf: LogPlace | undefined): void {
    this.waiting.delete(offer);
    offer.resolve(asOf);
  }
}
