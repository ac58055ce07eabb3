import type { Clock } from '../../clock/clock.js';
import {
  EVERYTHING,
  type LogCursor,
  type Outbox,
  type ServerCopy,
  type SharedRecord,
  type Subject,
} from '../../invalidation/shared-log.js';
import { names } from '../../invalidation/host-records.js';
import type { TwoLogRecords } from './two-log-records.js';
import { authorOf, memberOf } from './record-codec.js';

/** An entry that goes with the record that supersedes it: an explicit set. */
export interface OutgoingEntry {
  readonly lifeMs: number;
  readonly tags: readonly string[];
  readonly record: Uint8Array;
  /** Sequence numbers up to which this instance knew every record of the key, and every pattern. */
  readonly known: { readonly sequence: number; readonly patterns: number };
}

/** Somebody who waits for a record. The promises never reject. */
interface RecordWait {
  /** Resolves when the server has the record. */
  readonly accepted: Promise<unknown>;
  /** Resolves when the server has the record and this process has followed it: whether an entry was removed. */
  readonly published: Promise<boolean>;
  /** Waits no longer: the promises stay as they are. */
  readonly leave: () => void;
}

interface WaitSettlers {
  readonly accept: () => void;
  readonly settle: (held: boolean) => void;
}

/** A record on its way to the server. It is published at least once; publishing it again does no harm. */
export class OutgoingRecord implements ServerCopy {
  /** A process has carried out its own records already. */
  readonly by: string;
  /**
   * It is sent at the first attempt only. Later another instance may have set the key, and this older value would
   * replace it.
   */
  entry: OutgoingEntry | undefined;
  /** It is kept on disk, so that a later process publishes it if this one ends. */
  isKept = false;
  isUnderWay = false;
  private reached: LogCursor | undefined;
  /** The record that is published in its place. It knows nothing of this one, so that nothing keeps this one in memory. */
  private replacedBy: OutgoingRecord | undefined;
  /** Those who wait for it, or for a record that it replaced. */
  private waits: Set<WaitSettlers> | undefined;

  constructor(
    readonly id: string,
    readonly record: SharedRecord,
    /** Position in this process's log. 0 for a record of another process. */
    readonly position: number,
  ) {
    this.by = authorOf(id);
  }

  get place(): LogCursor | undefined {
    const { standing } = this;
    return this.reached ?? (standing === this ? undefined : standing.place);
  }

  /** The record that is published for this one. */
  get standing(): OutgoingRecord {
    let last = this.replacedBy;
    if (last === undefined) return this;
    for (let next = last.replacedBy; next !== undefined; next = last.replacedBy) last = next;
    this.replacedBy = last;
    return last;
  }

  /** To be called before it is sent. */
  wait(): RecordWait {
    const [accepted, published] = [deferred(), deferred()];
    const settlers: WaitSettlers = {
      accept: () => accepted.resolve(true),
      settle: (held) => {
        accepted.resolve(true);
        published.resolve(held);
      },
    };
    this.waits ??= new Set();
    this.waits.add(settlers);
    const leave = (): void => void this.standing.waits?.delete(settlers);
    return { accepted: accepted.promise, published: published.promise, leave };
  }

  /** The server has it, at `place`. */
  accept(place: LogCursor): void {
    this.reached = place;
    for (const { accept } of this.waits ?? []) accept();
  }

  /** This process has followed it. */
  settle(held: boolean): void {
    for (const { settle } of this.waits ?? []) settle(held);
    this.waits = undefined;
  }

  /** Those who wait for it wait for `later` from here on. */
  replaceBy(later: OutgoingRecord): void {
    const { waits } = this;
    this.replacedBy = later;
    this.waits = undefined;
    if (waits === undefined) return;
    // Records of one subject hand on one set, however many there are.
    if (later.waits === undefined) later.waits = waits;
    else for (const wait of waits) later.waits.add(wait);
  }
}

function deferred(): { readonly promise: Promise<boolean>; readonly resolve: (held: boolean) => void } {
  const parts: { resolve?: (held: boolean) => void } = {};
  const promise = new Promise<boolean>((resolve) => (parts.resolve = resolve));
  return { promise, resolve: (held) => parts.resolve?.(held) };
}

/** With more records, all become one record about everything. */
const AT_MOST = 10_000;

/**
 * Records that this process has not followed yet: they wait for the server, or are on their way to it or back. Entries
 * that they name are not read from the server.
 */
export class OutgoingQueue {
  private readonly waiting = new Set<OutgoingRecord>();
  private readonly awaitingEcho = new Set<OutgoingRecord>();
  private snapshot: readonly OutgoingRecord[] | undefined;
  /** The newest record of each subject that was added while nothing could be sent. */
  private readonly unsent = new Map<string, OutgoingRecord>();

  constructor(
    private readonly outbox: () => Outbox | undefined,
    /** Of the other processes of the directory. */
    readonly ofHost: TwoLogRecords,
  ) {}

  get all(): readonly OutgoingRecord[] {
    return [...this.waiting];
  }

