import { EVERYTHING, type LogCursor, type ServerCopy, type SharedRecord } from '../../invalidation/shared-log.js';
import { authorOf, idOf, memberOf, numberOfId } from './record-codec.js';

/** A record of the host's log of which the server's log has not shown the copy. */
interface MissingRecord {
  readonly record: SharedRecord;
  copy: ServerCopy;
  /** How often the state of the server's log had been asked for when the record was received. */
  readonly receivedAt: number;
  /** Its author and subject. */
  readonly about: string;
  isPublishedHere: boolean;
}

/** So many records of the server are remembered by their ids. */
const REMEMBERED = 4_096;
/** With more records that the server lacks, nothing is read from it. */
const MOST_MISSING = 10_000;
/** With more, one record about everything takes the place of all that an author has not published. */
const CONDENSED_FROM = 2 * MOST_MISSING;
const DONE = Promise.resolve();
const NONE: readonly MissingRecord[] = Object.freeze([]);

/**
 * Records that come by both logs: that of the directory, and that of the server. Each is followed once, by the log that has
 * it first, and is known by its id, or by its place on the server. Entries that a record names which only the host's log has
 * are not read from the server.
 *
 * A process appends its records to the host's log when the server has taken them, with their places. A record without a place
 * was not taken then: its author publishes it later. If its author does not, this process publishes it.
 */
export class TwoLogRecords {
  private readonly missing = new Map<string, MissingRecord>();
  /** The newest of them of each author and subject that has no place. */
  private readonly unplaced = new Map<string, MissingRecord>();
  /** What the newest records of the server came to, by id. */
  private readonly followed = new Map<string, Promise<unknown>>();
  private questions = 0;
  private snapshot: readonly { readonly record: SharedRecord }[] | undefined;

  /** `cursor`: how far this process has followed the server's log. */
  constructor(private readonly cursor: () => LogCursor | undefined) {}

  /** What the server may serve although it was invalidated. */
  get unpublished(): readonly { readonly record: SharedRecord }[] {
    const { missing } = this;
    if (missing.size === 0) return NONE;
    this.snapshot ??= missing.size > MOST_MISSING ? [{ record: EVERYTHING }] : [...missing.values()];
    return this.snapshot;
  }

  /** The log of the directory has a record. Returns what has carried it out already, or undefined if it is to be followed. */
  onHost(record: SharedRecord, copy: ServerCopy): Promise<unknown> | undefined {
    const done = this.followed.get(copy.id);
    if (done !== undefined) return done;
    if (isReached(copy, this.cursor())) return DONE;
    this.miss(record, copy);
    if (this.missing.size > CONDENSED_FROM) this.condense();
    return undefined;
  }

  /**
   * The server's log has a record. Whether it is to be followed. `follow` is called if so. A record that the server has twice,
   * because the answer to its author was lost, is followed once.
   */
  onServer(record: SharedRecord, id: string, follow: () => Promise<unknown>): boolean {
    if (record.kind === 'all' && record.lane === null) this.settleUpTo(id);
    // An earlier release names the author alone.
    if (Number.isNaN(numberOfId(id))) {
      void follow();
      return true;
    }
    if (this.followed.has(id)) return false;
    const wasMissing = this.settle(id);
    this.remember(id, wasMissing ? DONE : follow());
    return !wasMissing;
  }

  /** The state of the server's log is asked for. Returns the number of the question. */
  asked(): number {
    return ++this.questions;
  }

  /**
   * The answer to that question has been taken into account. What the server had before is settled, though this process may
   * have missed the record. Returns the records that their authors do not publish, to be published by this process.
   */
  answered(question: number): readonly MissingRecord[] {
    if (this.missing.size === 0) return NONE;
    const cursor = this.cursor();
    const left: MissingRecord[] = [];
    for (const [id, missing] of this.missing) {
      const { copy, receivedAt, isPublishedHere } = missing;
      // The server had it in another generation, and has begun this one since.
      const isOfBefore =
        receivedAt < question && copy.place !== undefined && copy.place.generation !== cursor?.generation;
      if (isOfBefore || isReached(copy, cursor)) this.settle(id);
      else if (copy.place === undefined && !isPublishedHere && receivedAt < question - 1) left.push(missing);
    }
    return left;
  }

  private remember(id: string, done: Promise<unknown>): void {
    this.followed.set(id, done);
    if (this.followed.size <= REMEMBERED) return;
    const [oldest] = this.followed.keys();
    if (oldest !== undefined) this.followed.delete(oldest);
  }

  /** While an author cannot publish, a record takes the place of an earlier one about the same subject, as it does there. */
  private miss(record: SharedRecord, copy: ServerCopy): void {
    this.snapshot = undefined;
    const about = `${authorOf(copy.id)}\0${record.kind}\0${memberOf(record)}`;
    const missing = { record, copy, receivedAt: this.questions, about, isPublishedHere: false };
    this.missing.set(copy.id, missing);
    if (copy.place !== undefined) return;
    const earlier = this.unplaced.get(about);
    this.unplaced.set(about, missing);
    if (earlier !== undefined && isReplaceable(earlier)) this.missing.delete(earlier.copy.id);
  }

  /** Nothing is read from the server while so many are missing, so less detailed records do no harm. */
  private condense(): void {
    const newest = new Map<string, string>();
    for (const [id, missing] of this.missing) {
      if (!isReplaceable(missing)) continue;
      newest.set(authorOf(id), id);
      this.settle(id);
    }
    for (const [author, id] of newest)
      this.miss(EVERYTHING, { id: `${idOf(author, numberOfId(id))}-all`, place: undefined });
  }

  private settle(id: string): boolean {
    const missing = this.missing.get(id);
    if (missing === undefined) return false;
    this.snapshot = undefined;
    this.missing.delete(id);
    if (this.unplaced.get(missing.about) === missing) this.unplaced.delete(missing.about);
    return true;
  }

  /** A record about everything stands for all that its author could not publish before. */
  private settleUpTo(all: string): void {
    for (const id of this.missing.keys()) {
      if (authorOf(id) === authorOf(all) && numberOfId(id) <= numberOfId(all)) this.settle(id);
    }
  }
}

/** Nobody has published it. */
const isReplaceable = ({ copy, isPublishedHere }: MissingRecord): boolean =>
  copy.place === undefined && !isPublishedHere;

function isReached({ place }: ServerCopy, cursor: LogCursor | undefined): boolean {
  return place !== undefined && place.generation === cursor?.generation && place.sequence <= cursor.sequence;
}
