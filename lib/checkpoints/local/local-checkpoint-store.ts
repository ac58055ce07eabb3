import { type Clock, nextTurn, KeepAlive } from '../../clock/clock.js';
import { LaneCacheError } from '../../errors/lane-cache.error.js';
import type { EventSink } from '../../events/event-map.js';
import type { TierOffReason } from '../../events/reasons.js';
import { StorageFault, type Environment } from '../../storage/environment.js';
import { CLOSED, isClosed } from '../checkpoint-store.js';
import type {
  CheckpointDraft,
  CheckpointMark,
  CheckpointRecord,
  CheckpointStore,
  CheckpointStoreState,
  CheckpointUsage,
  CleanupPosition,
  CleanupRule,
  CleanupSlice,
  ListQuery,
  ListSlice,
  ReadOutcome,
  SaveConditions,
  SaveOutcome,
  StepStart,
  VersionSelector,
  WorkflowSlice,
} from '../checkpoint-store.js';
import { LEASE_MS, type LeaseAnswer, type LeaseRequest } from '../leases.js';
import { cleanSlice, list, type Remover, removesNothing, usage } from './checkpoint-queries.js';
import { CheckpointRows } from './checkpoint-rows.js';
import {
  CheckpointTables,
  EVERYTHING,
  FORMAT,
  keyOf,
  numbersOf,
  pointerRow,
  ranges,
  type LeaseRow,
  type ReadFaults,
} from './checkpoint-tables.js';
import { CheckpointWriter, GroupCommit, WorkSlice } from './checkpoint-writer.js';

/** The most versions that are read or changed in one turn of the event loop. */
const SLICE = 64;

interface LocalCheckpointStoreSettings {
  readonly clock: Clock;
  readonly events: EventSink;
  /** Collects what the environment reports. It must have been passed to the environment when that was opened. */
  readonly faults: ReadFaults;
  /** Called when the environment is closed, for example to release its lock. */
  readonly release?: () => Promise<void>;
  /** The labels of a version that an earlier release saved, from its metadata. */
  readonly labelsOf?: (record: CheckpointRecord) => readonly string[];
  /** Called once when the folder is gone: nothing can be written until it is opened again. */
  readonly gone?: (detail: string) => void;
}

/**
 * Checkpoints in an LMDB environment that this process owns. After a report of damage it writes nothing, because a
 * version could be used twice. Reads go on.
 */
export class LocalCheckpointStore implements CheckpointStore {
  private readonly condition: StoreCondition;
  private closing: Promise<void> | undefined;
  private isGone = false;
  private readonly tables: CheckpointTables;
  private readonly rows: CheckpointRows;
  private readonly queue: GroupCommit;
  private readonly turns: SaveTurns;
  private readonly leases: LeaseTimes;

  /** `environment` must be durable and have no other writer. Throws `FORMAT_UNSUPPORTED` on data of a newer release. */
  constructor(
    private readonly environment: Environment,
    private readonly settings: LocalCheckpointStoreSettings,
  ) {
    this.condition = new StoreCondition(settings.clock, settings.events);
    this.leases = new LeaseTimes(settings.clock);
    this.tables = new CheckpointTables(environment, settings.faults);
    this.rows = new CheckpointRows(this.tables);
    const { format } = this.rows.store;
    if (format > FORMAT) {
      throw new LaneCacheError(
        'FORMAT_UNSUPPORTED',
        `The checkpoints in '${environment.directory}' were written in format ${format}; this release reads up to ${FORMAT}. Use the release that wrote them, or another checkpoints.directory.`,
      );
    }
    // LMDB commits in order: once a later write is committed, every earlier one is committed or never will be.
    const awaitOutcome = (): Promise<void> =>
      environment.commit((transaction) =>
        transaction.put(this.tables.store.origin, 'fence', pointerRow.seal(['fence', 0])),
      );
    this.queue = new GroupCommit(environment, settings.clock, awaitOutcome, (fault, bytes) =>
      this.noteCommit(fault, bytes),
    );
    this.turns = new SaveTurns(settings.clock);
    settings.faults.listen((fault) => this.noteFault(fault));
  }

