import { nextTurn } from '../clock/clock.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import { CheckpointConflictError, stepIsOver, workflowInvalidated } from '../errors/checkpoint.errors.js';
import { isLaneCacheError, LaneCacheError } from '../errors/lane-cache.error.js';
import { toMilliseconds } from '../lanes/units.js';
import { defined } from '../options/options-shape.js';
import { CheckpointCleaner, untilItFails } from './checkpoint-cleaner.js';
import { decodeState, RestoreSearch, type RestoreQuery, type ValidVersion } from './checkpoint-restore.js';
import { CheckpointSaver, throwUnavailable, type CheckpointSettings, type PreparedSave } from './checkpoint-saver.js';
import type {
  CheckpointRecord,
  CheckpointStore,
  CheckpointStoreState,
  CheckpointUsage,
  UsageCounts,
} from './checkpoint-store.js';
import {
  decodeMetadata,
  FORK_OPTIONS,
  fromPosition,
  GET_OPTIONS,
  HISTORY_OF,
  HISTORY_OPTIONS,
  ITERATE_FILTER,
  labelsOfRecord,
  LIST_FILTER,
  requireListener,
  requireName,
  requireStep,
  requireVersion,
  RESTORE_OPTIONS,
  SAVE_OPTIONS,
  STEP_OPTIONS,
  toCleanup,
  toQuery,
} from './checkpoint-validation.js';
import type {
  Checkpoint,
  CheckpointCounts,
  CheckpointFilter,
  CheckpointInfo,
  CheckpointPage,
  CheckpointStatus,
  CleanupOptions,
  CleanupReport,
  ForkCheckpointOptions,
  RestoreCheckpointOptions,
  SaveCheckpointOptions,
  StepOptions,
} from './checkpoint.js';
import { hasExpired } from './retention.js';
import { StepRunner } from './step-runner.js';
import { NO_FENCE } from './step-scopes.js';
import { asUnavailable, NO_USAGE } from './unavailable-checkpoint-store.js';

/**
 * Durable versions of workflow state. They are never evicted, and clearing the cache leaves them.
 *
 * Ids are any text of 1 byte to 1 KB and are global to the directory; lane and workflow are labels of a version.
 * Calls reject with `CHECKPOINT_INVALID` on bad arguments and with `CHECKPOINTS_UNAVAILABLE` where checkpoints cannot be
 * read or written. After the app was closed reads find nothing and writes reject with `CLOSED`.
 *
 * @example
 * ```ts
 * await checkpoints.cacheCheckpoint('import:42', { row: 1_000 }, { workflow: 'import' });
 * const found = await checkpoints.restoreCheckpoint<{ row: number }>('import:42');
 * ```
 */
export class CheckpointService {
  private readonly saver: CheckpointSaver;
  /** Made with the first step. */
  private steps: StepRunner | undefined;
  private hasEnded = false;

  /** @internal The app creates it. */
  constructor(private readonly settings: CheckpointSettings) {
    this.saver = new CheckpointSaver(settings);
  }

  /**
   * Saves `state` as the next version of `id`. Resolves once it is durable. The state is encoded during the call, so
   * later changes to it are not saved. Rejects with `CheckpointConflictError`, `CheckpointTooLargeError`,
   * `CHECKPOINT_UNSTORABLE` (part of the value cannot be stored faithfully), `LANE_UNKNOWN` or `TTL_INVALID`, and then
   * stores nothing. Within a step a save with the `workflow` of the step belongs to it (in an exclusive step without one, a
   * save without one): it is in conflict once the workflow was invalidated, or the step has ended or has lost its lease.
   */
  async cacheCheckpoint(
    id: string,
    state: unknown,
    options: string | SaveCheckpointOptions = {},
  ): Promise<CheckpointInfo> {
    const wanted = SAVE_OPTIONS.read(typeof options === 'string' ? { lane: options } : options);
    return this.saveInStep(this.saver.prepare(id, state, wanted), wanted.expectedVersion);
  }

