import type { InvalidationKind } from '../events/reasons.js';
import type { ExpiredTags } from './expired-tags.js';
import type { LaneLog } from './lane-log.js';
import type { TagPositions } from './tag-positions.js';

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
  readonly tagAt: TagPositions;
  readonly expiredTags: ExpiredTags;
}

/** What a person is told; what counts is decided by the log itself. */
export function whyNot(judged: Judged, { lane, tagAt, expiredTags }: Known): VoidedBy | undefined {
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

function byTag(kind: 'tag' | 'expire', positions: TagPositions, { tags, birth }: Judged): VoidedBy | undefined {
  for (const tag of tags) {
    const position = positions.at(tag);
    if (position > birth) return { kind, position, subject: tag };
  }
  return tags.length > 0 && birth < positions.floor ? { kind, position: positions.floor } : undefined;
}
