import type { SharedRecord } from '../../invalidation/shared-log.js';

/** How the records of one subject by one author stand in the two logs. */
interface RecordCount {
  readonly record: SharedRecord;
  readonly by: string;
  /** How much more often the host's log had it than the server's. */
  ahead: number;
  /** What was carried out when the server's log had it first. */
  work: readonly { readonly done: Promise<unknown>; readonly until: number }[];
}

/** A record that one of the logs has. `now`: of the monotonic clock, in ms. */
interface ReceivedRecord {
  readonly record: SharedRecord;
  readonly by: string;
  readonly now: number;
}

/**
 * The log of the directory has a record within this time after the server, or never: the server has a record twice when the
 * answer to its author was lost. The second one must not stand for a later record of the same subject.
 */
const PAIRED_WITHIN_MS = 1_000;

/** The author of a record that a later process publishes for one that ended. */
const NO_AUTHOR = 'nobody';
/** So many records of other hosts, which the host's log never has, are remembered. */
const REMEMBERED = 4_096;
/** With more records that the server lacks, nothing is read from it. */
const MOST_MISSING = 10_000;
const EVERYTHING: SharedRecord = Object.freeze({ kind: 'all', lane: null, subject: '*' });

/**
 * Records that come by both logs: that of the directory, and that of the server. Each is followed once, by the log that has
 * it first. What only the host's log has is not on the server yet, so entries that it names are not read from there.
 */
export class HostRecords {
  private readonly counts = new Map<string, RecordCount>();
  private missing = 0;

  /** What the server may serve although it was invalidated. */
  get unpublished(): readonly { readonly record: SharedRecord }[] {
    if (this.missing === 0) return [];
    if (this.missing > MOST_MISSING) return [{ record: EVERYTHING }];
    return [...this.counts.values()].filter(({ ahead }) => ahead > 0);
  }

  /** The log of the directory has a record. Returns what carried it out already, or undefined if it is to be followed. */
  onHost(received: ReceivedRecord): Promise<unknown> | undefined {
    const count = this.countOf(received);
    this.change(count, 1);
    const [first, ...others] = count.work;
    count.work = others;
    return first?.done;
  }

  /** The server's log has a record. Whether it is to be followed. `follow` is called if so. */
  onServer(received: ReceivedRecord, follow: () => Promise<unknown>): boolean {
    const { record, by, now } = received;
    if (by === NO_AUTHOR) this.published(record);
    if (record.kind === 'all' && record.lane === null) this.published(undefined);
    const count = this.countOf(received);
    const isFirst = count.ahead <= 0;
    this.change(count, -1);
    if (isFirst) count.work = [...count.work, { done: follow(), until: now + PAIRED_WITHIN_MS }];
    return isFirst;
  }

  private countOf({ record, by, now }: ReceivedRecord): RecordCount {
    const name = nameOf(record, by);
    const before = this.counts.get(name);
    if (before !== undefined) this.forgetUnpaired(before, now);
    if (before !== undefined && this.counts.has(name)) return before;
    const count: RecordCount = { record, by, ahead: 0, work: [] };
    this.counts.set(name, count);
    if (this.counts.size > REMEMBERED + this.missing) this.forgetOne();
    return count;
  }

  private forgetUnpaired(count: RecordCount, now: number): void {
    const { length } = count.work;
    count.work = count.work.filter(({ until }) => now < until);
    for (let gone = length - count.work.length; gone > 0; gone--) this.change(count, 1);
  }

  private change(count: RecordCount, more: 1 | -1): void {
    const wasMissing = count.ahead > 0;
    count.ahead += more;
    if (count.ahead > 0 !== wasMissing) this.missing += wasMissing ? -1 : 1;
    if (count.ahead === 0) this.counts.delete(nameOf(count.record, count.by));
  }

  /** The oldest that the server has. */
  private forgetOne(): void {
    for (const [name, { ahead }] of this.counts) {
      if (ahead > 0) continue;
      this.counts.delete(name);
      return;
    }
  }

  /** The server has these records of whatever author, or all of them. */
  private published(record: SharedRecord | undefined): void {
    for (const [name, count] of this.counts) {
      const { kind, lane, subject } = count.record;
      const isIt = record === undefined || (kind === record.kind && lane === record.lane && subject === record.subject);
      if (count.ahead <= 0 || !isIt) continue;
      this.counts.delete(name);
      this.missing--;
    }
  }
}

const nameOf = ({ kind, lane, subject }: SharedRecord, by: string): string => JSON.stringify([by, kind, lane, subject]);