  /**
   * Begins the new id `to` with the state of `from`, which stays as it is. The info names it as `parent`. Lane, step and
   * metadata are those of `from`; workflow and ttl are not. Rejects with `CHECKPOINT_INVALID` if `from` has no such
   * version, with `LANE_UNKNOWN` if the app has no such lane (any more), and with `CheckpointConflictError` if there is a
   * checkpoint `to`.
   */
  async fork(from: string, to: string, options?: ForkCheckpointOptions): Promise<CheckpointInfo> {
    const { version, workflow, lane } = FORK_OPTIONS.read(options);
    requireName(from, 'from');
    requireName(to, 'to');
    if (workflow !== undefined) requireName(workflow, 'workflow');
    const { lanes } = this.settings;
    if (lane !== undefined) requireLane(lane, lanes);
    const found = await this.find(from, version === undefined ? {} : { version });
    if (found === undefined) throw nothingToFork(from, version);
    // The lane of the other id may have been one of an earlier release of the app.
    requireLane(lane ?? found.record.lane, lanes);
    return this.saveInStep(this.forked(found, to, { workflow, lane }), 0);
  }

  /**
   * Runs a step of a workflow once, and saves its result; from then on restores it. All callers of an id, in whatever
   * process, end with the one saved result: of two that ran the step, the later one adopts the result that was saved
   * first. Concurrent calls in one process run it once: the function and the labels of the first one count. A call that
   * differs from it in `workflow`, `exclusive` or `onUnavailable`, or for which its result is older than `maxAge`, looks
   * for itself when it has ended. Each caller but the one whose function ran gets its own copy.
   *
   * A step within a step of the same workflow belongs to the same run of it. Once the workflow was invalidated, a step of
   * the run before neither runs nor saves: it rejects with `CheckpointConflictError`.
   *
   * A step that throws saves nothing. One that returns `undefined` saves nothing and runs again at the next call. Rejects
   * with `COMPUTE_INVALID` if `run` is no function, and with `REENTRANT` if it would wait for itself, or if an exclusive
   * step inside another has waited 30 s for another process.
   */
  async runStep<T>(id: string, run: () => T | PromiseLike<T>, options?: StepOptions): Promise<T> {
    const wanted = STEP_OPTIONS.read(options);
    const { settings, saver } = this;
    requireStep(id, run, wanted, settings.lanes);
    this.steps ??= new StepRunner(settings, saver, (of, restore) => this.find(of, restore));
    if (this.hasEnded) this.steps.scopes.end();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the step saves under the id is what it returns
    return (await this.steps.run(id, run, wanted)) as T;
  }

  /** Marks a workflow as done: `keepUnfinished` no longer keeps its states. A later save in it undoes this. */
  async finish(workflow: string): Promise<void> {
    requireName(workflow, 'workflow');
    await this.saver.write((store) => store.finish(workflow));
    this.settings.events.emit('workflow', { action: 'finished', workflow });
  }

  /**
   * Removes all versions of a workflow, pinned ones too, so that it starts anew. Resolves with how many were removed. A step
   * that began before cannot save afterwards: its caller gets `CheckpointConflictError`. What is saved while the removal
   * goes on stays.
   */
  async invalidateWorkflow(workflow: string): Promise<number> {
    requireName(workflow, 'workflow');
    const { events } = this.settings;
    let removed = 0;
    for (let upTo: number | undefined; ;) {
      const slice = await this.saver.write((store) => store.invalidateWorkflow(workflow, upTo));
      for (const { id, version } of slice.removed) events.emit('checkpoint', { action: 'removed', id, version });
      removed += slice.removed.length;
      upTo = slice.next;
      if (upTo === undefined) break;
      await nextTurn();
    }
    events.emit('workflow', { action: 'invalidated', workflow, removed });
    return removed;
  }

  /**
   * A fresh, mutable copy of the newest version, or of `version`. Undefined when there is none, when its ttl has ended,
   * or when it is older than `maxAge`. Rejects with `CheckpointDamagedError` when the stored bytes are not those that
   * were saved, unless `fallback` asks for the newest intact version before it.
   */
  async restoreCheckpoint<T = unknown>(id: string, options?: RestoreCheckpointOptions): Promise<T | undefined> {
    const found = await this.find(id, RESTORE_OPTIONS.read(options));
    return found === undefined ? undefined : decodeState<T>(this.settings.codec, found);
  }