  get state(): CheckpointStoreState {
    return this.condition.state;
  }

  save(
    draft: CheckpointDraft,
    state: Uint8Array,
    conditions: SaveConditions = {},
    caller: object = this,
  ): Promise<SaveOutcome> {
    const save = (): Promise<SaveOutcome> =>
      this.write((writer) => writer.save(draft, state, conditions), state.length);
    const isRace = conditions.expectedVersion !== undefined && conditions.adopts !== true;
    return isRace ? this.turns.take(draft.id, caller, save) : save();
  }

  async begin(id: string, workflow: string | undefined, now: number): Promise<StepStart> {
    const epoch = workflow === undefined ? 0 : this.rows.workflow(workflow).epoch;
    return { currentVersion: this.rows.current(keyOf(id), now), epoch };
  }

  finish(workflow: string): Promise<void> {
    return this.write((writer) => writer.finish(workflow));
  }

  invalidateWorkflow(workflow: string, upTo?: number): Promise<WorkflowSlice> {
    return this.write((writer) =>
      writer.removeOfWorkflow(workflow, upTo ?? writer.beginAnew(workflow), SLICE, this.workSlice()),
    );
  }

  async lease({ action, id, token, isRemote = false }: LeaseRequest): Promise<LeaseAnswer> {
    const idKey = keyOf(id);
    if (action === 'extend') return this.leases.extend(token, this.rows.lease(idKey));
    let isHeld = false;
    try {
      const answer = await (action === 'take'
        ? this.takeLease(idKey, { token, isRemote })
        : this.releaseLease(idKey, token));
      isHeld = action === 'take' && answer.isHeld;
      return answer;
    } finally {
      // A row that could not be removed, or that is committed too late, is then one of a holder that has gone.
      if (!isHeld) this.leases.forget(token);
    }
  }

  private takeLease(idKey: string, row: LeaseRow): Promise<LeaseAnswer> {
    return this.write((writer) => {
      const leftMs = this.leases.leftMs(row.token, writer.rows.lease(idKey));
      if (leftMs > 0) return { isHeld: false, leftMs };
      writer.takeLease(idKey, row);
      this.leases.hold(row);
      return { isHeld: true };
    });
  }

  private releaseLease(idKey: string, token: string): Promise<LeaseAnswer> {
    return this.write((writer) => {
      writer.releaseLease(idKey, token);
      return { isHeld: true };
    });
  }

  async read(id: string, selector: VersionSelector): Promise<ReadOutcome> {
    const idKey = keyOf(id);
    const version = 'version' in selector ? selector.version : this.rows.current(idKey, selector.asOf);
    const record = this.rows.record(idKey, version);
    if (record === undefined)
      return this.exists(idKey, version) ? { outcome: 'damaged', version } : { outcome: 'absent' };
    if (this.rows.isInvalidated(record)) return { outcome: 'absent' };
    const state = record.id === id ? this.rows.state(idKey, record) : undefined;
    if (state !== undefined) return { outcome: 'found', record, state };
    // A removal may have committed between the two reads.
    return this.exists(idKey, version) ? { outcome: 'damaged', version } : { outcome: 'absent' };
  }

  async versions(id: string): Promise<readonly number[]> {
    const versions: number[] = [];
    for await (const slice of this.slices(keyOf(id))) versions.push(...slice);
    return versions;
  }

  async history(id: string, limit: number): Promise<readonly CheckpointRecord[]> {
    const idKey = keyOf(id);
    const records: CheckpointRecord[] = [];
    for await (const slice of this.slices(idKey)) {
      const found = slice.flatMap((version) => this.rows.record(idKey, version) ?? []);
      records.push(...found.filter((record) => !this.rows.isInvalidated(record)));
      if (records.length >= limit) break;
    }
    return records.slice(0, limit);
  }

  async list(query: ListQuery): Promise<ListSlice> {
    if (query.labels !== undefined && query.labels.length > 0) await this.labelAll();
    return list(this.rows, query);
  }

