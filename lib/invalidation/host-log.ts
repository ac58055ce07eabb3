import { afterThisStep, type Clock, type LifeClock, randomId, systemClock } from '../clock/clock.js';
import { isLaneCacheError } from '../errors/lane-cache.error.js';
import { LogFiles, type LogPlace, type LogFolder, type LogSegment } from '../storage/files/log-files.js';
import { bodyOf, collect, groupsOf, type HostRecord, names, RecentRecords, WaitingOffers } from './host-records.js';
import type { LogJournal } from './journal.js';
import type { HostLogPort, InvalidatedCache, ServerPublishing, SharedRecord, Standing, Subject } from './shared-log.js';

interface HostLogOptions {
  readonly folder: LogFolder;
  readonly clock: Clock;
  readonly life: LifeClock;
  /** The persistent tier's part of the log, while this process owns it. */
  readonly journal: () => LogJournal | undefined;
  /** Whether L3 is this process's, and has everything that is invalidated here. */
  readonly ownsL3: () => boolean;
  /** The log can be used, or cannot: other processes hear nothing. */
  readonly changed: (state: 'on' | 'off' | 'lost', error?: unknown) => void;
  /** For looks of a process that makes no calls. Default: the system's. */
  readonly idleClock?: Clock;
  /** A segment of this size is followed by another. Default 4 MB. */
  readonly segmentBytes?: number | undefined;
}

type HostCache = Pick<InvalidatedCache, 'apply' | 'drop' | 'bar'>;

type State =
  | { readonly state: 'closed' }
  | { readonly state: 'off' }
  /** It was on: other processes may go on using it, so nothing that was cached before may be served. */
  | { readonly state: 'cut-off' }
  /** Nothing is applied before `start` has named the cache. */
  | { readonly state: 'on'; readonly files: LogFiles };

/** Records of this process, in one record of the file, that are not yet both in the order of the log and durable. */
interface OwnRecords {
  /** As it is appended now: it shows what is known of the server's copies. */
  readonly body: () => string;
  readonly records: readonly SharedRecord[];
  readonly local: Promise<unknown>;
  /** L3 was this process's when the record was made, so it has carried it out already. */
  readonly isInL3: boolean;
  readonly settle: (error?: unknown) => void;
  readonly settled: Promise<void>;
  /** Where it was appended last. */
  segment: LogSegment | undefined;
  /** Following has come to it. */
  isEchoed: boolean;
  isSynced: boolean;
  /** It may be appended: a server that gets it too has it, or does not get it now. */
  isDue: boolean;
}

/** News reaches JavaScript in a new turn of the event loop. For code that goes on without one, a look counts for so long. */
const LOOK_COUNTS_MS = 1;
const IDLE_LOOK_MS = 250;
const SEGMENT_BYTES = 4 * 1024 * 1024;
const STORE_PLACE_MS = 100;
const NEVER = Infinity;
const DONE: Promise<void> = Promise.resolve();
const NONE: readonly SharedRecord[] = Object.freeze([]);

/**
 * The log that the processes of one directory share: a file that all of them append to, and look at before every call.
 *
 * Whatever another process has invalidated before a call is applied before that call reads anything. No process waits for
 * another one.
 */
export class HostLog implements HostLogPort {
  freshUntil = NEVER;
  private current: State = { state: 'off' };
  private cache: HostCache | undefined;
  private readonly author = randomId();
  private numbers = 0;
  private readonly own = new Map<number, OwnRecords>();
  /** Read and not yet applied: a listener may make a call while records are applied. */
  private received: HostRecord[] = [];
  private publishing: Promise<void> | undefined;
  /** Followed from one end only: what is appended to the files of another opening would not come round. */
  private opening: Promise<void> | undefined;
  private isFlagSet = false;
  /** The path is taken to name the file that is followed until then, by the life clock. */
  private inPlaceUntil = 0;
  private cancelIdle = (): void => undefined;
  private readonly applied: AppliedPlace;
  private readonly recent = new RecentRecords();
  private readonly waitingOffers = new WaitingOffers<OwnRecords>();
  private readonly lapse = (): void => {
    this.isFlagSet = false;
    if (this.freshUntil !== NEVER) this.freshUntil = 0;
  };