  /** As `restoreCheckpoint`, with the facts of the version. */
  async getCheckpoint<T = unknown>(
    id: string,
    options?: { readonly version?: number },
  ): Promise<Checkpoint<T> | undefined> {
    const found = await this.find(id, GET_OPTIONS.read(options));
    if (found === undefined) return undefined;
    const { codec } = this.settings;
    return { ...toInfo(found.record, codec), state: decodeState<T>(codec, found) };
  }

  /**
   * The versions of an id, or of all ids of a workflow, without states. Newest first, so that those of a workflow read
   * from the end as its timeline: which step was saved when, by which process, and how long it took.
   */
  async history(
    of: string | { readonly workflow: string },
    options?: { readonly limit?: number },
  ): Promise<readonly CheckpointInfo[]> {
    const { limit = Infinity } = HISTORY_OPTIONS.read(options);
    if (typeof of === 'object' && of !== null) return this.timeline(HISTORY_OF.read(of).workflow, limit);
    requireName(of, 'id');
    const records = await this.read((store) => store.history(of, limit), []);
    return records.map((record) => toInfo(record, this.settings.codec));
  }

  private async timeline(workflow: string, limit: number): Promise<readonly CheckpointInfo[]> {
    requireName(workflow, 'workflow');
    const infos: CheckpointInfo[] = [];
    for await (const info of this.iterate({ workflow })) {
      if (infos.push(info) >= limit) break;
    }
    return infos;
  }

  /** The checkpoint saved last in a workflow, by the order of saving and not by the clock. Expired ones do not count. */
  async latest(workflow: string): Promise<CheckpointInfo | undefined> {
    requireName(workflow, 'workflow');
    const now = this.settings.clock.now();
    let limit = 1;
    for (let after: CheckpointPage['next']; ; limit = 100) {
      const query = toQuery({ workflow, limit, ...(after !== undefined && { after }) });
      const slice = await this.read((store) => store.list(query), { records: [] });
      const record = slice.records.find((one) => !hasExpired(one, now));
      if (record !== undefined) return toInfo(record, this.settings.codec);
      if (slice.next === undefined) return undefined;
      after = fromPosition(slice.next);
      await nextTurn();
    }
  }

  /** A page, newest first: by the order of saving, or by time when `since` or `until` is given. Reads no states. */
  async list(filter?: CheckpointFilter): Promise<CheckpointPage> {
    const asked = LIST_FILTER.read(filter);
    await this.requireKnown(asked.lane);
    return this.page(asked);
  }

  /** All versions that match the filter, in the order of `list`. */
  async *iterate(filter?: Omit<CheckpointFilter, 'after' | 'limit'>): AsyncGenerator<CheckpointInfo, void, undefined> {
    const asked = ITERATE_FILTER.read(filter);
    await this.requireKnown(asked.lane);
    let page = await this.page({ ...asked, limit: 200 });
    yield* page.items;
    while (page.next !== undefined) {
      // A loop that never waits must not block the event loop.
      await nextTurn();
      page = await this.page({ ...asked, limit: 200, after: page.next });
      yield* page.items;
    }
  }

  /** Removes a version, or all of the id, pinned ones too. Resolves with how many were removed. */
  async invalidateCheckpoint(id: string, version?: number): Promise<number> {
    this.requireRef(id, version);
    const versions = await this.saver.write((store) => store.remove(id, version));
    for (const one of versions) this.settings.events.emit('checkpoint', { action: 'removed', id, version: one });
    return versions.length;
  }

  /** Excludes a version, or the newest, from every cleanup. Resolves with whether there was one. */
  pin(id: string, version?: number): Promise<boolean> {
    return this.mark(id, 'pinned', version);
  }

  /** Undoes `pin` for a version, or for all of the id. Resolves with whether there was one. */
  unpin(id: string, version?: number): Promise<boolean> {
    return this.mark(id, 'unpinned', version);
  }

