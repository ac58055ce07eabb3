import { INVALIDATION_KINDS } from '../events/reasons.js';
import type { LogPlace } from '../storage/files/log-files.js';
import { KeyPattern } from '../entries/pattern.js';
import { EVERYTHING, type ServerCopy, type SharedRecord, type Standing, type Subject } from './shared-log.js';

/** A record of the file as it was read. */
export interface HostRecord {
  readonly author: string;
  readonly number: number;
  /** The author's life time. */
  readonly time: number;
  readonly records: readonly SharedRecord[];
  readonly place: LogPlace;
}

/** So many records of one call share a record of the file, and so much text: the longest key takes much less than a record may. */
const GROUP = { records: 128, characters: 96 * 1024 };

/** The records of a call in groups. All those of a group are of one kind and one lane. */
export function groupsOf(records: readonly SharedRecord[]): readonly (readonly SharedRecord[])[] {
  const groups: SharedRecord[][] = [];
  let [group, characters]: [SharedRecord[], number] = [[], 0];
  for (const record of records) {
    const first = group[0];
    const isOther = first?.kind !== record.kind || first.lane !== record.lane;
    characters += record.subject.length;
    if (isOther || group.length === GROUP.records || characters > GROUP.characters) {
      groups.push((group = []));
      characters = record.subject.length;
    }
    group.push(record);
  }
  return groups;
}

interface BodyHead {
  readonly author: string;
  readonly number: number;
  readonly time: number;
}

export function bodyOf(
  { author, number, time }: BodyHead,
  group: readonly SharedRecord[],
  copies: readonly (ServerCopy | undefined)[],
): string {
  const [first] = group;
  const subjects = group.length === 1 ? first?.subject : group.map(({ subject }) => subject);
  return JSON.stringify([author, number, time, first?.kind, first?.lane, subjects, ...packCopies(copies)]);
}

/**
 * The records of a group share a lane, so all of them have copies, or none has. Ids are packed as what they begin with, which
 * they share, and the rests. A sequence number of 0 is unknown, as are all of another generation than the last.
 */
function packCopies(copies: readonly (ServerCopy | undefined)[]): readonly unknown[] {
  const known = copies.filter((copy) => copy !== undefined);
  const [first] = known;
  if (first === undefined) return [];
  const shared = first.id.slice(0, first.id.lastIndexOf(':') + 1);
  const generation = known.findLast(({ place }) => place !== undefined)?.place?.generation ?? '';
  const sequenceOf = ({ place }: ServerCopy): number => (place?.generation === generation ? place.sequence : 0);
  return [shared, known.map(({ id }) => id.slice(shared.length)), generation, known.map(sequenceOf)];
}

/**
 * The copies of a body. Its author may publish nothing to the server, and an earlier release does not name the copies. Such a
 * record has an id of its own, the same for every reader.
 */
function unpackCopies(packed: readonly unknown[], author: string, number: number): (index: number) => ServerCopy {
  const [shared, rests, generation, sequences] = packed;
  if (typeof shared !== 'string' || !Array.isArray(rests) || !Array.isArray(sequences)) {
    return (index) => ({ id: `${author}:${number}.${index}`, place: undefined });
  }
  return (index) => {
    const sequence = Number(sequences[index]);
    const place = sequence > 0 ? { generation: String(generation), sequence } : undefined;
    return { id: `${shared}${String(rests[index])}`, place };
  };
}

/** A body that cannot be read may have named anything. */
const UNREADABLE: Omit<HostRecord, 'place'> = Object.freeze({ author: '', number: 0, time: 0, records: [EVERYTHING] });

export function collect(into: HostRecord[], body: string, place: LogPlace): void {
  const { author, number, time, records } = parse(body) ?? UNREADABLE;
  into.push({ author, number, time, records, place });
}

function parse(body: string): Omit<HostRecord, 'place'> | undefined {
  try {
    const [author, number, time, kind, lane, named, ...packed]: readonly unknown[] = JSON.parse(body);
    const known = INVALIDATION_KINDS.find((one) => one === kind);
    const isWhole = typeof author === 'string' && typeof number === 'number' && typeof time === 'number';
    if (!isWhole || known === undefined || !(lane === null || typeof lane === 'string')) return undefined;
    const subjects: readonly unknown[] = Array.isArray(named) ? named : [named];
    if (subjects.length === 0 || !subjects.every((subject) => typeof subject === 'string')) return undefined;
    const copyAt = unpackCopies(packed, author, number);
    const records = subjects.map((subject, at) => ({ kind: known, lane, subject, at: time, copy: copyAt(at) }));
    return { author, number, time, records };
  } catch {
    return undefined;
  }
}

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
 * An entry is given up if a later record names it.
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

  /** Something has been invalidated, by whatever process. */
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
