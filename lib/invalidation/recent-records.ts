import { KeyPattern } from '../entries/pattern.js';
import type { LogPlace } from '../storage/files/log-files.js';
import type { SharedRecord, Standing, Subject } from './shared-log.js';

/** Whether `record` invalidates or expires `subject`. */
export function names(record: SharedRecord, { lane, key, tags }: Subject): boolean {
  if (record.lane !== null && record.lane !== lane) return false;
  if (record.kind === 'all') return true;
  if (record.kind === 'pattern') return new KeyPattern(record.subject).matchesEntry(key, tags);
  return record.lane === null ? tags.includes(record.subject) : record.subject === key;
}

/** So many records are remembered. Offers from before them are refused. */
const REMEMBERED = 20_000;

type Place = Pick<LogPlace, 'generation' | 'position'>;

/** The newest records of a log, in its order. They decide what processes of one directory take from each other. */
export class RecentRecords {
  private records: { readonly position: number; readonly record: SharedRecord; readonly by: string | undefined }[] = [];
  private generation: string | undefined;
  /** What lies before it is not known. */
  private floor = 0;

  /** Nothing is known of what was before `place`. */
  restart({ generation, position }: Place): void {
    this.records = [];
    this.generation = generation;
    this.floor = position;
  }

  /** `by`: its author, where the judgement may leave one out. */
  add({ position }: Pick<Place, 'position'>, record: SharedRecord, by?: string): void {
    this.records.push({ position, record, by });
    if (this.records.length < 2 * REMEMBERED) return;
    this.records = this.records.slice(REMEMBERED);
    this.floor = this.records[0]?.position ?? position;
  }

  /** Whether a record since `asOf` names the subject. Those of the author `except` do not matter. */
  judge(asOf: Place, subject: Subject, except?: string): Standing {
    if (!this.knows(asOf)) return 'unknown';
    for (let index = this.records.length - 1; index >= 0; index--) {
      const newer = this.records[index];
      if (newer === undefined || newer.position <= asOf.position) return 'counts';
      const isOther = except === undefined || newer.by !== except;
      if (isOther && names(newer.record, subject)) return 'named';
    }
    return 'counts';
  }

  /** The records since `asOf`. Undefined if some of them are forgotten. */
  since(asOf: Place): readonly SharedRecord[] | undefined {
    if (!this.knows(asOf)) return undefined;
    return this.records.filter(({ position }) => position > asOf.position).map(({ record }) => record);
  }

  private knows({ generation, position }: Place): boolean {
    return generation === this.generation && position >= this.floor;
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