  /**
   * Removes versions older than `maxAgeDays` (7; one of exactly that age stays) and expired ones. Pinned ones stay.
   * Works in small transactions: it blocks nothing, and may be killed and repeated. `onProgress` is called after each with
   * how many versions have been removed so far, until it fails.
   */
  async cleanupOldCheckpoints(
    options: number | CleanupOptions = {},
    onProgress?: (removed: number) => void,
  ): Promise<CleanupReport> {
    const rules = toCleanup(options);
    requireListener(onProgress);
    await this.requireKnown(rules.lane);
    const { store, clock, events, retention } = this.settings;
    const cleaner = new CheckpointCleaner(store, clock, events, retention);
    const { due, newestOfId, ...tally } = await this.saver.write(() =>
      cleaner.clean(rules, { onProgress: onProgress && untilItFails(onProgress, this.settings.report) }),
    );
    const report = { ...tally, dryRun: rules.dryRun ?? false };
    if (report.dryRun) {
      const checkpoints = due.map(({ record, reason }) => ({ ...toInfo(record, this.settings.codec), reason }));
      return { ...report, checkpoints };
    }
    const { removed, bytes, pinnedKept } = tally;
    events.emit('cleanup', { removed, bytes, pinnedKept, newestOfId });
    return report;
  }

  /** From counts that every change updates. Where checkpoints cannot be used it resolves with `off` and the reason. */
  async getCheckpointCacheStatus(): Promise<CheckpointStatus> {
    const store = this.settings.store();
    try {
      return toStatus(await store.usage(this.settings.clock.now()), store.state);
    } catch (error) {
      const reason = asUnavailable(error);
      if (!isLaneCacheError(reason, 'CHECKPOINTS_UNAVAILABLE')) throw error;
      const { state } = store;
      return toStatus(
        NO_USAGE,
        state.state === 'off' ? state : { state: 'off', reason: 'breaker', detail: reason.message },
      );
    }
  }

  /** @internal The app was closed: nothing belongs to a step any more. */
  end(): void {
    this.hasEnded = true;
    this.steps?.scopes.end();
  }

  /** Saves as part of the step that calls, if one does. */
  private async saveInStep(prepared: PreparedSave, expectedVersion: number | undefined): Promise<CheckpointInfo> {
    const { id, workflow = '' } = prepared.draft;
    const { conditions, run } = this.steps?.scopes.fence(prepared.draft.workflow) ?? NO_FENCE;
    const terms = expectedVersion === undefined ? conditions : { ...conditions, expectedVersion };
    const saved = await this.saver.save(prepared, terms);
    if (saved.outcome === 'saved') return toInfo(saved.record, this.settings.codec);
    const { cause, currentVersion } = saved;
    if (cause === 'workflow') throw workflowInvalidated(id, workflow, currentVersion);
    if (cause === 'version' || run === undefined)
      throw new CheckpointConflictError(id, expectedVersion ?? 0, currentVersion);
    if (run.phase === 'running') run.phase = 'lost';
    throw stepIsOver(id, run.step.id, run.phase, currentVersion);
  }

  private async find(id: string, options: RestoreCheckpointOptions): Promise<ValidVersion | undefined> {
    this.requireRef(id, options.version);
    const now = this.settings.clock.now();
    const query: RestoreQuery = {
      selector: options.version === undefined ? { asOf: now } : { version: options.version },
      now,
      maxAge: options.maxAge === undefined ? undefined : toMilliseconds(options.maxAge, { key: id, field: 'maxAge' }),
      onDamage: options.fallback === true ? 'fall-back' : 'refuse',
    };
    const { events } = this.settings;
    const found = await this.read((store) => new RestoreSearch(store, events).find(id, query), undefined);
    if (found !== undefined && events.wants('checkpoint')) {
      const { version, workflow, step } = found.record;
      events.emit('checkpoint', defined({ action: 'restored', id, version, workflow, step }));
    }
    return found;
  }

