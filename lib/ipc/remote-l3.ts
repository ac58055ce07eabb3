import { type Clock, type LifeClock, nextTurn, KeepAlive, settledWithin } from '../clock/clock.js';
import { BackOff } from '../clock/retry.js';
import { decodeRecord, type DecodedRecord, ifKnown, LocalRecord, type RecordReader } from '../entries/record.js';
import type { EventSink } from '../events/event-map.js';
import type { HostLog } from '../invalidation/host-log.js';
import { names } from '../invalidation/host-records.js';
import type { LogCursor, SharedOrder, SharedRecord } from '../invalidation/shared-log.js';
import type { ResolvedLane } from '../lanes/policy.js';
import type { LogPlace } from '../storage/files/log-files.js';
import {
  FoundRecord,
  type Offered,
  type Tier,
  type TierLookup,
  type TierRecord,
  type TierState,
  type TierUsage,
} from '../tiers/tier.js';
import { OfferQueue } from './offer-queue.js';
import { ConnectionLost, IpcConnection, OwnerForeign } from './client.js';
import {
  decodeFound,
  decodeHead,
  decodeUsage,
  encodeHead,
  encodeNames,
  encodeOffer,
  encodeUsage,
  type FoundEntry,
  type FrameHead,
  KEYS_CALL,
} from './entry-frames.js';

interface RemoteL3Options {
  /** Where the owner of the directory listens. */
  readonly path: string;
  readonly lanes: ReadonlyMap<string, ResolvedLane>;
  readonly clock: Clock;
  readonly life: LifeClock;
  readonly events: EventSink;
  readonly hostLog: Pick<HostLog, 'isOn' | 'place' | 'unechoed' | 'offerable'>;
  /** Absent without a server. */
  readonly sharedLog: SharedOrder | undefined;
  /** The position of this process's own log. */
  readonly position: () => number;
  /** Default: the owner's socket. */
  readonly open?: (path: string, clock: Clock, withinMs: number) => Promise<EntryConnection>;
}

/** What of a connection to the owner serves entries. */
export type EntryConnection = Pick<
  IpcConnection,
  'ownerPid' | 'onEntryFrame' | 'whenLost' | 'sendEntryFrame' | 'parts' | 'hold' | 'release' | 'close'
>;

/** A question that has not been answered. */
interface Question {
  readonly lane: string;
  readonly key: string;
  /** All of one batch are asked alike. */
  readonly how: 'read' | 'peek';
  /** The position of this process's log when it asked: what it gets is as old as that. */
  readonly birth: number;
  readonly asOf: LogPlace;
  /** Records of this process that the owner may not know. */
  readonly unechoed: readonly SharedRecord[];
  /** The value is wanted, and no bytes. */
  readonly reader: RecordReader | undefined;
  readonly answer: (lookup: TierLookup) => void;
}

/** A batch of questions on its way. */
interface Asked {
  readonly batch: readonly Question[];
  /** By the steady clock. */
  readonly dueAt: number;
}

const nothing = (): void => undefined;
const MISS: TierLookup = Object.freeze({ outcome: 'miss' });
const UNREADABLE: TierLookup = Object.freeze({ outcome: 'unreadable' });
/** No owner can be asked. */
export const IN_USE: TierLookup = Object.freeze({ outcome: 'off', reason: 'in-use' });
const BREAKER: TierLookup = Object.freeze({ outcome: 'off', reason: 'breaker' });
const POLICY: TierLookup = Object.freeze({ outcome: 'off', reason: 'policy' });
const NOTHING = Object.freeze({ entries: 0, sizeBytes: 0 });