  remove(id: string, version?: number): Promise<readonly number[]> {
    const idKey = keyOf(id);
    if (version === undefined) {
      return this.changeAll(idKey, (writer, one) => {
        writer.remove(idKey, one);
        return true;
      });
    }
    return this.write((writer) => {
      if (!writer.rows.has(idKey, version)) return [];
      writer.remove(idKey, version);
      return [version];
    });
  }

  async mark(id: string, mark: CheckpointMark, version?: number): Promise<boolean> {
    const idKey = keyOf(id);
    if (version === undefined && mark === 'unpinned') {
      return (await this.changeAll(idKey, (writer, one) => writer.mark(idKey, one, mark))).length > 0;
    }
    return this.write((writer) => writer.mark(idKey, version ?? writer.rows.head(idKey).newest, mark));
  }

  async clean(rule: CleanupRule, from: CleanupPosition = { phase: 'expired' }): Promise<CleanupSlice> {
    const clean = (remover: Remover): CleanupSlice => cleanSlice(remover, rule, from, this.workSlice());
    return rule.mode === 'remove' ? this.write(clean) : clean(removesNothing(this.rows));
  }

  usage(now: number): Promise<CheckpointUsage> {
    return usage(this.rows, now);
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private async closeOnce(): Promise<void> {
    this.condition.close();
    await this.queue.idle();
    await this.environment.close();
    await this.settings.release?.();
  }

  /** All versions of an id, newest first. Other work gets its turn between two slices. */
  private async *slices(idKey: string): AsyncGenerator<readonly number[], void, undefined> {
    let slice = this.rows.newest(idKey, Infinity, SLICE);
    for (let last = slice.at(-1); last !== undefined; last = slice.at(-1)) {
      yield slice;
      if (slice.length < SLICE) return;
      await nextTurn();
      slice = this.rows.newest(idKey, last, SLICE);
    }
  }

  /**
   * Changes every version that exists when its turn comes, and none that is saved later. It starts with the oldest, so
   * that a restore in between finds the newest, and commits slice by slice. Returns those for which `change` returns true.
   */
  private async changeAll(
    idKey: string,
    change: (writer: CheckpointWriter, version: number) => boolean,
  ): Promise<readonly number[]> {
    const changed: number[] = [];
    let bound: number | undefined;
    let reached = 0;
    for (;;) {
      const isLast = await this.write((writer) => {
        const last = (bound ??= writer.rows.head(idKey).counter);
        const versions = writer.rows.oldest(idKey, reached, SLICE).filter((version) => version <= last);
        const work = this.workSlice();
        for (const version of versions) {
          if (change(writer, version)) changed.push(version);
          reached = version;
          if (work.isSpent) break;
        }
        return versions.length < SLICE && reached === (versions.at(-1) ?? reached);
      });
      if (isLast) return changed;
      await nextTurn();
    }
  }

  /** Fills in the index of metadata for versions that earlier releases saved, slice by slice. */
  private async labelAll(): Promise<void> {
    for (;;) {
      const { sequence, labelled = 0 } = this.rows.store;
      if (labelled >= sequence) return;
      const { start, end } = ranges.orderUp(EVERYTHING, labelled);
      const found = [...this.tables.order.range({ ...(start && { start }), ...(end && { end }), limit: SLICE })];
      const records = found.flatMap(({ value }) => {
        const pointer = pointerRow.open(value);
        return (pointer && this.rows.record(...pointer)) ?? [];
      });
      const last = found.length < SLICE ? sequence : (numbersOf(found[SLICE - 1]?.key ?? '')[0] ?? sequence);
      await this.write((writer) => writer.label(records, this.settings.labelsOf ?? noLabels, last));
      await nextTurn();
    }
  }

  private workSlice(): WorkSlice {
    return new WorkSlice(this.settings.clock);
  }

  private write<T>(change: (writer: CheckpointWriter) => T, bytes = 0): Promise<T> {
    if (this.closing !== undefined) return Promise.reject(new StorageFault('closed', 'the checkpoints are closed'));
    const { damage } = this.settings.faults;
    if (damage !== undefined) return Promise.reject(damage);
    return this.queue.run(bytes, (batch) => change(new CheckpointWriter(this.tables, batch)));
  }

  /** Whether there is or should be such a version, readable or not. */
  private exists(idKey: string, version: number): boolean {
    return version > 0 && (this.rows.has(idKey, version) || this.rows.head(idKey).newest === version);
  }

  private noteCommit(fault: unknown, bytes: number): void {
    if (fault instanceof StorageFault && fault.kind === 'damaged') this.settings.faults.damage ??= fault;
    if (fault !== undefined) this.noteFault(fault, bytes);
    else if (this.settings.faults.damage === undefined) this.condition.wrote(bytes);
  }

  private noteFault(fault: unknown, bytes = 0): void {
    if (this.closing !== undefined) return;
    this.condition.failed(fault, bytes);
    if (!(fault instanceof StorageFault) || fault.kind !== 'gone' || this.isGone) return;
    this.isGone = true;
    this.settings.gone?.(fault.message);
  }
}

const noLabels = (): readonly string[] => [];

/**
 * How long the leases on ids last. The rows on disk say who holds them; how long is known in this process alone. A holder
 * in another process extends its lease, and has time to do so after this process took over the directory. One in this
 * process lives as long as the process: a row of its own that it does not know is of a process that ended.
 */
class LeaseTimes {
  private readonly until = new Map<string, number>();
  private readonly openedUntil: number;

