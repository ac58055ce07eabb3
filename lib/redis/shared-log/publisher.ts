import { type Clock, randomId } from '../../clock/clock.js';
import { withDeadline } from '../../clock/timers.js';
import type { KeepAlive } from '../../clock/keep-alive.js';
import { LaneCacheError } from '../../errors/lane-cache.error.js';
import type { LogRecord } from '../../invalidation/journal.js';
import type { Outbox, SharedLog, SharedRecord } from '../../invalidation/shared-log.js';
import type { FreshnessWindow } from './freshness.js';
import type { KeySpace } from '../keys.js';
import type { Connection } from '../client/connection.js';
import { memberOf, inUtf8, packTags, names, type Named } from './record-codec.js';
import { APPEND } from './scripts.js';
import { PATTERNS_ON_SERVER } from './applied-records.js';
import { type RedisArgument, listOf, numberOf } from '../client/redis-client.js';

interface SharedLogOptions {
  readonly keys: KeySpace;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Records that the server keeps for those who were away. */
  readonly logLength: number;
  /** Lanes that instances share. */
  readonly lanes: { has(lane: string): boolean };
  /** Where records are kept that cannot be said yet, if this process has such a place. */
  readonly outbox: () => Outbox | undefined;
  readonly isStale: () => boolean;
  readonly freshness: FreshnessWindow;
  readonly hold: KeepAlive;
}

/** Where records can be said: a session that has shaken hands, and the generation found there. */
interface PublishTarget {
  readonly connection: Connection;
  readonly generation: string;
}

/** Whose record it is if every process must follow it, this one included. */
const NOBODY = 'nobody';
/** At most so many are said again in one go. */
const PUBLISHED_AT_ONCE = 256;

/** How long an invalidation waits for the disk. */
const KEEP_WITHIN_MS = 5_000;

/** What this instance says to the others, and what it could not say yet. */
export class RedisSharedLog implements SharedLog {
  /** Marks this process's own records; never a pid or a host, which come again. */
  readonly by = randomId();
  readonly outgoing: OutgoingQueue;
  private target: PublishTarget | undefined;
  private readonly localWork = new Set<Promise<unknown>>();
  /** Own records that the server has, and that have not come round yet. */
  private readonly awaitingEcho = new Map<number, () => void>();
  /** In the generation of the audience. */
  private reached = 0;
  /** Of this step, by position. */
  private fresh = new Map<number, OutgoingRecord>();
  private outgoingEntries = 0;
  private takenUp: Outbox | undefined;