/** An owner that does not answer in time is frozen or overloaded: computing is better than waiting. */
const DEADLINE_MS = 50;
/** In lanes that share computations: a miss would compute what another process has just computed. */
const PATIENT_DEADLINE_MS = 500;
/** A bulk write waits as long for a silent owner before entries are refused. One that is only busy is heard sooner. */
const LAST_DEADLINE_MS = 1_000;
/** Timers may be early by a fraction of a millisecond. */
const EARLY_MS = 1;
const COOLDOWN = { firstMs: 50, longestMs: 2_000 };
const MAX_BATCH = 256;
const CONNECT_WITHIN_MS = 1_000;
const RECONNECT_MS = 50;
/** In good order, the next owner of a directory answers within 100 ms. A busy machine takes longer. */
const SUCCESSION_MS = 250;
const SUCCESSION_RECONNECT_MS = 10;
/** What is reported of the owner's L3 is not older than this, if reports are asked for as often. */
const USAGE_EVERY_MS = 1_000;
const FLUSH_WITHIN_MS = 4_000;
const LAST_FLUSH_WITHIN_MS = 500;

const openSocket = (path: string, clock: Clock, withinMs: number): Promise<EntryConnection> =>
  IpcConnection.open(path, clock, withinMs);

type Line =
  | { readonly state: 'waiting' }
  /** The owner speaks another protocol. */
  | { readonly state: 'foreign' }
  /** This process is becoming the owner. */
  | { readonly state: 'heir' }
  | { readonly state: 'connected'; readonly connection: EntryConnection }
  | { readonly state: 'closed' };

/**
 * L3 in a process that does not own it: reads from the owner, and offers it what was computed. Nothing is removed here,
 * because the owner follows the log of the directory. The owner's answers count as of the position at which this process
 * asked, so that everything invalidated since applies to them.
 */
export class RemoteL3 implements Tier {
  readonly name = 'l3';
  private line: Line = { state: 'waiting' };
  private batch: Question[] = [];
  private readonly asked = new Map<number, Asked>();
  /** When the timer for what has been asked ends, by the steady clock. */
  private watchedUntil = Infinity;
  private ids = 0;
  private restUntil = 0;
  /** Until then the next owner is expected, by the steady clock. */
  private expectedUntil: number;
  /** What waits for the next owner. */
  private expectation: { readonly ended: Promise<void>; readonly end: () => void } | undefined;
  private readonly cooldown = new BackOff(COOLDOWN);
  private offering = 0;
  /** How many frames have come. */
  private received = 0;
  /**
   * How the owner was found by the last bulk write that waited for it. A silent one is waited for only when entries would be
   * refused otherwise, a frozen one not at all, until it is heard again.
   */
  private owner: 'answers' | 'silent' | 'frozen' = 'answers';
  private readonly offers: OfferQueue;
  private readonly offersSent = new Set<() => void>();
  private readonly keepAlive = new KeepAlive();
  private readonly lanes: Set<string>;
  /** Lanes that share computations with other processes. */
  private readonly patient: ReadonlySet<string>;
  private readonly usages = new Map<string, TierUsage>();
  private usageUntil = 0;
  /** Of the owner that was reported last. */
  private reported = '';

  constructor(private readonly options: RemoteL3Options) {
    this.expectedUntil = options.clock.monotonic() + SUCCESSION_MS;
    this.offers = new OfferQueue({
      clock: options.clock,
      line: () => (this.line.state === 'connected' ? this.line.connection : undefined),
      syncFrame: (id) => encodeHead(this.headOf('sync', id, options.hostLog.place)),
    });
    this.patient = new Set(
      [...options.lanes].filter(([, { policy }]) => policy.l4.coalesce !== 'process').map(([lane]) => lane),
    );
    this.lanes = new Set([...options.lanes].filter(([, { policy }]) => policy.l3.enabled).map(([lane]) => lane));
  }

  get state(): TierState {
    if (this.line.state === 'connected' && this.options.hostLog.isOn) return { state: 'on' };
    return { state: 'off', reason: this.line.state === 'closed' ? 'closed' : 'in-use' };
  }