  constructor(private readonly clock: Clock) {
    this.openedUntil = clock.monotonic() + LEASE_MS;
  }

  hold({ token, isRemote }: LeaseRow): void {
    this.until.set(token, isRemote ? this.clock.monotonic() + LEASE_MS : Infinity);
  }

  extend(token: string, row: LeaseRow | undefined): LeaseAnswer {
    if (row?.token !== token) return { isHeld: false, leftMs: this.leftMs(token, row) };
    this.hold(row);
    return { isHeld: true };
  }

  /** How long another holder than `token` keeps the lease; 0 = it may be taken. */
  leftMs(token: string, row: LeaseRow | undefined): number {
    if (row === undefined || row.token === token) return 0;
    const until = this.until.get(row.token) ?? (row.isRemote ? this.openedUntil : 0);
    const leftMs = Math.max(0, until - this.clock.monotonic());
    if (leftMs === 0) this.forget(row.token);
    return Math.min(leftMs, LEASE_MS);
  }

  forget(token: string): void {
    this.until.delete(token);
  }
}

const REASONS: Partial<Record<string, TierOffReason>> = {
  'disk-full': 'disk-full',
  'read-only': 'read-only',
  closed: 'closed',
};

/** A refusal by a full disk is forgotten after this long without another one of its size. */
const FORGET_REFUSAL_MS = 60_000;

/** Whether checkpoints can be written, and why not. Emits one event per change. */
class StoreCondition {
  state: CheckpointStoreState = { state: 'on' };
  /** The largest write that a full disk refused since the state was last on, and when it last refused one. */
  private refusedBytes = 0;
  private refusedAt = 0;

  constructor(
    private readonly clock: Clock,
    private readonly events: EventSink,
  ) {}

  close(): void {
    this.state = CLOSED;
  }

  /** `bytes`: the size of the write. */
  failed(fault: unknown, bytes: number): void {
    if (isClosed(this.state)) return;
    const reason = (fault instanceof StorageFault ? REASONS[fault.kind] : undefined) ?? 'breaker';
    const detail = fault instanceof Error ? fault.message : 'the commit failed';
    if (reason === 'disk-full') {
      this.refusedBytes = Math.max(this.refusedBytes, bytes);
      this.refusedAt = this.clock.monotonic();
    }
    const wasOn = this.state.state === 'on';
    this.state = { state: 'off', reason, detail };
    if (wasOn) this.events.emit('tier', { tier: 'checkpoints', state: 'off', reason, detail, error: fault });
  }

