import { type Clock, randomId, withDeadline, type KeepAlive } from '../../clock/clock.js';
import { LaneCacheError } from '../../errors/lane-cache.error.js';
import type { LogRecord } from '../../invalidation/journal.js';
import type {
  LogCursor,
  Outbox,
  PublishedRecords,
  ServerCopy,
  SharedLog,
  SharedRecord,
  Standing,
  Subject,
} from '../../invalidation/shared-log.js';
import { RecentRecords } from '../../invalidation/host-records.js';
import type { FreshnessWindow } from './freshness.js';
import { TwoLogRecords } from './two-log-records.js';
import type { KeySpace } from '../keys.js';
import type { Connection } from '../client/connection.js';
import { AcceptedRecords, type OutgoingEntry, OutgoingQueue, OutgoingRecord } from './outgoing-queue.js';
import { idOf, memberOf, NO_AUTHOR, packRecord, packTags } from './record-codec.js';
import { APPEND, APPEND_JUDGED, APPEND_SET } from './scripts.js';
import { type CursorHistory, HiddenEntries, PATTERNS_ON_SERVER } from './applied-records.js';
import { type RedisArgument, listOf, numberOf } from '../client/redis-client.js';

interface SharedLogOptions {
  readonly keys: KeySpace;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** How many records the server keeps for instances that were away. */
  readonly logLength: number;
  /** Lanes that instances share. */
  readonly lanes: { has(lane: string): boolean };
  /** Keeps records that cannot be published yet, if this process owns a directory. */
  readonly outbox: () => Outbox | undefined;
  readonly cursors: Pick<CursorHistory, 'current'>;
  readonly isStale: () => boolean;
  readonly freshness: FreshnessWindow;
  readonly hold: KeepAlive;
  /** Where entries lie, if not beside the log. */
  readonly spread: EntriesElsewhere | undefined;
  /** The server has refused a record, or the value of a set. */
  readonly refused: (error: unknown) => void;
}

/** Entries that lie on other nodes than the log. */
export interface EntriesElsewhere {
  write(
    generation: string,
    entry: {
      readonly lane: string;
      readonly key: string;
      readonly tags: readonly string[];
      readonly birth: number;
      readonly lifeMs: number;
      readonly record: Uint8Array;
    },
  ): Promise<boolean>;
  /** Removes the entry that the record names by its key. Resolves to whether there was one. */
  removeOlder(record: SharedRecord, generation: string, sequence: number): Promise<boolean>;
}

/** Where records are published: a connection after its handshake, and the generation found there. */
interface PublishTarget {
  readonly connection: Connection;
  readonly generation: string;
}

/** So many records are resent at a time. */
const PUBLISHED_AT_ONCE = 256;

/** How long an invalidation waits for the disk. */
const KEEP_WITHIN_MS = 5_000;

/** Publishes the records of this instance, and keeps those that the server has not received. */
export class RedisSharedLog implements SharedLog {
  /** Marks the records of this process. It is random, because pids and hosts recur. */
  readonly by = randomId();
  readonly outgoing: OutgoingQueue;
  /** What was followed last. */
  readonly recent = new RecentRecords();
  private target: PublishTarget | undefined;
  private readonly localWork = new Set<Promise<unknown>>();
  /** Own records that the server has, and that this process has not followed yet. */
  private readonly awaitingEcho = new Map<number, () => void>();
  /** Sequence number up to which the log has been followed, in the generation of the target. */
  private reached = 0;
  /** The records of this step, by position. */
  private fresh = new Map<number, OutgoingRecord>();
  private broadcasts = 0;
  readonly hidden = new HiddenEntries();
  /** How many records the server has taken. */
  private appended = 0;
  private onAppend: (record: OutgoingRecord, cursor: LogCursor) => void = () => undefined;
  private takenUp: Outbox | undefined;
  private readonly accepted: AcceptedRecords;

  constructor(private readonly options: SharedLogOptions) {
    this.accepted = new AcceptedRecords(options.clock);
    this.outgoing = new OutgoingQueue(options.outbox, new TwoLogRecords(() => options.cursors.current));
  }

  get isStale(): boolean {
    return this.options.isStale();
  }