  /**
   * Settles when there is an owner again, or none has come in time. Undefined if none is expected, or the next one may take
   * longer than `patienceMs`: what it would say must be found out without it.
   */
  succession(patienceMs: number): Promise<void> | undefined {
    const { state } = this.line;
    if ((state !== 'waiting' && state !== 'heir') || !this.options.hostLog.isOn) return undefined;
    const ms = this.expectedUntil - this.options.clock.monotonic();
    if (ms <= 0 || ms > patienceMs) return undefined;
    if (this.expectation === undefined) {
      let end = nothing;
      const found = new Promise<void>((resolve) => (end = resolve));
      this.expectation = { ended: this.within(ms, found), end };
    }
    return this.expectation.ended;
  }

  /** Connects, and again whenever the connection is lost. Resolves after the first attempt. Never rejects. */
  async connect(): Promise<void> {
    if (!this.isWaiting) return;
    const { path, clock, open = openSocket } = this.options;
    try {
      const connection = await open(path, clock, CONNECT_WITHIN_MS);
      if (!this.isWaiting) return connection.close();
      this.line = { state: 'connected', connection };
      this.expectNobody();
      this.owner = 'answers';
      // It was the one before that did not answer.
      this.restUntil = 0;
      this.cooldown.reset();
      connection.onEntryFrame((body) => this.receive(body));
      connection.whenLost(() => this.lose());
      this.offers.reconnected();
      this.askForUsage();
      this.report(connection.ownerPid);
    } catch (error) {
      if (!this.isWaiting) return;
      // An owner that speaks another protocol, or none, is asked again rarely.
      if (error instanceof ConnectionLost) this.reconnect();
      else this.reconnectAfter(CONNECT_WITHIN_MS);
      this.line = { state: error instanceof OwnerForeign ? 'foreign' : 'waiting' };
      if (!(error instanceof OwnerForeign)) return;
      this.expectNobody();
      this.offers.take();
      this.reportForeign(error.message);
    }
  }

  addLane(lane: string, { policy }: ResolvedLane): void {
    if (policy.l3.enabled) this.lanes.add(lane);
  }

  read(lane: string, key: string): TierLookup | Promise<TierLookup> {
    return this.look(lane, key, 'read');
  }

  readValue(lane: string, key: string, reader: RecordReader): TierLookup | Promise<TierLookup> {
    return this.look(lane, key, 'read', reader);
  }

  peek(lane: string, key: string): TierLookup | Promise<TierLookup> {
    return this.look(lane, key, 'peek');
  }

  private look(
    lane: string,
    key: string,
    how: 'read' | 'peek',
    reader?: RecordReader,
  ): TierLookup | Promise<TierLookup> {
    if (!this.lanes.has(lane)) return POLICY;
    const { hostLog, clock, position } = this.options;
    const asOf = hostLog.place;
    if (this.line.state !== 'connected' || asOf === undefined) return IN_USE;
    if (clock.monotonic() < this.restUntil) return BREAKER;
    return new Promise((answer) => {
      if (this.batch.length > 0 && this.batch[0]?.how !== how) this.ask();
      if (this.batch.length === 0) queueMicrotask(() => this.ask());
      this.batch.push({ lane, key, how, birth: position(), asOf, unechoed: hostLog.unechoed(), reader, answer });
      if (this.batch.length === MAX_BATCH) this.ask();
    });
  }

  /** Nobody waits: the owner decides whether it keeps the record. */
  offer(lane: string, record: TierRecord): Offered {
    if (!this.lanes.has(lane) || !this.takesOffers) return 'off';
    const { key, tags } = record;
    if (this.offers.isFull) {
      this.supersede(lane, key);
      return 'backlog';
    }
    const { hostLog, sharedLog } = this.options;
    const asOf = hostLog.offerable({ lane, key, tags });
    const server = sharedLog?.cursor;
    if (!(asOf instanceof Promise)) {
      this.sendOffer(lane, record, asOf);
      return 'queued';
    }
    this.offering++;
    const arrived = this.offers.expect(record.bytes.length);
    void asOf.then((place) => {
      arrived();
      // By the server's log another instance may have named it meanwhile.
      if (this.countsSince(server, lane, record)) this.sendOffer(lane, record, place);
      if (--this.offering > 0) return;
      for (const sent of this.offersSent) sent();
      this.offersSent.clear();
    });
    return 'queued';
  }

