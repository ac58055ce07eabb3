import {
  CheckpointConflictError,
  CheckpointTooLargeError,
  CheckpointDamagedError,
} from '../errors/checkpoint.errors.js';
import { isLaneCacheError, LaneCacheError } from '../errors/lane-cache.error.js';
import { toMilliseconds, type Duration } from '../lanes/units.js';
import { CheckpointCleaner } from './checkpoint-cleaner.js';
import {
  toInfo,
  toStatus,
  type Checkpoint,
  type CheckpointFilter,
  type CheckpointInfo,
  type CheckpointPage,
  type CheckpointStatus,
  type CleanupOptions,
  type CleanupReport,
  type RestoreCheckpointOptions,
  type SaveCheckpointOptions,
  decodeState,
  checksumOf,
  encodeOrRefuse,
} from './checkpoint.js';
import {
  fromPosition,
  GET_OPTIONS,
  HISTORY_OPTIONS,
  ITERATE_FILTER,
  LIST_FILTER,
  RESTORE_OPTIONS,
  SAVE_OPTIONS,
  requireCount,
  requireName,
  toCleanup,
  toQuery,
  invalid,
  requireStep,
} from './checkpoint-validation.js';
import { hasExpired } from './local/checkpoint-rows.js';
import type {
  CheckpointStore,
  CheckpointDraft,
  CheckpointRecord,
  ReadOutcome,
  VersionSelector,
} from './checkpoint-store.js';
import { asUnavailable, NO_USAGE } from './unavailable-checkpoint-store.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import { type Clock, nextTurn } from '../clock/clock.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import type { EventSink } from '../events/event-map.js';

/**
 * Durable versions of workflow state: never evicted, never touched by clearing the cache.
 *
 * Ids are any text of 1 byte to 1 KB and are global to the directory; lane and workflow are labels of a version.
 * Calls reject with `CHECKPOINT_INVALID` on bad arguments and with `CHECKPOINTS_UNAVAILABLE` where checkpoints cannot be
 * read or written; after the app was closed reads find nothing and writes reject with `CLOSED`.
 */
export class CheckpointService {
  private readonly drafts: CheckpointBuilder;
  private readonly backlog: SaveBacklog;

  constructor(private readonly settings: CheckpointSettings) {
    this.drafts = new CheckpointBuilder(settings);
    this.backlog = new SaveBacklog(settings.warn);
  }

  /**
   * Saves `state` as the next version of `id`; resolves once it is durable. The state is taken as it is at the call.
   * Rejects with `CheckpointConflictError`, `CheckpointTooLargeError`, `CHECKPOINT_UNSTORABLE` (the value holds what
   * cannot be stored faithfully), `LANE_UNKNOWN`, `TTL_INVALID`; nothing is stored then.
   */
  async cacheCheckpoint(
    id: string,
    state: unknown,
    options: string | SaveCheckpointOptions = {},
  ): Promise<CheckpointInfo> {
    const wanted = SAVE_OPTIONS.read(typeof options === 'string' ? { lane: options } : options);
    const { codec, events } = this.settings;
    const { draft, bytes } = this.drafts.make(id, state, wanted);
    const saving = this.write((store) => store.save(draft, bytes, wanted.expectedVersion));
    const saved = await this.backlog.hold(bytes.length, saving);
    if (saved.outcome === 'conflict') {
      throw new CheckpointConflictError(id, wanted.expectedVersion ?? 0, saved.currentVersion);
    }
    events.emit('checkpoint', { action: 'saved', id, version: saved.record.version });
    return toInfo(saved.record, codec);
  }

  /**
   * A fresh, mutable copy of the newest version, or of the one asked for; undefined when there is none, when it has
   * outlived its ttl or is older than `maxAge`. Rejects with `CheckpointDamagedError` when the bytes are not those that
   * were saved, unless `fallback` asks for the newest valid version before it.
   */
  async restoreCheckpoint<T = unknown>(id: string, options?: RestoreCheckpointOptions): Promise<T | undefined> {
    const found = await this.find(id, RESTORE_OPTIONS.read(options));
    return found === undefined ? undefined : decodeState<T>(this.settings.codec, found.record, found.state);
  }

