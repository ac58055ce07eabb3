import { INVALIDATION_KINDS } from '../../events/reasons.js';
import type { SharedRecord } from '../../invalidation/shared-log.js';

/** Lanes have no zero character. */
const LANE_END = '\0';

/** The member of a subject in the sorted set of its kind: with the lane, unless it reaches all lanes. */
export function memberOf({ kind, lane, subject }: SharedRecord): string {
  return lane === null && kind !== 'pattern' ? inUtf8(subject) : keyMember(lane ?? '', subject);
}

/** A key of a lane in the sorted set of keys. */
export function keyMember(lane: string, key: string): string {
  return `${lane}${LANE_END}${inUtf8(key)}`;
}

/** Lane and subject of a member. */
export function ofMember(member: string): { readonly lane: string; readonly subject: string } {
  const end = member.indexOf(LANE_END);
  return { lane: member.slice(0, end), subject: fromUtf8(member.slice(end + 1)) };
}

/** Texts are sent as UTF-8, which has no lone surrogates. A text with lone surrogates is sent as its JSON, behind a mark. */
const AS_JSON = '\u0001';

export function inUtf8(text: string): string {
  return text.isWellFormed() && !text.startsWith(AS_JSON) ? text : `${AS_JSON}${JSON.stringify(text)}`;
}

export function fromUtf8(text: string): string {
  return text.startsWith(AS_JSON) ? String(JSON.parse(text.slice(1))) : text;
}

/** A record as it is followed: with the generation of the log that it belongs to, and its id. */
export interface FollowedRecord extends SharedRecord {
  readonly generation: string;
  readonly id: string;
}

/** The author of records that every process must follow, the one that publishes them included. */
export const NO_AUTHOR = 'nobody';

/** An author and a number are an id. Authors have no colon. Only the author of an earlier release is an id without a number. */
export const idOf = (author: string, number: number): string => `${author}:${number}`;

export function authorOf(id: string): string {
  const end = id.indexOf(':');
  return end < 0 ? id : id.slice(0, end);
}

/** NaN if it has none. */
export const numberOfId = (id: string): number => Number.parseInt(id.slice(authorOf(id).length + 1), 10);

/** A record as one text, because a reader pays for each field. The subject comes last: only it may have zero characters. */
export function packRecord(generation: string, id: string, { kind, lane, subject }: SharedRecord): string {
  return [generation, id, kind, lane ?? '', inUtf8(subject)].join(LANE_END);
}

/** Undefined for a text that the library did not write. */
export function readRecord(text: string): FollowedRecord | undefined {
  const [generation, id, kind, lane, ...subject] = text.split(LANE_END);
  const known = INVALIDATION_KINDS.find((one) => one === kind);
  if (generation === undefined || id === undefined || known === undefined || lane === undefined) return undefined;
  if (subject.length === 0) return undefined;
  const name = fromUtf8(subject.join(LANE_END));
  return { generation, id, kind: known, lane: lane === '' ? null : lane, subject: name };
}

/** Tags as the scripts read them: each after its length in two bytes. */
export function packTags(tags: readonly string[]): Buffer {
  return Buffer.concat(
    tags.map((tag) => {
      const text = Buffer.from(inUtf8(tag));
      const length = Buffer.allocUnsafe(2);
      length.writeUInt16BE(text.length);
      return Buffer.concat([length, text]);
    }),
  );
}