  write(lane: string, record: TierRecord): void {
    this.offer(lane, record);
  }

  /** A bulk write waits for an owner that answers, however long that takes to store what it was offered. */
  whenRoom(): Promise<void> | undefined {
    if (this.line.state !== 'connected') return undefined;
    if (this.owner === 'answers' && this.offers.isBusy) return this.awaitRoom('silent', DEADLINE_MS);
    if (this.owner === 'silent' && this.offers.isCrowded) return this.awaitRoom('frozen', LAST_DEADLINE_MS);
    return undefined;
  }

  /** Resolves when the owner has stored something, or as soon as it may be asked again whether it is there. */
  private async awaitRoom(otherwise: 'silent' | 'frozen', ms: number): Promise<void> {
    const before = this.received;
    const stored = this.offers.progress();
    // It answers this at once, whatever it has to write.
    this.askForUsage();
    await this.within(ms, stored);
    if (this.received === before) this.owner = otherwise;
  }

  remove(): boolean {
    return false;
  }

  removeMatching(): Promise<number> {
    return Promise.resolve(0);
  }

  clear(): Promise<void> {
    return Promise.resolve();
  }

  /** The owner keeps no older value than one that it is not offered. */
  supersede(lane: string, key: string): void {
    if (!this.lanes.has(lane) || !this.takesOffers) return;
    this.offers.add(encodeNames(this.headOf('drop', 0, this.options.hostLog.place), [{ lane, key }]));
  }

  /** As the owner said last. */
  usage(lane: string): TierUsage {
    if (this.options.clock.monotonic() >= this.usageUntil) this.askForUsage();
    return this.usages.get(lane) ?? NOTHING;
  }

  /** As the owner has them. Ends early when the owner does. */
  async *keys(lane: string): AsyncGenerator<string> {
    const { line } = this;
    if (line.state !== 'connected' || !this.lanes.has(lane)) return;
    try {
      for await (const keys of line.connection.parts<readonly string[]>(KEYS_CALL, lane)) yield* keys;
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
    }
  }

  sweep(): Promise<{ readonly expired: number; readonly evicted: number }> {
    return Promise.resolve({ expired: 0, evicted: 0 });
  }

  /** This process is becoming the owner: what is offered until `leave` is kept. */
  inherit(): void {
    const { line } = this;
    this.line = { state: 'heir' };
    if (line.state === 'connected') this.expectOwner();
    this.forget();
    if (line.state === 'connected') line.connection.close();
  }

  /** This process is the owner. Returns the offers that it would have sent to another one. */
  leave(): readonly Buffer[] {
    const offers = this.offers.take();
    this.end();
    return offers;
  }

  /** Resolves when an owner has stored what was offered, or none does so in time. */
  flush(): Promise<void> {
    return this.flushWithin(FLUSH_WITHIN_MS);
  }

  private async flushWithin(ms: number): Promise<void> {
    const sent = this.offering === 0 ? undefined : new Promise<void>((resolve) => this.offersSent.add(resolve));
    const stored = sent === undefined ? this.offers.whenStored() : sent.then(() => this.offers.whenStored());
    await this.within(ms, stored);
  }

  /** Waits for a moment until an owner has stored what was offered. */
  async close(): Promise<void> {
    await this.flushWithin(LAST_FLUSH_WITHIN_MS);
    this.end();
  }

  private end(): void {
    const { line } = this;
    this.line = { state: 'closed' };
    this.expectNobody();
    this.forget();
    this.offers.take();
    if (line.state === 'connected') line.connection.close();
    this.keepAlive.end();
  }