  constructor(private readonly options: HostLogOptions) {
    this.applied = new AppliedPlace(options.clock, options.journal);
  }

  get isOn(): boolean {
    return this.current.state === 'on';
  }

  /** How far this process has followed. Undefined while there is no log. */
  get place(): LogPlace | undefined {
    return this.current.state === 'on' ? this.current.files.place : undefined;
  }

  /** What was appended and not yet followed. */
  get behindBytes(): number {
    return this.current.state === 'on' ? this.current.files.segment.behindBytes : 0;
  }

  /**
   * Opens the log at its end. A folder that cannot be used leaves the log off, and is tried again. Rejects with
   * `FORMAT_UNSUPPORTED`.
   */
  open(): Promise<void> {
    if (this.current.state !== 'off' && this.current.state !== 'cut-off') return DONE;
    return (this.opening ??= this.openFiles().finally(() => (this.opening = undefined)));
  }

  /** From now on `cache` gets what other processes invalidate. L3 is behind by what was appended since `storedPlace`. */
  start(cache: HostCache, storedPlace: LogPlace | undefined): void {
    this.cache = cache;
    this.begin();
    this.replay(storedPlace);
  }

  /** Whether what L3 has missed since `place` can be read. */
  knows(place: LogPlace | undefined): boolean {
    const { current } = this;
    if (current.state !== 'on') return false;
    // The owner before may have followed further.
    if (this.cache !== undefined) this.look();
    else {
      if (current.files.follow(ignore, ignore) === 'lost') current.files.attach();
      // What was passed over is not remembered, and an entry from before it must not seem to count.
      this.recent.restart(current.files.place);
    }
    // A folder of an earlier release has no place. It has missed nothing while the log has no record.
    return place === undefined ? current.files.isUnused : current.files.replay(place, ignore);
  }

  /** Applies again what L3 has not seen, in this step. */
  replay(storedPlace: LogPlace | undefined): void {
    const { current, cache } = this;
    if (current.state !== 'on') return;
    this.applied.restart(storedPlace ?? current.files.place);
    if (storedPlace === undefined || cache === undefined) return;
    const missed: HostRecord[] = [];
    current.files.replay(storedPlace, (body, place) => collect(missed, body, place));
    for (const { records, time, place } of missed) {
      this.options.life.notBefore(time);
      // This process may have followed them already, for itself. L3 has not, so they count as records of this log alone.
      const ofThisLog = records.map((record) => ({ ...record, copy: undefined }));
      this.applied.add(place, applyAll(cache, ofThisLog));
    }
  }

  look(): void {
    if (this.cache === undefined) return;
    if (this.current.state === 'cut-off') this.cache.bar();
    if (this.current.state !== 'on') return;
    // Before the file is read: the process may be stopped in between.
    const now = this.options.life.now();
    this.freshUntil = now + LOOK_COUNTS_MS;
    if (!this.isFlagSet) {
      this.isFlagSet = true;
      afterThisStep(this.lapse);
    }
    if (now >= this.inPlaceUntil) this.findPlace(this.current.files, now);
    const { current } = this;
    if (current.state === 'on') this.follow(current.files);
  }

  /** The records of this process that have not come round: nobody has put them into the order of the log yet. */
  unechoed(): readonly SharedRecord[] {
    if (this.own.size === 0) return NONE;
    return [...this.own.values()].flatMap(({ isEchoed, records }) => (isEchoed ? NONE : records));
  }

  /**
   * The place as of which an entry that counts here, now, can be offered to the owner of L3. Where records of this process
   * name it that have not come round, such as that of its own `set`, it waits for them. Undefined if it can't be offered.
   */
  offerable(subject: Subject): LogPlace | undefined | Promise<LogPlace | undefined> {
    const isMissing = ({ isEchoed, records }: OwnRecords): boolean =>
      !isEchoed && records.some((record) => names(record, subject));
    const missing = this.own.size === 0 ? [] : [...this.own.values()].filter(isMissing);
    return missing.length === 0 ? this.place : this.waitingOffers.add(subject, missing);
  }

