import type { ExpiredTag, LogState } from './journal.js';

/** What was dropped to stay within the limit. */
interface RaisedFloor {
  readonly position: number;
  readonly dropped: readonly string[];
}

/**
 * tag -> position of its latest record, bounded.
 *
 * Past the limit the older half is dropped, and the floor rises to the newest position among them. A tagged entry whose
 * birth is below the floor no longer counts, because a dropped record may have named it.
 */
export class TagIndex {
  private readonly positions = new Map<string, number>();
  private lowest = 0;

  constructor(private readonly limit: number) {}

  get floor(): number {
    return this.lowest;
  }

  get size(): number {
    return this.positions.size;
  }

  at(tag: string): number {
    return this.positions.get(tag) ?? 0;
  }

  /** Whether a record of one of `tags` is newer than `birth`, or may have been. */
  isAfter(birth: number, tags: readonly string[]): boolean {
    if (tags.length === 0) return false;
    if (birth < this.lowest) return true;
    for (const tag of tags) {
      const position = this.positions.get(tag);
      if (position !== undefined && position > birth) return true;
    }
    return false;
  }

  mark(tag: string, position: number): RaisedFloor | undefined {
    this.positions.set(tag, position);
    return this.positions.size > this.limit ? this.raiseFloor() : undefined;
  }

  raiseTo(floor: number): void {
    this.lowest = Math.max(this.lowest, floor);
  }

  private raiseFloor(): RaisedFloor {
    const byAge = [...this.positions].toSorted((a, b) => a[1] - b[1]);
    const leaving = byAge.slice(0, Math.ceil(byAge.length / 2));
    for (const [tag, position] of leaving) {
      this.positions.delete(tag);
      this.raiseTo(position);
    }
    return { position: this.lowest, dropped: leaving.map(([tag]) => tag) };
  }
}

/** tag -> position and time of its latest expiry, bounded like the positions. */
export class ExpiredTags {
  readonly positions: TagIndex;
  private readonly expired = new Map<string, ExpiredTag>();

  constructor(limit: number) {
    this.positions = new TagIndex(limit);
  }

  /** Adds what an earlier process stored. */
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

  /** The time of the newest record of `tags` after `birth`. 0 if there may be one that was dropped. */
  expiredAt(birth: number, tags: readonly string[]): number | undefined {
    if (!this.positions.isAfter(birth, tags)) return undefined;
    const newest = tags.map((tag) => this.expired.get(tag)).toSorted((a, b) => positionOf(b) - positionOf(a))[0];
    return newest !== undefined && newest.position > birth ? newest.at : 0;
  }
}

function positionOf(expired: ExpiredTag | undefined): number {
  return expired?.position ?? 0;
}