  private within(ms: number, work: Promise<void>): Promise<void> {
    return this.keepAlive.during(settledWithin(this.options.clock, work, ms));
  }

  private get isWaiting(): boolean {
    return this.line.state === 'waiting' || this.line.state === 'foreign';
  }

  /** While there is no owner, offers are kept for the next one. */
  private get takesOffers(): boolean {
    return this.line.state !== 'closed' && this.line.state !== 'foreign';
  }

  private lose(): void {
    if (this.line.state !== 'connected') return;
    this.line = { state: 'waiting' };
    this.expectOwner();
    this.forget();
    this.offers.wake();
    this.reconnect();
  }

  private expectOwner(): void {
    this.expectedUntil = this.options.clock.monotonic() + SUCCESSION_MS;
  }

  private expectNobody(): void {
    this.expectation?.end();
    this.expectation = undefined;
  }

  private reconnect(): void {
    const isExpected = this.options.clock.monotonic() < this.expectedUntil;
    this.reconnectAfter(isExpected ? SUCCESSION_RECONNECT_MS : RECONNECT_MS);
  }

  private reconnectAfter(ms: number): void {
    this.options.clock.schedule(ms, () => void this.connect());
  }

  /** Nobody knows any more what the owner has of what was asked. */
  private forget(): void {
    const waiting = [...this.batch, ...[...this.asked.values()].flatMap(({ batch }) => batch)];
    this.batch = [];
    this.asked.clear();
    for (const { answer } of waiting) answer(IN_USE);
  }

  private report(ownerPid: number): void {
    const detail = `its entries come from process ${ownerPid}, which owns the directory`;
    if (this.isNews(detail)) this.options.events.emit('tier', { tier: 'l3', state: 'on', detail });
  }

  private reportForeign(cause: string): void {
    const detail = `${cause}. Invalidations are shared with it, entries and checkpoints are not`;
    if (this.isNews(detail)) this.options.events.emit('tier', { tier: 'l3', state: 'off', reason: 'in-use', detail });
  }

  private isNews(detail: string): boolean {
    const isNews = this.reported !== detail;
    this.reported = detail;
    return isNews;
  }

  private ask(): void {
    const { batch, line } = this;
    const [first] = batch;
    if (first === undefined) return;
    this.batch = [];
    if (line.state !== 'connected') {
      for (const { answer } of batch) answer(IN_USE);
      return;
    }
    const id = ++this.ids;
    const isPatient = batch.some(({ lane }) => this.patient.has(lane));
    const dueAt = this.options.clock.monotonic() + (isPatient ? PATIENT_DEADLINE_MS : DEADLINE_MS);
    this.asked.set(id, { batch, dueAt });
    line.connection.hold();
    line.connection.sendEntryFrame(encodeNames(this.headOf(first.how, id, first.asOf), batch));
    this.watch(dueAt);
  }

  /** One timer for all questions: most are answered before it ends. */
  private watch(dueAt: number): void {
    if (dueAt >= this.watchedUntil) return;
    this.watchedUntil = dueAt;
    const { clock } = this.options;
    clock.schedule(Math.max(1, dueAt - clock.monotonic()), () => {
      if (this.watchedUntil === dueAt) this.endOverdue();
    });
  }

  private endOverdue(): void {
    const now = this.options.clock.monotonic() + EARLY_MS;
    let next = Infinity;
    for (const [id, { dueAt }] of this.asked) {
      // What has arrived already is taken first.
      if (dueAt <= now) void nextTurn().then(() => this.late(id));
      else next = Math.min(next, dueAt);
    }
    this.watchedUntil = Infinity;
    this.watch(next);
  }

  private late(id: number): void {
    const batch = this.take(id);
    if (batch === undefined) return;
    this.restUntil = this.options.clock.monotonic() + this.cooldown.next();
    for (const { answer } of batch) answer(BREAKER);
  }