  get caughtUpUntil(): number {
    return this.options.freshness.caughtUpUntil;
  }

  whenCaughtUp(): Promise<void> {
    return this.options.freshness.whenCaughtUp();
  }

  get cursor(): LogCursor | undefined {
    return this.options.cursors.current;
  }

  judge({ generation, sequence }: LogCursor, subject: Subject): Standing {
    return this.recent.judge({ generation, position: sequence }, subject, this.by);
  }

  receivedOnHost(record: SharedRecord, copy: ServerCopy): Promise<unknown> | undefined {
    if (record.lane !== null && !this.options.lanes.has(record.lane)) return undefined;
    return this.outgoing.ofHost.onHost(record, copy);
  }

  /** The state of the log was asked for, and its answer taken into account. What nobody else publishes is published here. */
  stateKnown(question: number): void {
    const left = this.outgoing.ofHost.answered(question);
    if (left.length === 0) return;
    for (const missing of left) {
      const outgoing = new OutgoingRecord(missing.copy.id, missing.record, 0);
      missing.copy = outgoing;
      missing.isPublishedHere = true;
      this.outgoing.add([outgoing]);
    }
    void this.resend();
  }

  /** The server has a record of this process that was not followed yet. */
  get isAwaitingEcho(): boolean {
    return this.awaitingEcho.size > 0;
  }

  /** Calls `run` when the server has taken a record that this process has not followed yet. */
  onAppended(run: (record: OutgoingRecord, cursor: LogCursor) => void): void {
    this.onAppend = run;
  }

  /** Local removals that have not ended yet. */
  get local(): readonly Promise<unknown>[] {
    return [...this.localWork];
  }

  publish(records: readonly LogRecord[], local: Promise<unknown>): PublishedRecords {
    this.localWork.add(local);
    const forget = (): boolean => this.localWork.delete(local);
    local.then(forget, forget);
    const { lanes } = this.options;
    const copies = records.map(({ position, kind, lane, subject }) =>
      lane === null || lanes.has(lane)
        ? new OutgoingRecord(idOf(this.by, position), { kind, lane, subject }, position)
        : undefined,
    );
    const outgoing = copies.filter((copy) => copy !== undefined);
    if (outgoing.length === 0) return { held: Promise.resolve(false), copies };
    if (this.target === undefined) this.outgoing.addUnsent(outgoing);
    else this.outgoing.add(outgoing);
    // At the end of the step, so that a set can attach its entry to the record that supersedes the old one.
    if (this.fresh.size === 0) queueMicrotask(() => this.publishFresh());
    for (const record of outgoing) this.fresh.set(record.position, record);
    return { held: this.options.hold.during(this.settleWithin(outgoing)), copies };
  }

  hideOlder(lane: string, key: string): void {
    if (this.options.lanes.has(lane)) this.hidden.add(lane, key);
  }

  /** Publishes a record without an author: this process follows it like every other. */
  async broadcast(record: SharedRecord): Promise<boolean> {
    const entry = this.withoutAuthor(record);
    void this.publishNext(entry);
    return this.options.hold.during(this.settleWithin([entry]));
  }

  private withoutAuthor(record: SharedRecord): OutgoingRecord {
    const entry = new OutgoingRecord(`${NO_AUTHOR}:${++this.broadcasts}-${this.by}`, record, 0);
    this.outgoing.add([entry]);
    return entry;
  }

  /** The log has been followed up to `sequence`. Later births are newer than the records up to there. */
  followedTo(sequence: number): void {
    this.reached = sequence;
    for (const [sent, settle] of this.awaitingEcho) {
      if (sent > sequence) continue;
      this.awaitingEcho.delete(sent);
      settle();
    }
  }

  /** Attaches the entry of a set to its record. false if the record has been sent, or there is none. */
  attach(lane: string, key: string, birth: number, entry: OutgoingEntry): boolean {
    const outgoing = this.fresh.get(birth);
    if (outgoing === undefined || this.target === undefined) return false;
    const { record } = outgoing;
    if (record.kind !== 'key' || record.lane !== lane || record.subject !== key) return false;
    outgoing.entry = entry;
    return true;
  }

