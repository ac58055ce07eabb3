import { nextTurn } from '../clock/clock.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import { CheckpointConflictError } from '../errors/checkpoint.errors.js';
import { isLaneCacheError, LaneCacheError } from '../errors/lane-cache.error.js';
import type { EventSink } from '../events/event-map.js';
import { toMilliseconds } from '../lanes/units.js';
import { CheckpointCleaner } from './checkpoint-cleaner.js';
import { decodeState, RestoreSearch, type RestoreQuery, type ValidVersion } from './checkpoint-restore.js';
import {
  hasExpired,
  type CheckpointRecord,
  type CheckpointStore,
  type CheckpointStoreState,
  type CheckpointUsage,
  type UsageCounts,
} from './checkpoint-store.js';
import {
  fromPosition,
  GET_OPTIONS,
  HISTORY_OPTIONS,
  ITERATE_FILTER,
  LIST_FILTER,
  requireCount,
  requireName,
  RESTORE_OPTIONS,
  SAVE_OPTIONS,
  toCleanup,
  toDraft,
  toQuery,
  type DraftSettings,
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
  RestoreCheckpointOptions,
  SaveCheckpointOptions,
} from './checkpoint.js';
import { asUnavailable, NO_USAGE } from './unavailable-checkpoint-store.js';

/** What the service works with. */
export interface CheckpointSettings extends DraftSettings, WarningSettings {
  /** Called at each use: another store takes over when the directory changes hands. */
  readonly store: () => CheckpointStore;
  readonly events: EventSink;
}

/**
 * Durable versions of workflow state. They are never evicted, and clearing the cache leaves them.
 *
 * Ids are any text of 1 byte to 1 KB and are global to the directory; lane and workflow are labels of a version.
 * Calls reject with `CHECKPOINT_INVALID` on bad arguments and with `CHECKPOINTS_UNAVAILABLE` where checkpoints cannot be
 * read or written. After the app was closed reads find nothing and writes reject with `CLOSED`.
 */
export class CheckpointService {
  private readonly warnings: SaveWarnings;

  constructor(private readonly settings: CheckpointSettings) {
    this.warnings = new SaveWarnings(settings);
  }