  constructor(private readonly options: SharedLogOptions) {
    this.outgoing = new OutgoingQueue(options.outbox);
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

  /** What the tiers of this process have still to be told of what was said here. */
  get local(): readonly Promise<unknown>[] {
    return [...this.localWork];
  }

  publish(records: readonly LogRecord[], local: Promise<unknown>): Promise<boolean> {
    this.localWork.add(local);
    const forget = (): boolean => this.localWork.delete(local);
    local.then(forget, forget);
    const { lanes } = this.options;
    const utterances = records
      .filter(({ lane }) => lane === null || lanes.has(lane))
      .map(
        ({ position, ...record }) =>
          new OutgoingRecord(`${this.by}-${++this.outgoingEntries}`, this.by, record, position),
      );
    if (utterances.length === 0) return Promise.resolve(false);
    this.outgoing.add(utterances);
    // at the end of the step, so that a set can lay its entry beside the record that supersedes it
    if (this.fresh.size === 0) queueMicrotask(() => this.publishFresh());
    for (const record of utterances) this.fresh.set(record.position, record);
    return this.options.hold.during(this.answer(utterances));
  }

  /** Says as nobody in particular what was not said here: this process follows it as everybody does. */
  async broadcast(record: SharedRecord): Promise<boolean> {
    const entry = new OutgoingRecord(`${this.by}-${++this.outgoingEntries}`, NOBODY, record, 0);
    this.outgoing.add([entry]);
    void this.publishNext(entry);
    return this.options.hold.during(this.answer([entry]));
  }

  /** The log has been followed up to there: what is born from now on is born behind what was said before. */
  followedTo(sequence: number): void {
    this.reached = sequence;
    for (const [said, settle] of this.awaitingEcho) {
      if (said > sequence) continue;
      this.awaitingEcho.delete(said);
      settle();
    }
  }

  /** Lays the entry of a set beside its record; false if that has been sent, or there is none. */
  attach(lane: string, key: string, birth: number, entry: OutgoingEntry): boolean {
    const outgoing = this.fresh.get(birth);
    if (outgoing === undefined || this.target === undefined) return false;
    const { record } = outgoing;
    if (record.kind !== 'key' || record.lane !== lane || record.subject !== key) return false;
    outgoing.entry = entry;
    return true;
  }

  /** What earlier processes could not say. Everybody follows it, this process included. */
  private takeUp(): void {
    const outbox = this.options.outbox();
    if (outbox === undefined || outbox === this.takenUp) return;
    this.takenUp = outbox;
    const utterances = Array.from(outbox.found, ([id, record]) => new OutgoingRecord(id, NOBODY, record, 0));
    for (const record of utterances) record.isKept = true;
    this.outgoing.add(utterances);
  }

  /** From now on records are said there; what is unsaid comes first. */
  async connect(target: PublishTarget): Promise<void> {
    this.followedTo(Infinity);
    this.reached = 0;
    this.target = target;
    await this.resend();
  }

  disconnect(): void {
    this.target = undefined;
    this.followedTo(Infinity);
    this.reached = 0;
  }

  /** Says what was not acknowledged so far. Ends early, and is called again, when it still is not. */
  async resend(): Promise<void> {
    this.takeUp();
    for (;;) {
      const isIdle = (record: OutgoingRecord): boolean =>
        !record.isUnderWay && this.fresh.get(record.position) !== record;
      const some = this.outgoing.all.filter(isIdle).slice(0, PUBLISHED_AT_ONCE);
      for (const record of some) record.entry = undefined;
      const said = await Promise.all(some.map((record) => this.publishNext(record)));
      if (some.length < PUBLISHED_AT_ONCE || said.includes(false)) return;
    }
  }

  /** Resolves when everything that can be said has been. */
  async flush(): Promise<void> {
    if (this.target !== undefined) await this.resend();
  }

  private publishFresh(): void {
    const { fresh } = this;
    this.fresh = new Map();
    for (const record of fresh.values()) void this.publishNext(record);
  }

  private async publishNext(record: OutgoingRecord): Promise<boolean> {
    const { target: audience } = this;
    if (audience === undefined) return false;
    const { keys, logLength } = this.options;
    const { connection, generation } = audience;
    record.isUnderWay = true;
    try {
      const saying = await appendRecord(connection, keys, record, { generation, logLength });
      if (saying.outcome !== 'said') return false;
      this.outgoing.acknowledged(record);
      const echoed = (): void => {
        this.outgoing.echoed(record);
        record.settle(saying.held);
      };
      if (saying.sequence <= this.reached) echoed();
      else this.awaitingEcho.set(saying.sequence, echoed);
      return true;
    } catch {
      return false;
    } finally {
      record.isUnderWay = false;
    }
  }

  private async answer(utterances: readonly OutgoingRecord[]): Promise<boolean> {
    const { clock, timeoutMs, outbox } = this.options;
    const said = Promise.all(utterances.map((record) => record.said));
    const isKeepable = outbox() !== undefined;
    try {
      const waitMs = this.target === undefined && isKeepable ? 0 : timeoutMs;
      return (await withDeadline(clock, said, waitMs, 'Redis')).includes(true);
    } catch {
      return this.keep(utterances);
    }
  }

  private async keep(utterances: readonly OutgoingRecord[]): Promise<boolean> {
    // it may have been said, and only not have come round yet
    if (!utterances.some((record) => this.outgoing.has(record))) return false;
    try {
      await withDeadline(this.options.clock, this.outgoing.keep(utterances), KEEP_WITHIN_MS, 'the disk');
      return false;
    } catch (cause) {
      throw new LaneCacheError(
        'INVALIDATION_PENDING',
        'The invalidation holds in this process, but Redis did not take it in time, and it could not be kept on disk: other instances hear of it when Redis answers again, unless this process ends before. Wait for that, or call again.',
        { cause },
      );
    }
  }
}

/** Positions of keys, and of tags, that the server remembers before it raises the floor. */
const POSITIONS_ON_SERVER = 100_000;

/** What the server answered: it has it, or it has begun another generation. */
type AppendParams =
  | { readonly outcome: 'said'; readonly sequence: number; readonly held: boolean }
  | { readonly outcome: 'other-generation' };

/** Says one record, and with it the entry of a set. Rejects when it is not known to have been said. */
export async function appendRecord(
  connection: Connection,
  keys: KeySpace,
  outgoing: OutgoingRecord,
  settings: { readonly generation: string; readonly logLength: number },
): Promise<AppendParams> {
  const { record, by, entry } = outgoing;
  const { kind, lane, subject } = record;
  const { generation, logLength } = settings;
  const bounds = [`${logLength}`, `${POSITIONS_ON_SERVER}`, `${PATTERNS_ON_SERVER}`];
  const target = kind === 'key' || kind === 'expire' ? keys.entry(generation, lane ?? '', subject) : keys.meta;
  const args = [generation, by, kind, lane ?? '', inUtf8(subject), memberOf(record), ...bounds];
  const value = entry === undefined ? [] : valueOf(entry);
  outgoing.entry = undefined;
  const reply = await connection.run(APPEND, [...keys.log, target], [...args, ...value]);
  if (!Array.isArray(reply)) return { outcome: 'other-generation' };
  const [sequence, gone] = listOf(reply);
  return { outcome: 'said', sequence: numberOf(sequence), held: numberOf(gone) > 0 };
}

function valueOf({ lifeMs, tags, record, known }: OutgoingEntry): readonly RedisArgument[] {
  return [`${lifeMs}`, packTags(tags), record, `${known.sequence}`, `${known.patterns}`];
}

/** An entry that goes with the record that supersedes it: an explicit set. */
interface OutgoingEntry {
  readonly lifeMs: number;
  readonly tags: readonly string[];
  readonly record: Uint8Array;
  /** Sequence numbers up to which this instance knew of everything about the key, and of every pattern. */
  readonly known: { readonly sequence: number; readonly patterns: number };
}

/** A record on its way to the server. It is said at least once; saying it again does no harm. */
export class OutgoingRecord {
  /** Settles, never as a rejection, when the server has it and it has come round: whether an entry of the subject went. */
  readonly said: Promise<boolean>;
  /**
   * Goes along at the first attempt only: later, another instance may have set the key anew, and this value would come
   * behind it.
   */
  entry: OutgoingEntry | undefined;
  /** Kept in the persistent tier, to be said by a later process if this one ends. */
  isKept = false;
  isUnderWay = false;
  /** To be called when `said` is true of it. */
  readonly settle: (held: boolean) => void;