  /** Takes the records that earlier processes could not publish. They keep their ids. */
  private takeUp(): void {
    const outbox = this.options.outbox();
    if (outbox === undefined || outbox === this.takenUp) return;
    this.takenUp = outbox;
    const records = Array.from(outbox.found, ([id, record]) => new OutgoingRecord(id, record, 0));
    for (const record of records) record.isKept = true;
    this.outgoing.add(records);
  }

  /** Publishes to `target` from now on, first what is waiting. */
  async connect(target: PublishTarget): Promise<void> {
    this.followedTo(Infinity);
    this.reached = 0;
    this.outgoing.connected();
    for (const record of this.accepted.takeLost(target.generation)) this.withoutAuthor(record);
    this.endHiding(target.generation);
    this.target = target;
    await this.resend();
  }

  /** What is hidden is older than a record that is published now. */
  private endHiding(generation: string): void {
    const newest = this.hidden.connected(generation);
    if (newest === undefined) return;
    const record = this.withoutAuthor({ kind: 'key', ...newest });
    void record.wait().accepted.then(() => this.hidden.olderThan(newest, record.place));
  }

  disconnect(): void {
    this.target = undefined;
    this.followedTo(Infinity);
    this.reached = 0;
  }

  /** Publishes what has not been acknowledged. It ends early when that fails, and is called again. */
  async resend(): Promise<void> {
    this.takeUp();
    for (;;) {
      const isIdle = (record: OutgoingRecord): boolean =>
        !record.isUnderWay && this.fresh.get(record.position) !== record;
      const some = this.outgoing.all.filter(isIdle).slice(0, PUBLISHED_AT_ONCE);
      for (const record of some) record.entry = undefined;
      const published = await Promise.all(some.map((record) => this.publishNext(record)));
      if (some.length < PUBLISHED_AT_ONCE || published.includes(false)) return;
    }
  }

  /** Resolves when everything that can be published has been. */
  async flush(): Promise<void> {
    if (this.target !== undefined) await this.resend();
  }

  private publishFresh(): void {
    const { fresh } = this;
    this.fresh = new Map();
    for (const record of fresh.values()) void this.publishNext(record);
  }

  private async publishNext(record: OutgoingRecord): Promise<boolean> {
    const { target } = this;
    if (target === undefined) return false;
    const { generation } = target;
    record.isUnderWay = true;
    try {
      const appended = await this.append(target, record);
      // Another log began before the answer came. That one does not have the record, and has numbers of its own.
      if (appended === undefined || target !== this.target) return false;
      const { sequence, held } = appended;
      this.outgoing.acknowledged(record, { generation, sequence });
      this.accepted.add(record.record, generation);
      this.appended++;
      const echoed = (): void => {
        this.outgoing.echoed(record);
        if (typeof held === 'boolean') record.settle(held);
        else void held.then((was) => record.settle(was));
      };
      if (sequence <= this.reached) echoed();
      else {
        this.awaitingEcho.set(sequence, echoed);
        this.onAppend(record, { generation, sequence });
      }
      return true;
    } catch (error) {
      this.options.refused(error);
      return false;
    } finally {
      record.isUnderWay = false;
    }
  }

  /**
   * Appends one record, and the entry of a set with it. Undefined if the server is in another generation. Rejects when it is
   * not known to be appended.
   */
  private async append(target: PublishTarget, outgoing: OutgoingRecord): Promise<Appended | undefined> {
    const { keys, logLength, spread } = this.options;
    const { connection, generation } = target;
    const { record, id, entry } = outgoing;
    const { kind, lane, subject } = record;
    const bounds = [`${logLength}`, `${POSITIONS_ON_SERVER}`, `${PATTERNS_ON_SERVER}`];
    const args = [generation, kind, lane ?? '', memberOf(record), packRecord(generation, id, record), ...bounds];
    outgoing.entry = undefined;
    if (spread !== undefined) return this.appendSpread(spread, target, { record, entry }, args);
    const isOfKey = lane !== null && (kind === 'key' || kind === 'expire');
    const names = isOfKey ? [...keys.log, keys.entry(generation, lane, subject)] : keys.log;
    const reply = await (entry === undefined
      ? connection.runInQueue(APPEND, names, args)
      : connection.runInQueue(APPEND_SET, names, [...args, ...valueOf(entry)]));
    if (!Array.isArray(reply)) return undefined;
    const [sequence, gone, full = 0] = listOf(reply);
    if (numberOf(full) > 0) this.options.refused(new Error('OOM the server is full, so it does not store the value.'));
    return { sequence: numberOf(sequence), held: numberOf(gone) > 0 };
  }