  /** As `restoreCheckpoint`, with what was noted about the version. */
  async getCheckpoint<T = unknown>(
    id: string,
    options?: { readonly version?: number },
  ): Promise<Checkpoint<T> | undefined> {
    const found = await this.find(id, GET_OPTIONS.read(options));
    if (found === undefined) return undefined;
    const { codec } = this.settings;
    return { ...toInfo(found.record, codec), state: decodeState<T>(codec, found.record, found.state) };
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

  /** All that `list` would give, page by page. */
  async *iterate(filter?: Omit<CheckpointFilter, 'after' | 'limit'>): AsyncGenerator<CheckpointInfo, void, undefined> {
    const asked = ITERATE_FILTER.read(filter);
    await this.requireKnown(asked.lane);
    let page = await this.page({ ...asked, limit: 200 });
    yield* page.items;
    while (page.next !== undefined) {
      // a consumer that never waits must not keep the event loop to itself
      await nextTurn();
      page = await this.page({ ...asked, limit: 200, after: page.next });
      yield* page.items;
    }
  }

  /** Removes a version, or all of the id, pinned ones too. Resolves with how many went. */
  async invalidateCheckpoint(id: string, version?: number): Promise<number> {
    this.requireRef(id, version);
    const versions = await this.write((store) => store.remove(id, version));
    for (const one of versions) this.settings.events.emit('checkpoint', { action: 'removed', id, version: one });
    return versions.length;
  }

  /** Keeps a version, or the newest, out of every cleanup. Resolves with whether there was one. */
  pin(id: string, version?: number): Promise<boolean> {
    return this.mark(id, 'pinned', version);
  }

  /** Undoes `pin` for a version, or for all of the id. Resolves with whether there was one. */
  unpin(id: string, version?: number): Promise<boolean> {
    return this.mark(id, 'unpinned', version);
  }

  /**
   * Removes versions older than `maxAgeDays` (7; one of exactly that age stays) and those that have expired, never
   * pinned ones. Works in small transactions: it blocks nothing, and may be killed and repeated.
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

  /** From counts kept with every change. Off, with the reason, where checkpoints cannot be used; never rejects for that. */
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
    const query: StateQuery = {
      selector: options.version === undefined ? { asOf: now } : { version: options.version },
      now,
      maxAge: options.maxAge === undefined ? undefined : toMilliseconds(options.maxAge, { key: id, field: 'maxAge' }),
      onDamage: options.fallback === true ? 'fall-back' : 'refuse',
    };
    const { events } = this.settings;
    const found = await this.read((store) => new ValidVersions(store, events).find(id, query), undefined);
    if (found !== undefined) events.emit('checkpoint', { action: 'restored', id, version: found.record.version });
    return found;
  }

  private async page(filter: CheckpointFilter): Promise<CheckpointPage> {
    const query = toQuery(filter);
    const slice = await this.read((store) => store.list(query), { records: [] });
    const items = slice.records.map((record) => toInfo(record, this.settings.codec));
    return slice.next === undefined ? { items } : { items, next: fromPosition(slice.next) };
  }

  /** A lane of the app, or one that is found in the store: what a removed lane left can be listed and removed. */
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

  private async read<T>(ask: (store: CheckpointStore) => Promise<T>, nothing: T): Promise<T> {
    if (this.isClosed) return nothing;
    return ask(this.settings.store()).catch((error: unknown) => {
      throw asUnavailable(error);
    });
  }

  private async write<T>(ask: (store: CheckpointStore) => Promise<T>): Promise<T> {
    if (this.isClosed)
      throw new LaneCacheError('CLOSED', 'The app was closed: nothing can be saved or removed any more.');
    return ask(this.settings.store()).catch((error: unknown) => {
      throw asUnavailable(error);
    });
  }
}

