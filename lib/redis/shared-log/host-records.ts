import type { SharedRecord } from '../../invalidation/shared-log.js';

/** What was heard of one subject of one author. */
interface Heard {
  readonly record: SharedRecord;
  readonly by: string;
  /** How much more often the host's log had it than the server's. */
  ahead: number;
  /** Carried out when the server's log had it first. */
  readonly work: Promise<unknown>[];
}

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
  onHost(record: SharedRecord, by: string): Promise<unknown> | undefined {
    const heard = this.of(record, by);
    this.count(heard, 1);
    return heard.work.shift();
  }

  /** The server's log has a record. Whether it is to be followed. `follow` is called if so. */
  onServer(record: SharedRecord, by: string, follow: () => Promise<unknown>): boolean {
    if (by === NO_AUTHOR) this.published(record);
    if (record.kind === 'all' && record.lane === null) this.published(undefined);
    const heard = this.of(record, by);
    const isFirst = heard.ahead <= 0;
    this.count(heard, -1);
    if (isFirst) heard.work.push(follow());
    return isFirst;
  }

  private of(record: SharedRecord, by: string): Heard {
    const name = nameOf(record, by);
    const before = this.heard.get(name);
    if (before !== undefined) return before;
    const heard: Heard = { record, by, ahead: 0, work: [] };
    this.heard.set(name, heard);
    if (this.heard.size > REMEMBERED + this.missing) this.forgetOne();
    return heard;
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