  /**
   * Saves `state` as the next version of `id`. Resolves once it is durable. The state is encoded during the call, so
   * later changes to it are not saved. Rejects with `CheckpointConflictError`, `CheckpointTooLargeError`,
   * `CHECKPOINT_UNSTORABLE` (part of the value cannot be stored faithfully), `LANE_UNKNOWN` or `TTL_INVALID`, and then
   * stores nothing.
   */
  async cacheCheckpoint(
    id: string,
    state: unknown,
    options: string | SaveCheckpointOptions = {},
  ): Promise<CheckpointInfo> {
    const wanted = SAVE_OPTIONS.read(typeof options === 'string' ? { lane: options } : options);
    const { codec, events } = this.settings;
    const { draft, bytes } = toDraft(this.settings, id, state, wanted);
    this.warnings.noteSize(id, bytes.length);
    const saving = this.write((store) => store.save(draft, bytes, wanted.expectedVersion));
    const saved = await this.warnings.during(saving, bytes.length);
    if (saved.outcome === 'conflict') {
      throw new CheckpointConflictError(id, wanted.expectedVersion ?? 0, saved.currentVersion);
    }
    events.emit('checkpoint', { action: 'saved', id, version: saved.record.version });
    return toInfo(saved.record, codec);
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

  /** The versions of `id`, newest first, without states. */
  async history(id: string, options?: { readonly limit?: number }): Promise<readonly CheckpointInfo[]> {
    const { limit = Infinity } = HISTORY_OPTIONS.read(options);
    requireName(id, 'id');
    const records = await this.read((store) => store.history(id, limit), []);
    return records.map((record) => toInfo(record, this.settings.codec));
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
    const versions = await this.write((store) => store.remove(id, version));
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
   * Works in small transactions: it blocks nothing, and may be killed and repeated.
   */
  async cleanupOldCheckpoints(options: number | CleanupOptions = {}): Promise<CleanupReport> {
    const rules = toCleanup(options);
    await this.requireKnown(rules.lane);
    const { store, clock, events } = this.settings;
    const cleaner = new CheckpointCleaner(store, clock, events);
    const { records, newestOfId, ...tally } = await this.write(() => cleaner.clean(rules));
    const report = { ...tally, dryRun: rules.dryRun ?? false };
    events.emit('cleanup', { ...report, newestOfId });
    if (!report.dryRun) return report;
    return { ...report, checkpoints: records.map((record) => toInfo(record, this.settings.codec)) };
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
    if (found !== undefined) events.emit('checkpoint', { action: 'restored', id, version: found.record.version });
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
    if (lane === undefined || lanes.includes(lane) || this.isClosed) return;
    const stored = Object.keys((await this.read((store) => store.usage(clock.now()), NO_USAGE)).lanes);
    if (!stored.includes(lane)) throw new UnknownLaneError(lane, [...new Set([...lanes, ...stored])]);
  }

  private async mark(id: string, mark: 'pinned' | 'unpinned', version: number | undefined): Promise<boolean> {
    this.requireRef(id, version);
    return this.write((store) => store.mark(id, mark, version));
  }

  private requireRef(id: string, version: number | undefined): void {
    requireName(id, 'id');
    if (version !== undefined) requireCount(version, 'version', 1);
  }

  private get isClosed(): boolean {
    const { state } = this.settings.store();
    return state.state === 'off' && state.reason === 'closed';
  }

  private async read<T>(call: (store: CheckpointStore) => Promise<T>, whenClosed: T): Promise<T> {
    return this.isClosed ? whenClosed : call(this.settings.store()).catch(throwUnavailable);
  }

  private async write<T>(call: (store: CheckpointStore) => Promise<T>): Promise<T> {
    if (!this.isClosed) return call(this.settings.store()).catch(throwUnavailable);
    throw new LaneCacheError('CLOSED', 'The app was closed: nothing can be saved or removed any more.');
  }
}

const throwUnavailable = (error: unknown): never => {
  throw asUnavailable(error);
};

interface WarningSettings {
  /** Sizes of states in bytes. Default 1 MB. */
  readonly warnStateBytes?: number;
  /** Called once per id whose state takes `warnStateBytes` or more, and once when saves pile up. */
  readonly warn?: (message: string) => void;
}

const DEFAULT_WARN_STATE_BYTES = 1024 ** 2;
const MAX_REMEMBERED_IDS = 1_000;
const BACKLOG_WARNING_BYTES = 64 * 1024 ** 2;

/**
 * Warns of large states, and of saves that come faster than the disk writes them. Such saves are not delayed, because
 * each state is encoded at its call, and not refused, because many workflows may save at the same moment.
 */
class SaveWarnings {
  private readonly warnedIds = new Set<string>();
  private waitingBytes = 0;
  private hasWarnedOfBacklog = false;

  constructor(private readonly settings: WarningSettings) {}

  noteSize(id: string, sizeBytes: number): void {
    const { warn, warnStateBytes = DEFAULT_WARN_STATE_BYTES } = this.settings;
    if (warn === undefined || sizeBytes < warnStateBytes || this.warnedIds.has(id)) return;
    if (this.warnedIds.size === MAX_REMEMBERED_IDS) this.warnedIds.clear();
    this.warnedIds.add(id);
    warn(
      `The state of checkpoint '${id}' takes ${sizeBytes} bytes. Each save and restore blocks the event loop while it is encoded or decoded. Save references to large data instead of the data.`,
    );
  }

  /** Settles as `saving` does. Until then `bytes` count as waiting. */
  async during<T>(saving: Promise<T>, bytes: number): Promise<T> {
    this.waitingBytes += bytes;
    if (this.waitingBytes > BACKLOG_WARNING_BYTES && this.waitingBytes > bytes) this.warnOfBacklog();
    try {
      return await saving;
    } finally {
      this.waitingBytes -= bytes;
    }
  }

  private warnOfBacklog(): void {
    if (this.hasWarnedOfBacklog) return;
    this.hasWarnedOfBacklog = true;
    this.settings.warn?.(
      `Checkpoints of ${this.waitingBytes} bytes wait in memory because the disk is slower than the saves. Await each save before the next one.`,
    );
  }
}

/** A record as callers see it. */
function toInfo(record: CheckpointRecord, codec: ValueCodec): CheckpointInfo {
  const { id, version, lane, workflow, step, savedAt, expiresAt, sizeBytes, checksum, pinned } = record;
  const metadata = record.metadata === undefined ? undefined : decodeMetadata(codec, record.metadata);
  return {
    id,
    version,
    lane,
    ...(workflow !== undefined && { workflow }),
    ...(step !== undefined && { step }),
    ...(metadata !== undefined && { metadata }),
    savedAt: iso(savedAt),
    ...(expiresAt !== undefined && { expiresAt: iso(expiresAt) }),
    sizeBytes,
    checksum,
    pinned,
  };
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

const toCounts = ({ ids, versions, bytes, oldest, newest }: UsageCounts): CheckpointCounts => ({
  cachedCheckpoints: ids,
  versions,
  bytes,
  ...(oldest !== undefined && { oldest: iso(oldest) }),
  ...(newest !== undefined && { newest: iso(newest) }),
});

/** Undefined where this app cannot rebuild it: one item must not make a listing fail. */
function decodeMetadata(codec: ValueCodec, encoded: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const metadata = codec.decode(Buffer.from(encoded, 'base64'));
    return isRecord(metadata) ? metadata : undefined;
  } catch {
    return undefined;
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

const iso = (ms: number): string => new Date(ms).toISOString();