  private async page(filter: CheckpointFilter): Promise<CheckpointPage> {
    const query = toQuery(filter);
    const slice = await this.read((store) => store.list(query), { records: [] });
    const items = slice.records.map((record) => toInfo(record, this.settings.codec));
    return slice.next === undefined ? { items } : { items, next: fromPosition(slice.next) };
  }

  /** Accepts lanes of the app and lanes in the store: checkpoints of a removed lane can be listed and removed. */
  private async requireKnown(lane: string | undefined): Promise<void> {
    const { lanes, clock } = this.settings;
    if (lane === undefined || lanes.includes(lane) || this.saver.isClosed) return;
    const stored = Object.keys((await this.read((store) => store.usage(clock.now()), NO_USAGE)).lanes);
    if (!stored.includes(lane)) throw new UnknownLaneError(lane, [...new Set([...lanes, ...stored])]);
  }

  private async mark(id: string, mark: 'pinned' | 'unpinned', version: number | undefined): Promise<boolean> {
    this.requireRef(id, version);
    return this.saver.write((store) => store.mark(id, mark, version));
  }

  private requireRef(id: string, version: number | undefined): void {
    requireName(id, 'id');
    if (version !== undefined) requireVersion(version);
  }

  private forked(
    { record, state }: ValidVersion,
    to: string,
    { workflow, lane = record.lane }: { readonly workflow: string | undefined; readonly lane: string | undefined },
  ): PreparedSave {
    const { step, metadata, sizeBytes, checksum } = record;
    const { clock, codec, savedBy } = this.settings;
    const parent = { id: record.id, version: record.version };
    const labels = labelsOfRecord(codec, record);
    const given = { lane, workflow, step, metadata, labels, sizeBytes, checksum, parent, savedBy };
    const draft = defined({ id: to, savedAt: clock.now(), ...given });
    return { draft, bytes: state };
  }

  private async read<T>(call: (store: CheckpointStore) => Promise<T>, whenClosed: T): Promise<T> {
    return this.saver.isClosed ? whenClosed : call(this.settings.store()).catch(throwUnavailable);
  }
}

function requireLane(lane: string, lanes: readonly string[]): void {
  if (!lanes.includes(lane)) throw new UnknownLaneError(lane, lanes);
}

const nothingToFork = (from: string, version: number | undefined): LaneCacheError =>
  new LaneCacheError(
    'CHECKPOINT_INVALID',
    `There is ${version === undefined ? 'no checkpoint' : `no version ${version} of checkpoint`} '${from}' to fork from.`,
    { key: from, field: 'from' },
  );

/** A record as callers see it. */
function toInfo(record: CheckpointRecord, codec: ValueCodec): CheckpointInfo {
  const { id, version, lane, workflow, step, savedAt, expiresAt, sizeBytes, checksum, pinned } = record;
  const { parent, savedBy, durationMs, storedBytes } = record;
  const metadata = record.metadata === undefined ? undefined : decodeMetadata(codec, record.metadata);
  return defined({
    id,
    version,
    lane,
    workflow,
    step,
    metadata,
    savedAt: iso(savedAt),
    expiresAt: expiresAt === undefined ? undefined : iso(expiresAt),
    sizeBytes,
    checksum,
    pinned,
    parent,
    savedBy,
    durationMs,
    storedBytes,
  });
}

function toStatus(usage: CheckpointUsage, store: CheckpointStoreState): CheckpointStatus {
  const lanes = Object.entries(usage.lanes).map(([lane, counts]) => [lane, toCounts(counts)] as const);
  return {
    ...toCounts(usage.total),
    state: store.state,
    ...(store.state === 'off' && { reason: store.reason }),
    lanes: Object.fromEntries(lanes),
  };
}

const toCounts = ({ ids, versions, bytes, oldest, newest }: UsageCounts): CheckpointCounts =>
  defined({
    cachedCheckpoints: ids,
    versions,
    bytes,
    oldest: oldest === undefined ? undefined : iso(oldest),
    newest: newest === undefined ? undefined : iso(newest),
  });

const iso = (ms: number): string => new Date(ms).toISOString();