  /** Whether an entry that counted as of `asOf`, in whatever process, counts now. */
  judge(asOf: Pick<LogPlace, 'generation' | 'position'>, subject: Subject): Standing {
    const { place } = this;
    if (place === undefined || asOf.position > place.position) return 'unknown';
    if (this.unechoed().some((record) => names(record, subject))) return 'named';
    return this.recent.judge(asOf, subject);
  }

  publish(
    records: readonly SharedRecord[],
    local: Promise<unknown>,
    server?: ServerPublishing,
  ): Promise<void> | undefined {
    // Where it was on, the other processes may have it still.
    if (this.current.state === 'off' || this.current.state === 'closed') return undefined;
    const { life, ownsL3 } = this.options;
    const [time, isInL3] = [life.now(), ownsL3()];
    // An entry that waits is older. Its offer could say otherwise: the server may have this record sooner than the log.
    for (const later of records) this.waitingOffers.named(later);
    let from = 0;
    const made = groupsOf(records).map((group): OwnRecords => {
      const { promise, settle } = settleable();
      const number = ++this.numbers;
      const copies = server?.copies.slice(from, (from += group.length)) ?? [];
      const body = (): string => bodyOf({ author: this.author, number, time }, group, copies);
      const shared = group.map(({ kind, lane, subject }) =>
        kind === 'expire' ? { kind, lane, subject, at: time } : { kind, lane, subject },
      );
      const progress = { segment: undefined, isEchoed: false, isSynced: false, isDue: server === undefined };
      const own: OwnRecords = { records: shared, local, isInL3, body, settle, settled: promise, ...progress };
      this.own.set(number, own);
      return own;
    });
    const append = (): void => {
      for (const own of made) own.isDue = true;
      this.publishing ??= this.appendAll().finally(() => (this.publishing = undefined));
    };
    if (server === undefined) append();
    else server.settled.then(append, append);
    return Promise.all(made.map(({ settled }) => settled)).then(() => undefined);
  }

  /** Resolves when every record of this process is in the log, and L3 would not carry it out again. Never rejects. */
  async flush(): Promise<void> {
    // Some are appended only when a server has answered.
    await Promise.allSettled([...this.own.values()].map(({ settled }) => settled));
    await this.publishing;
    await this.applied.flush();
  }

  async close(): Promise<void> {
    this.cancelIdle();
    await this.flush();
    const { current } = this;
    this.current = { state: 'closed' };
    this.freshUntil = NEVER;
    if (current.state === 'on') current.files.close();
  }

  private async openFiles(): Promise<void> {
    try {
      const files = await LogFiles.open(this.options.folder);
      if (this.isClosed()) return files.close();
      this.current = { state: 'on', files };
      this.recent.restart(files.place);
      this.options.changed('on');
      if (this.cache === undefined) return;
      // What was cached without a log was judged by nobody.
      this.applied.restart(
        files.place,
        this.cache.drop().catch(() => undefined),
      );
      this.begin();
    } catch (error) {
      if (isLaneCacheError(error, 'FORMAT_UNSUPPORTED')) throw error;
      this.options.changed('off', error);
    }
  }

  private isClosed(): boolean {
    return this.current.state === 'closed';
  }

  private begin(): void {
    this.cancelIdle();
    this.scheduleIdle();
    if (this.current.state === 'on') this.freshUntil = 0;
  }

  /** A process that makes no calls follows too: it may own L3. A clock that a test moves by days would look a million times. */
  private scheduleIdle(): void {
    this.cancelIdle = (this.options.idleClock ?? systemClock).schedule(IDLE_LOOK_MS, () => {
      void this.idle().finally(() => {
        if (!this.isClosed()) this.scheduleIdle();
      });
    });
  }

  private async idle(): Promise<void> {
    if (this.current.state === 'off' || this.current.state === 'cut-off') {
      await this.open().catch(() => undefined);
      return;
    }
    if (this.current.state !== 'on') return;
    if (this.current.files.segment.isInPlace) this.look();
    else await this.leave(this.current.files);
  }