  /** A snapshot, including records that the server has and that have not been followed yet. */
  get unheard(): readonly Pick<OutgoingRecord, 'record'>[] {
    this.snapshot ??= [...this.waiting, ...this.awaitingEcho];
    const { unpublished } = this.ofHost;
    return unpublished.length === 0 ? this.snapshot : [...this.snapshot, ...unpublished];
  }

  has(record: OutgoingRecord): boolean {
    return this.waiting.has(record);
  }

  add(records: readonly OutgoingRecord[]): void {
    for (const record of records) this.waiting.add(record);
    this.snapshot = undefined;
    if (this.waiting.size > AT_MOST) this.condense();
  }

  /** While nothing can be sent, a record takes the place of an earlier one about the same subject. */
  addUnsent(records: readonly OutgoingRecord[]): void {
    for (const record of records) {
      const about = `${record.record.kind}\0${memberOf(record.record)}`;
      const earlier = this.unsent.get(about);
      this.unsent.set(about, record);
      if (earlier !== undefined) this.replace(earlier, record);
      this.add([record]);
    }
  }

  /** What waits can be sent from here on. */
  connected(): void {
    this.unsent.clear();
  }

  /** The server has the record. */
  acknowledged(record: OutgoingRecord, place: LogCursor): void {
    this.waiting.delete(record);
    this.awaitingEcho.add(record);
    record.accept(place);
    if (record.isKept) this.outbox()?.forget([record.id]);
  }

  /** This process has followed the record. */
  echoed(record: OutgoingRecord): void {
    this.awaitingEcho.delete(record);
    this.snapshot = undefined;
  }

  /** `later` is about the same subject as `earlier`, and stands for both, on disk too. */
  private replace(earlier: OutgoingRecord, later: OutgoingRecord): void {
    if (earlier.isUnderWay || !this.waiting.delete(earlier)) return;
    this.snapshot = undefined;
    earlier.replaceBy(later);
    if (!earlier.isKept) return;
    this.keepInstead(later, [earlier]);
  }

  /** Resolves when a later process would publish them. Rejects where they cannot be kept. */
  async keep(records: readonly OutgoingRecord[]): Promise<void> {
    const outbox = this.outbox();
    if (outbox === undefined) throw new Error('this process owns no directory to keep it in');
    const waiting = records.filter((record) => this.waiting.has(record));
    for (const record of waiting) record.isKept = true;
    await outbox.keep(new Map(waiting.map(({ id, record }) => [id, record])));
  }

  private condense(): void {
    const dropped = this.all;
    const newest = dropped.at(-1);
    if (newest === undefined) return;
    const one = new OutgoingRecord(`${newest.id}-all`, EVERYTHING, newest.position);
    one.isKept = dropped.some((record) => record.isKept);
    this.waiting.clear();
    this.unsent.clear();
    this.add([one]);
    for (const record of dropped) record.replaceBy(one);
    if (one.isKept) this.keepInstead(one, dropped);
  }

  private keepInstead(one: OutgoingRecord, dropped: readonly OutgoingRecord[]): void {
    one.isKept = true;
    const outbox = this.outbox();
    const forget = (): void => outbox?.forget(dropped.map(({ id }) => id));
    outbox?.keep(new Map([[one.id, one.record]])).then(forget, () => undefined);
  }
}

/** So long after a fail-over a server may still take records, and lose them when it becomes a replica. */
const LOST_WITHIN_MS = 15_000;
/** With more records, all become one record about everything. */
const AT_MOST_ACCEPTED = 1_000;

/** What servers have taken of late. It is published again where another generation began, because that may not have it. */
export class AcceptedRecords {
  private readonly accepted = new Map<SharedRecord, { readonly generation: string; readonly at: number }>();
  private leftOut = { at: -Infinity, generation: '' };

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {}

  add(record: SharedRecord, generation: string): void {
    const now = this.clock.monotonic();
    for (const [oldest, { at, generation: its }] of this.accepted) {
      if (now - at <= LOST_WITHIN_MS) {
        if (this.accepted.size < AT_MOST_ACCEPTED) break;
        this.leftOut = { at, generation: its };
      }
      this.accepted.delete(oldest);
    }
    this.accepted.set(record, { generation, at: now });
  }

  /** Those that the log of `generation` may not have. They are forgotten here. */
  takeLost(generation: string): readonly SharedRecord[] {
    const since = this.clock.monotonic() - LOST_WITHIN_MS;
    const isLost = (one: { readonly generation: string; readonly at: number }): boolean =>
      one.at >= since && one.generation !== generation;
    const lost = isLost(this.leftOut)
      ? [EVERYTHING]
      : [...this.accepted].flatMap(([record, one]) => (isLost(one) ? [record] : []));
    this.accepted.clear();
    this.leftOut = { at: -Infinity, generation: '' };
    return lost;
  }
}

/** Whether one of these records names the entry. */
export function anyMatches(records: readonly Pick<OutgoingRecord, 'record'>[], entry: Subject): boolean {
  return records.some(({ record }) => names(record, entry));
}