  private take(id: number): readonly Question[] | undefined {
    const asked = this.asked.get(id);
    if (asked === undefined) return undefined;
    this.asked.delete(id);
    if (this.line.state === 'connected') this.line.connection.release();
    return asked.batch;
  }

  private receive(body: Buffer): void {
    this.received++;
    this.owner = 'answers';
    const head = decodeHead(body);
    this.options.life.notBefore(head.time);
    if (head.kind === 'synced') {
      this.offers.synced(head.id);
      return;
    }
    if (head.kind === 'used') for (const { lane, ...usage } of decodeUsage(body)) this.usages.set(lane, usage);
    if (head.kind !== 'found') return;
    const found = decodeFound(body);
    const batch = this.take(head.id);
    if (batch !== undefined) this.cooldown.reset();
    batch?.forEach((question, index) => question.answer(this.judge(question, head, found[index])));
  }

  private judge(question: Question, head: FrameHead, found: FoundEntry | undefined): TierLookup {
    if (found?.outcome === 'unreadable') return UNREADABLE;
    if (found?.outcome !== 'hit') return found?.outcome === 'off' ? IN_USE : MISS;
    const { lane, key, asOf, unechoed } = question;
    const { place } = this.options.hostLog;
    const isOfNow = head.generation === asOf.generation && place?.generation === asOf.generation;
    if (!isOfNow) return MISS;
    if (head.position < asOf.position) return IN_USE;
    const record = reborn(question, found.bytes, found.expiresAt);
    if (record === undefined) return UNREADABLE;
    if (record.staleUntil <= this.options.life.now()) return MISS;
    if (unechoed.some((own) => names(own, { lane, key, tags: record.tags }))) return MISS;
    if (!this.countsSince(head.server, lane, record)) return MISS;
    return { outcome: 'hit', record: new FoundRecord(record) };
  }

  /** Whether what counted as of `server`, in the owner or here, counts by the server's log as this process knows it. */
  private countsSince(
    server: LogCursor | undefined,
    lane: string,
    { key, tags }: Pick<TierRecord, 'key' | 'tags'>,
  ): boolean {
    const { sharedLog } = this.options;
    if (sharedLog === undefined) return true;
    return server !== undefined && sharedLog.judge(server, { lane, key, tags }) === 'counts';
  }

  private sendOffer(lane: string, record: TierRecord, asOf: LogPlace | undefined): void {
    if (asOf === undefined || !this.takesOffers) return;
    this.offers.add(encodeOffer(this.headOf('offer', 0, asOf), lane, record.bytes, record.turn));
  }

  private askForUsage(): void {
    if (this.line.state !== 'connected') return;
    this.usageUntil = this.options.clock.monotonic() + USAGE_EVERY_MS;
    const lanes = Array.from(this.lanes, (lane) => ({ lane, ...NOTHING }));
    this.line.connection.sendEntryFrame(encodeUsage(this.headOf('usage', 0, this.options.hostLog.place), lanes));
  }

  private headOf(kind: FrameHead['kind'], id: number, asOf: LogPlace | undefined): FrameHead {
    const { generation, position } = asOf ?? { generation: '00'.repeat(16), position: 0 };
    const { life, sharedLog } = this.options;
    return { kind, id, generation, position, time: life.now(), server: sharedLog?.cursor };
  }
}

/** The record with the birth of the question. Undefined for one that only another release can read. */
function reborn({ key, birth, reader }: Question, bytes: Uint8Array, expiresAt: number): DecodedRecord | undefined {
  const tree = reader?.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), key);
  // A copy: a view would keep all that came with it in memory.
  const opened = tree ?? ifKnown(() => decodeRecord(Buffer.from(bytes)));
  if (opened === undefined) return undefined;
  const earlierMs = expiresAt < opened.expiresAt ? opened.expiresAt - expiresAt : 0;
  return tree === undefined ? new LocalRecord(opened, birth, earlierMs) : tree.reborn(birth, earlierMs);
}
