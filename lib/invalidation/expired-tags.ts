import type { ExpiredTag, LogState } from './journal.js';
import { TagPositions, type RaisedFloor } from './tag-positions.js';

/** tag -> position and time at which what carries it was put past its ttl, bounded as the positions are. */
export class ExpiredTags {
  readonly positions: TagPositions;
  private readonly expired = new Map<string, ExpiredTag>();

  constructor(limit: number) {
    this.positions = new TagPositions(limit);
  }

  /** What an earlier process stored, beside what is known already. */
  takeUp(state: LogState): void {
    for (const [tag, expired] of state.expiredTagAt) this.mark(tag, expired);
    this.positions.raiseTo(state.expireFloor);
  }

  mark(tag: string, expired: ExpiredTag): RaisedFloor | undefined {
    if (expired.position < this.positions.at(tag)) return undefined;
    this.expired.set(tag, expired);
    const floor = this.positions.mark(tag, expired.position);
    for (const dropped of floor?.dropped ?? []) this.expired.delete(dropped);
    return floor;
  }

  /** The time of the newest record about `tags` after `birth`; 0 if one may have come that is not remembered. */
  expiredAt(birth: number, tags: readonly string[]): number | undefined {
    if (!this.positions.isAfter(birth, tags)) return undefined;
    const newest = tags.map((tag) => this.expired.get(tag)).toSorted((a, b) => positionOf(b) - positionOf(a))[0];
    return newest !== undefined && newest.position > birth ? newest.at : 0;
  }
}

function positionOf(expired: ExpiredTag | undefined): number {
  return expired?.position ?? 0;
}