const MAX_METADATA_BYTES = 64 * 1024;
const MAX_REMEMBERED_WARNINGS = 1_000;

/** Turns what a caller wants saved into what the store is handed, or refuses it. */
class CheckpointBuilder {
  private readonly warned = new Set<string>();

  constructor(private readonly settings: Omit<CheckpointSettings, 'store' | 'events'>) {}

  make(
    id: string,
    state: unknown,
    options: SaveCheckpointOptions,
  ): { readonly draft: CheckpointDraft; readonly bytes: Uint8Array } {
    const { clock, defaultLane, lanes } = this.settings;
    const { lane = defaultLane, workflow, step, metadata, ttl } = options;
    requireName(id, 'id');
    if (!lanes.includes(lane)) throw new UnknownLaneError(lane, lanes);
    if (workflow !== undefined) requireName(workflow, 'workflow');
    requireStep(step);
    const life = ttl === undefined ? undefined : requireLife(ttl, id);
    const bytes = this.encodeState(id, state);
    const savedAt = clock.now();
    const draft: CheckpointDraft = {
      id,
      lane,
      ...(workflow !== undefined && { workflow }),
      ...(step !== undefined && { step }),
      ...(metadata !== undefined && { metadata: this.encodeMetadata(id, metadata) }),
      savedAt,
      ...(life !== undefined && { expiresAt: savedAt + life }),
      sizeBytes: bytes.length,
      checksum: checksumOf(bytes),
    };
    return { draft, bytes };
  }

  private encodeState(id: string, state: unknown): Uint8Array {
    const { codec, maxStateBytes = 64 * 1024 ** 2, warnStateBytes = 1024 ** 2 } = this.settings;
    const bytes = encodeOrRefuse(codec, state, id, 'state');
    if (bytes.length > maxStateBytes) throw new CheckpointTooLargeError(id, bytes.length, maxStateBytes);
    if (bytes.length >= warnStateBytes) this.warnOnce(id, bytes.length);
    return bytes;
  }

  private warnOnce(id: string, sizeBytes: number): void {
    if (this.settings.warn === undefined || this.warned.has(id)) return;
    if (this.warned.size === MAX_REMEMBERED_WARNINGS) this.warned.clear();
    this.warned.add(id);
    this.settings.warn(
      `The state of checkpoint '${id}' takes ${sizeBytes} bytes. Each save and restore blocks the event loop while it is encoded or decoded: save references to what is large, not the thing itself.`,
    );
  }

  private encodeMetadata(id: string, metadata: unknown): string {
    const bytes = encodeOrRefuse(this.settings.codec, metadata, id, 'metadata');
    if (bytes.length > MAX_METADATA_BYTES) {
      throw invalid(
        'metadata',
        `takes ${bytes.length} bytes; ${MAX_METADATA_BYTES} is the most. Put it into the state`,
      );
    }
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  }
}

function requireLife(ttl: Duration, id: string): number {
  const ms = toMilliseconds(ttl, { key: id });
  if (ms > 0) return ms;
  throw new LaneCacheError('TTL_INVALID', `The ttl of checkpoint '${id}' is 0: it would never be restored.`, {
    key: id,
    field: 'ttl',
  });
}

/** What the service is wired with. Sizes in bytes. */
export interface CheckpointSettings {
  /** Asked at each call: another store takes over when the directory changes hands. */
  readonly store: () => CheckpointStore;
  readonly codec: ValueCodec;
  readonly clock: Clock;
  readonly events: EventSink;
  /** The names of the app's lanes. */
  readonly lanes: readonly string[];
  readonly defaultLane: string;
  /** Default 64 MB. */
  readonly maxStateBytes?: number;
  /** Default 1 MB. */
  readonly warnStateBytes?: number;
  /** Told once per id whose state takes `warnStateBytes` or more. */
  readonly warn?: (message: string) => void;
}