  /** A process that was stopped has not noticed meanwhile that the folder was removed or replaced. */
  private findPlace(files: LogFiles, now: number): void {
    this.inPlaceUntil = now + IDLE_LOOK_MS;
    if (files.segment.isInPlace) return;
    try {
      void this.leave(files);
    } catch (error) {
      this.cutOff(files, error);
      this.cache?.bar();
    }
  }

  private follow(files: LogFiles): void {
    let followed: 'end' | 'lost';
    try {
      // As a rule. It is asked in every turn of the event loop.
      if (this.received.length === 0 && files.segment.isQuiet) return;
      followed = files.follow(
        (body, place) => collect(this.received, body, place),
        (segment) => this.left(segment),
      );
    } catch {
      followed = 'lost';
    }
    for (let next = this.received.shift(); next !== undefined; next = this.received.shift()) this.apply(next);
    if (followed === 'lost') void this.loseOf(files);
  }

  /** A process that had not read what was cut off does not notice. So the file is emptied, and everyone does. */
  private loseOf(files: LogFiles): Promise<void> {
    try {
      if (files.segment.isShortened) return this.leave(files);
    } catch {
      // It cannot be used any more. Others find out for themselves.
    }
    return this.lose();
  }

  private apply({ author, number, time, records, place }: HostRecord): void {
    for (const record of records) this.recent.add(place, record);
    if (author !== this.author) {
      for (const record of records) this.waitingOffers.named(record);
      this.options.life.notBefore(time);
      const { cache } = this;
      if (cache !== undefined) this.applied.add(place, applyAll(cache, records));
      return;
    }
    const own = this.own.get(number);
    if (own === undefined) return;
    own.isEchoed = true;
    this.waitingOffers.echoed(own, place);
    const isMissed = !own.isInL3 && this.options.ownsL3();
    this.applied.add(place, isMissed && this.cache !== undefined ? applyAll(this.cache, records) : own.local);
  }

  /** A segment was followed to its end. What was appended behind its end is appended again. */
  private left(segment: LogSegment): void {
    segment.syncNow();
    for (const own of this.own.values()) {
      if (own.segment !== segment) continue;
      if (own.isEchoed || this.received.some((heard) => this.isOwn(heard, own))) own.isSynced = true;
      else own.segment = undefined;
    }
  }

  private isOwn({ author, number }: HostRecord, own: OwnRecords): boolean {
    return author === this.author && this.own.get(number) === own;
  }

  /** The history is not there any more: nothing from before can be proved. What had not come round is appended again. */
  private lose(): Promise<void> {
    const { current, cache } = this;
    if (current.state !== 'on') return Promise.resolve();
    for (const own of this.own.values()) {
      own.segment = undefined;
      own.isEchoed = false;
      own.isSynced = false;
    }
    this.received = [];
    this.waitingOffers.giveUp();
    const dropped = cache?.drop().catch(() => undefined);
    this.options.changed('lost');
    try {
      current.files.attach();
      this.recent.restart(current.files.place);
      this.applied.restart(current.files.place, dropped);
      return Promise.resolve();
    } catch (error) {
      this.cutOff(current.files, error);
      return this.open();
    }
  }

  /** The folder was removed or replaced. Processes that still follow what was there must notice before any record resolves. */
  private leave(files: LogFiles): Promise<void> {
    files.segment.cut();
    return this.lose();
  }

  /** What other processes append is not heard of any more. */
  private cutOff(files: LogFiles, error: unknown): void {
    files.close();
    this.current = { state: 'cut-off' };
    this.freshUntil = 0;
    this.options.changed('off', error);
  }

  private async appendAll(): Promise<void> {
    // The calls of one step share an append.
    await Promise.resolve();
    while (this.isAnyDue()) {
      if (this.current.state !== 'on') await this.open().catch(() => undefined);
      const { current } = this;
      if (current.state !== 'on') return this.settleAll(new Error('the log of the directory cannot be used'));
      try {
        await this.appendOnce(current.files);
      } catch (error) {
        this.giveUp(current.files, error);
      }
    }
  }

  private isAnyDue(): boolean {
    for (const { isDue } of this.own.values()) if (isDue) return true;
    return false;
  }

