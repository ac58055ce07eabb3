import type { SharedRecord } from '../../invalidation/shared-log.js';

/** What was heard of one subject of one author. */
interface Heard {
  readonly record: SharedRecord;
  readonly by: string;
  /** How much more often the host's log had it than the server's. */
  ahead: number;
  /** What was carried out when the server's log had it first. */
  work: readonly { readonly done: Promise<unknown>; readonly until: number }[];
}

/** A record that one of the logs has. `now`: of the monotonic clock, in ms. */
interface Hearing {
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
  private readonly heard = new Map<string, Heard>();
  private missing = 0;

  /** What the server may serve although it was invalidated. */
  get unpublished(): readonly { readonly record: SharedRecord }[] {
    if (this.missing === 0) return [];
    if (this.missing > MOST_MISSING) return [{ record: EVERYTHING }];
    return [...this.heard.values()].filter(({ ahead }) => ahead > 0);
  }

  /** The log of the directory has a record. Returns what carried it out already, or undefined if it is to be followed. */
  onHost(hearing: Hearing): Promise<unknown> | undefined {
    const heard = this.of(hearing);
    this.count(heard, 1);
    const [first, ...others] = heard.work;
    heard.work = others;
    return first?.done;
  }

  /** The server's log has a record. Whether it is to be followed. `follow` is called if so. */
  onServer(hearing: Hearing, follow: () => Promise<unknown>): boolean {
    const { record, by, now } = hearing;
    if (by === NO_AUTHOR) this.published(record);
    if (record.kind === 'all' && record.lane === null) this.published(undefined);
    const heard = this.of(hearing);
    const isFirst = heard.ahead <= 0;
    this.count(heard, -1);
    if (isFirst) heard.work = [...heard.work, { done: follow(), until: now + PAIRED_WITHIN_MS }];
    return isFirst;
  }

  private of({ record, by, now }: Hearing): Heard {
    const name = nameOf(record, by);
    const before = this.heard.get(name);
    if (before !== undefined) this.forgetUnpaired(before, now);
    if (before !== undefined && this.heard.has(name)) return before;
    const heard: Heard = { record, by, ahead: 0, work: [] };
    this.heard.set(name, heard);
    if (this.heard.size > REMEMBERED + this.missing) this.forgetOne();
    return heard;
  }

  private forgetUnpaired(heard: Heard, now: number): void {
    const { length } = heard.work;
    heard.work = heard.work.filter(({ until }) => now < until);
    for (let gone = length - heard.work.length; gone > 0; gone--) this.count(heard, 1);
  }

  private count(heard: Heard, more: 1 | -1): void {
    const wasMissing = heard.ahead > 0;
    heard.ahead += more;
    if (heard.ahead > 0 !== wasMissing) this.missing += wasMissing ? -1 : 1;
    if (heard.ahead === 0) this.heard.delete(nameOf(heard.record, heard.by));
  }

  /** The oldest that the server has. */
  private forgetOne(): void {
    for (const [name, { ahead }] of this.heard) {
      if (ahead > 0) continue;
      this.heard.delete(name);
      return;
    }
  }

  /** The server has these records of whatever author, or all of them. */
  private published(record: SharedRecord | undefined): void {
    for (const [name, heard] of this.heard) {
      const { kind, lane, subject } = heard.record;
      const isIt = record === undefined || (kind === record.kind && lane === record.lane && subject === record.subject);
      if (heard.ahead <= 0 || !isIt) continue;
      this.heard.delete(name);
      this.missing--;
    }
  }
}

const nameOf = ({ kind, lane, subject }: SharedRecord, by: string): string => JSON.stringify([by, kind, lane, subject]);