  constructor(
    readonly id: string,
    /** Whose record it is: whoever follows a record of its own has done it already. */
    readonly by: string,
    readonly record: SharedRecord,
    /** Position in this process's log. */
    readonly position: number,
  ) {
    const { promise, resolve } = deferred();
    this.said = promise;
    this.settle = resolve;
  }
}

function deferred(): { readonly promise: Promise<boolean>; readonly resolve: (held: boolean) => void } {
  const parts: { resolve?: (held: boolean) => void } = {};
  const promise = new Promise<boolean>((resolve) => (parts.resolve = resolve));
  return { promise, resolve: (held) => parts.resolve?.(held) };
}

/** Beyond, what is unsaid becomes one record about everything. */
const AT_MOST = 10_000;

/**
 * What was said here and has not come round: waiting for the server, on its way to it, or on its way back. Whatever it
 * names is not taken from the server meanwhile.
 */
export class OutgoingQueue {
  private readonly waiting = new Set<OutgoingRecord>();
  private readonly awaitingEcho = new Set<OutgoingRecord>();
  private snapshot: readonly OutgoingRecord[] | undefined;

  constructor(private readonly outbox: () => Outbox | undefined) {}

  get all(): readonly OutgoingRecord[] {
    return [...this.waiting];
  }

  /** Also what the server has and has not come round yet. As of now; it does not change afterwards. */
  get unheard(): readonly OutgoingRecord[] {
    this.snapshot ??= [...this.waiting, ...this.awaitingEcho];
    return this.snapshot;
  }

  has(record: OutgoingRecord): boolean {
    return this.waiting.has(record);
  }

  add(utterances: readonly OutgoingRecord[]): void {
    for (const record of utterances) this.waiting.add(record);
    this.snapshot = undefined;
    if (this.waiting.size > AT_MOST) this.condense();
  }

  /** The server has it. */
  acknowledged(record: OutgoingRecord): void {
    this.waiting.delete(record);
    this.awaitingEcho.add(record);
    if (record.isKept) this.outbox()?.forget([record.id]);
  }

  /** It was followed. */
  echoed(record: OutgoingRecord): void {
    this.awaitingEcho.delete(record);
    this.snapshot = undefined;
  }

  /** Resolves when a later process would say them. Rejects where there is nowhere to keep them. */
  async keep(utterances: readonly OutgoingRecord[]): Promise<void> {
    const outbox = this.outbox();
    if (outbox === undefined) throw new Error('this process owns no directory to keep it in');
    const waiting = utterances.filter((record) => this.waiting.has(record));
    for (const record of waiting) record.isKept = true;
    await outbox.keep(new Map(waiting.map(({ id, record }) => [id, record])));
  }

  private condense(): void {
    const dropped = this.all;
    const newest = dropped.at(-1);
    if (newest === undefined) return;
    const everything = { kind: 'all', lane: null, subject: '*' } as const;
    const one = new OutgoingRecord(`${newest.id}-all`, newest.by, everything, newest.position);
    one.isKept = dropped.some((record) => record.isKept);
    this.waiting.clear();
    this.add([one]);
    void settleWith(one, dropped);
    if (!one.isKept) return;
    const outbox = this.outbox();
    const forget = (): void => outbox?.forget(dropped.map(({ id }) => id));
    outbox?.keep(new Map([[one.id, everything]])).then(forget, () => undefined);
  }
}

async function settleWith(one: OutgoingRecord, dropped: readonly OutgoingRecord[]): Promise<void> {
  const held = await one.said;
  for (const record of dropped) record.settle(held);
}

/** Whether one of these names the entry. */
export function anyMatches(utterances: readonly OutgoingRecord[], entry: Named): boolean {
  return utterances.some(({ record }) => names(record, entry));
}