  private async appendOnce(files: LogFiles): Promise<void> {
    const { segment } = files;
    // What was appended to a segment that is not followed any more does not come round.
    const waiting = [...this.own.values()].filter((own) => own.isDue && !own.isEchoed && own.segment !== segment);
    for (const own of waiting) {
      own.segment = segment;
      own.isSynced = false;
    }
    if (waiting.length > 0) await segment.append(waiting.map(({ body }) => body()));
    this.look();
    // What is in the file was read just now. Something else has cut it off, and perhaps records of others with it.
    if (this.cache !== undefined && waiting.some((own) => !own.isEchoed && own.segment === files.segment))
      await this.leave(files);
    const sent = [...this.own.values()].filter((own) => own.segment === segment);
    // A segment that was left is synced already, and may be closed.
    if (files.segment === segment) await segment.sync();
    for (const own of sent) if (own.segment === segment) own.isSynced = true;
    this.look();
    if (!files.segment.isInPlace) await this.leave(files);
    for (const [number, own] of this.own) {
      if (!own.isEchoed || !own.isSynced) continue;
      this.own.delete(number);
      own.settle();
    }
    if (files.segment.bytes > (this.options.segmentBytes ?? SEGMENT_BYTES)) await files.segment.rotate();
  }

  /** The record cannot be appended, on a full disk for example. Then nothing from before counts, for any process. */
  private giveUp(files: LogFiles, error: unknown): void {
    try {
      files.void();
    } catch {
      // The file may be void already, and no other one could be put in its place.
      this.cutOff(files, error);
      this.settleAll(error);
      return;
    }
    void this.lose();
    this.settleAll();
  }

  private settleAll(error?: unknown): void {
    this.waitingOffers.giveUp();
    for (const own of this.own.values()) own.settle(error);
    this.own.clear();
  }
}

const ignore = (): void => undefined;

function settleable(): { readonly promise: Promise<void>; readonly settle: (error?: unknown) => void } {
  const parts: { settle?: (error?: unknown) => void } = {};
  const promise = new Promise<void>((resolve, reject) => {
    parts.settle = (error) => (error === undefined ? resolve() : reject(error));
  });
  return { promise, settle: (error) => parts.settle?.(error) };
}

/** Resolves when all are carried out. */
function applyAll(cache: HostCache, records: readonly SharedRecord[]): Promise<unknown> {
  const [first] = records;
  if (records.length === 1 && first !== undefined) return cache.apply(first);
  return Promise.all(records.map((record) => cache.apply(record)));
}

/** Up to where the persistent tier has carried out everything, in the order of the log. */
class AppliedPlace {
  private readonly pending: { readonly place: LogPlace; readonly carriedOut: Promise<unknown>; isDone: boolean }[] = [];
  private reached: LogPlace | undefined;
  private stored: LogPlace | undefined;
  private cancel: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly journal: () => LogJournal | undefined,
  ) {}

  /** From here on, once `after` has settled. */
  restart(place: LogPlace, after: Promise<unknown> = Promise.resolve()): void {
    this.pending.splice(0);
    this.reached = undefined;
    this.stored = place;
    this.add(place, after);
  }

  add(place: LogPlace, carriedOut: Promise<unknown>): void {
    const entry = { place, carriedOut, isDone: false };
    this.pending.push(entry);
    const done = (): void => {
      entry.isDone = true;
      this.advance();
    };
    carriedOut.then(done, done);
  }

  /** Everything that was followed is carried out, and a later owner does not do so again. Never rejects. */
  async flush(): Promise<void> {
    await Promise.allSettled(this.pending.map(({ carriedOut }) => carriedOut));
    await this.store();
  }

  private async store(): Promise<void> {
    this.cancel?.();
    this.cancel = undefined;
    const { reached } = this;
    if (reached === undefined || reached === this.stored) return;
    const journal = this.journal();
    if (journal === undefined) return;
    this.stored = reached;
    await journal.append([{ row: 'place', ...reached }]).catch(() => undefined);
  }

  private advance(): void {
    while (this.pending[0]?.isDone === true) this.reached = this.pending.shift()?.place;
    if (this.reached === undefined || this.journal() === undefined) return;
    this.cancel ??= this.clock.schedule(STORE_PLACE_MS, () => void this.store());
  }
}