  /** A nearly full disk still accepts small writes and removals. They do not show that there is space again. */
  wrote(bytes: number): void {
    if (this.state.state === 'on' || isClosed(this.state) || !this.showsSpace(bytes)) return;
    this.refusedBytes = 0;
    this.state = { state: 'on' };
    const detail = 'a checkpoint could be written again';
    this.events.emit('tier', { tier: 'checkpoints', state: 'on', detail });
  }

  private showsSpace(bytes: number): boolean {
    if (this.state.state === 'off' && this.state.reason !== 'disk-full') return true;
    if (bytes > 0 && bytes >= this.refusedBytes) return true;
    return this.clock.monotonic() - this.refusedAt >= FORGET_REFUSAL_MS;
  }
}

/** How long a caller that met a conflict may take to read the new version and to save again before others. */
const TURN_MS = 25;

type Save = () => Promise<SaveOutcome>;

/** A save that waits for the turn of its caller. */
interface WaitingSave {
  readonly save: Save;
  readonly resolve: (outcome: SaveOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Lets the processes that save one id with an expected version take turns. Without turns the owner of the directory,
 * which reads and saves without a socket in between, would win each race.
 *
 * A conflict begins the turn of its caller: until its next save the saves of other callers wait, but not for longer than
 * 25 ms. Callers that wait have their turns in the order in which they came. A caller is a process, not one of its calls.
 */
export class SaveTurns {
  private readonly races = new Map<string, Race>();
  private readonly keepAlive = new KeepAlive();

  constructor(private readonly clock: Clock) {}

  /** Runs `save` at once if no other caller has its turn, else in the turn of `caller`. */
  async take(id: string, caller: object, save: Save): Promise<SaveOutcome> {
    const before = this.races.get(id);
    if (before !== undefined && before.caller !== caller) return this.wait(before, caller, save);
    const outcome = await save();
    const race = this.races.get(id);
    if (outcome.outcome === 'saved') {
      if (race?.caller === caller) race.next();
      return outcome;
    }
    if (race !== undefined && race.caller !== caller) return this.wait(race, caller, save);
    if (race === undefined) this.races.set(id, new Race(caller, this.clock, () => this.races.delete(id)));
    return outcome;
  }

  private wait(race: Race, caller: object, save: Save): Promise<SaveOutcome> {
    return this.keepAlive.during(
      new Promise<SaveOutcome>((resolve, reject) => race.wait(caller, { save, resolve, reject })),
    );
  }
}

/** The turns of one id. It ends when nobody waits. */
class Race {
  private readonly waiting = new Map<object, WaitingSave[]>();
  private turn = 0;
  private cancel: () => void;

  /** `caller` has met a conflict, and has the first turn. */
  constructor(
    public caller: object,
    private readonly clock: Clock,
    private readonly ended: () => void,
  ) {
    this.cancel = this.limit();
  }

  wait(caller: object, save: WaitingSave): void {
    const saves = this.waiting.get(caller);
    if (saves === undefined) this.waiting.set(caller, [save]);
    else saves.push(save);
  }

  /** Ends the turn, and begins that of the caller that has waited longest. */
  next(): void {
    this.cancel();
    this.turn++;
    const [first] = this.waiting;
    if (first === undefined) return this.ended();
    const [caller, saves] = first;
    this.caller = caller;
    this.waiting.delete(caller);
    void this.tryAll(saves, this.turn);
  }

  /** One save ends the turn. If there are only conflicts, the caller has time to read and to save again. */
  private async tryAll(saves: readonly WaitingSave[], turn: number): Promise<void> {
    for (const [index, { save, resolve, reject }] of saves.entries()) {
      try {
        const outcome = await save();
        resolve(outcome);
        if (outcome.outcome === 'conflict') continue;
        for (const left of saves.slice(index + 1)) this.wait(this.caller, left);
        if (this.turn === turn) this.next();
        return;
      } catch (error) {
        reject(error);
      }
    }
    if (this.turn === turn) this.cancel = this.limit();
  }

  /** A save that has arrived already is served before the turn ends. */
  private limit(): () => void {
    const { turn } = this;
    return this.clock.schedule(TURN_MS, () => {
      void nextTurn().then(() => {
        if (this.turn === turn) this.next();
      });
    });
  }
}