const WARNED_FROM_BYTES = 64 * 1024 ** 2;

/**
 * Notices when states are saved faster than the disk takes them. They are not held back, as a state is taken as it is
 * at the call, and not refused, as many workflows may save at the same moment.
 */
class SaveBacklog {
  private waitingBytes = 0;
  private isTold = false;

  constructor(private readonly warn: ((message: string) => void) | undefined) {}

  /** Counts `bytes` as waiting until `saving` has settled, and gives what it gives. */
  async hold<T>(bytes: number, saving: Promise<T>): Promise<T> {
    this.waitingBytes += bytes;
    if (this.waitingBytes > WARNED_FROM_BYTES && this.waitingBytes > bytes) this.warnOnce();
    try {
      return await saving;
    } finally {
      this.waitingBytes -= bytes;
    }
  }

  private warnOnce(): void {
    if (this.isTold) return;
    this.isTold = true;
    this.warn?.(
      `Checkpoints of ${this.waitingBytes} bytes wait in memory to be written: the disk is slower than the saves. Await each save before the next one.`,
    );
  }
}

/** A version whose state is what was saved. */
interface ValidVersion {
  readonly record: CheckpointRecord;
  readonly state: Uint8Array;
}

interface StateQuery {
  readonly selector: VersionSelector;
  readonly now: number;
  /** Milliseconds. */
  readonly maxAge: number | undefined;
  readonly onDamage: 'refuse' | 'fall-back';
}

/** Gives out states that match their checksums, and nothing else. */
class ValidVersions {
  constructor(
    private readonly store: CheckpointStore,
    private readonly events: EventSink,
  ) {}

  /** Rejects with `CheckpointDamagedError` unless `fallback` is set. */
  async find(id: string, query: StateQuery): Promise<ValidVersion | undefined> {
    const read = await this.store.read(id, query.selector);
    if (read.outcome === 'absent') return undefined;
    const version = read.outcome === 'found' ? read.record.version : read.version;
    if (read.outcome === 'found') {
      if (!isWanted(read.record, query)) return undefined;
      if (isValid(read)) return read;
    }
    await this.report(id, version);
    if (query.onDamage === 'fall-back') return this.newestBefore(id, version, query);
    throw new CheckpointDamagedError(id, version, await this.validVersions(id, query.now));
  }

  private async newestBefore(id: string, version: number, query: StateQuery): Promise<ValidVersion | undefined> {
    for await (const valid of this.validStates(id, query.now, version)) {
      return isWanted(valid.record, query) ? valid : undefined;
    }
    return undefined;
  }

  private async validVersions(id: string, now: number): Promise<readonly number[]> {
    const versions: number[] = [];
    for await (const { record } of this.validStates(id, now, Infinity)) versions.push(record.version);
    return versions;
  }

  /** Newest first; one in memory at a time. */
  private async *validStates(id: string, now: number, before: number): AsyncGenerator<ValidVersion, void, undefined> {
    for (const version of await this.store.versions(id)) {
      if (version >= before) continue;
      const read = await this.store.read(id, { version });
      if (read.outcome === 'found' && !hasExpired(read.record, now) && isValid(read)) yield read;
      await nextTurn();
    }
  }

  private async report(id: string, version: number): Promise<void> {
    this.events.emit('checkpoint', { action: 'damaged', id, version });
    // The mark is for the counts only. The damage is reported also where the mark cannot be written.
    await this.store.mark(id, 'damaged', version).catch(() => false);
  }
}

const isWanted = (record: CheckpointRecord, { now, maxAge }: StateQuery): boolean =>
  !hasExpired(record, now) && (maxAge === undefined || now - record.savedAt <= maxAge);

const isValid = (read: Extract<ReadOutcome, { readonly outcome: 'found' }>): boolean =>
  checksumOf(read.state) === read.record.checksum;