  /** The record first, on the node of the log; then the entry, wherever it lies. */
  private async appendSpread(
    spread: EntriesElsewhere,
    { connection, generation }: PublishTarget,
    { record, entry }: Pick<OutgoingRecord, 'record' | 'entry'>,
    args: readonly RedisArgument[],
  ): Promise<Appended | undefined> {
    const { keys } = this.options;
    const reply = await (entry === undefined
      ? connection.runInQueue(APPEND, keys.log, args)
      : connection.runInQueue(APPEND_JUDGED, keys.log, [...args, packTags(entry.tags), ...knownOf(entry)]));
    if (!Array.isArray(reply)) return undefined;
    const [sequence, brings] = listOf(reply).map(numberOf);
    if (sequence === undefined) throw new Error('the record has no number');
    const { lane, subject: key } = record;
    const held = spread.removeOlder(record, generation, sequence);
    if (entry === undefined || lane === null || brings !== 1) return { sequence, held };
    const { tags, lifeMs } = entry;
    const written = spread.write(generation, { lane, key, tags, lifeMs, birth: sequence, record: entry.record });
    return {
      sequence,
      held: written.then(
        () => held,
        () => held,
      ),
    };
  }

  /** The server has a deadline, which begins anew while it takes other records, or large entries before them. The echo has none: it comes, or the connection fails and nothing is waited for. */
  private async settleWithin(records: readonly OutgoingRecord[]): Promise<boolean> {
    const { clock, timeoutMs, outbox } = this.options;
    const waits = records.map((record) => record.wait());
    const accepted = Promise.all(waits.map((wait) => wait.accepted));
    const isKeepable = outbox() !== undefined;
    for (let isAccepted = false; !isAccepted;) {
      const before = this.appended;
      try {
        const waitMs = this.target === undefined && isKeepable ? 0 : timeoutMs;
        await withDeadline(clock, accepted, waitMs, 'Redis');
        isAccepted = true;
      } catch {
        const isTaking = this.appended !== before || this.target?.connection.isTransferring === true;
        if (this.target !== undefined && isTaking) continue;
        for (const wait of waits) wait.leave();
        return this.keep(records);
      }
    }
    return (await Promise.all(waits.map((wait) => wait.published))).includes(true);
  }

  private async keep(given: readonly OutgoingRecord[]): Promise<boolean> {
    const records = given.map(({ standing }) => standing);
    // It may have been published, and only not have been followed yet.
    if (!records.some((record) => this.outgoing.has(record))) return false;
    try {
      await withDeadline(this.options.clock, this.outgoing.keep(records), KEEP_WITHIN_MS, 'the disk');
      return false;
    } catch (cause) {
      throw new LaneCacheError(
        'INVALIDATION_PENDING',
        'The invalidation holds in this process. Redis did not take it in time, and it could not be kept on disk. Other instances follow it when Redis answers again, unless this process ends before. Wait for that, or call again.',
        { cause },
      );
    }
  }
}

/** Positions of keys, and of tags, that the server remembers before it raises the floor. */
const POSITIONS_ON_SERVER = 100_000;

/** A record that the server has. */
interface Appended {
  readonly sequence: number;
  /** Whether there was an entry. It resolves when the entry of a set is written. */
  readonly held: boolean | Promise<boolean>;
}

function valueOf(entry: OutgoingEntry): readonly RedisArgument[] {
  return [`${entry.lifeMs}`, packTags(entry.tags), entry.record, ...knownOf(entry)];
}

const knownOf = ({ known }: OutgoingEntry): readonly string[] => [`${known.sequence}`, `${known.patterns}`];
