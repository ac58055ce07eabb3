import { INVALIDATION_KINDS } from '../events/reasons.js';
import type { LogPlace } from '../storage/files/log-files.js';
import type { ServerCopy, SharedRecord } from './shared-log.js';

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
const EVERYTHING: Omit<HostRecord, 'place'> = Object.freeze({
  author: '',
  number: 0,
  time: 0,
  records: [{ kind: 'all', lane: null, subject: '*' } as const],
});

export function collect(into: HostRecord[], body: string, place: LogPlace): void {
  const { author, number, time, records } = parse(body) ?? EVERYTHING;
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
