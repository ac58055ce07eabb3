import { type Clock, nextTurn } from '../../clock/clock.js';
import {
  compressRecord,
  decodeRecordAsync,
  type DecodedRecord,
  type RecordReader,
  RecordUnknown,
} from '../../entries/record.js';
import type { Compression } from '../../entries/compression.js';
import { EntryBatch, LARGEST_BATCH, NoChange, WriteQueue, type QueuedChange } from './write-queue.js';
import type { EntryIndex, EntryRow, SessionIndex } from './entry-index.js';
import { EntryTables, type LaneRules, type StoredRecord, LaneUsage } from './entry-tables.js';
import { type Environment, StorageFault } from '../environment.js';
import { LaneLimits, type EntryGone, RecencyLog } from './eviction.js';

const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** With more of them, a bulk write waits. */
const MANY_WAITING_BYTES = 8 * 1024 * 1024;
/** How long one slice of work may hold the event loop. */
const SLICE_MS = 2;
const SLICE_ENTRIES = 128;
/** A slice of a sweep is shorter, because handing its removals over to LMDB takes as long again as finding them. */
const SWEEP_MS = 0.8;
const SWEEP_ENTRIES = 96;
/** Enough to know what a lane keeps. */
const MANY_ENTRIES = 65_536;

export interface EntryStoreOptions {
  readonly environment: Environment;
  /** Where entries end with the process: the index of what the environment holds. Absent: it is stored beside them. */
  readonly index?: SessionIndex | undefined;
  /** The lanes that may be written. Entries of other lanes are only removed. Lanes may be added. */
  readonly lanes: ReadonlyMap<string, LaneRules>;
  readonly clock: Clock;
  /** The time by which entries live, in epoch ms. */
  readonly now: () => number;
  /** An entry was pushed out by the lane's limits, or its time was over. */
  readonly evicted: EntryGone;
  /** Called when an entry's bytes are damaged. It is being removed. */
  damaged(lane: string, key: string, error: unknown): void;
  /** Called when a commit failed, or the index is damaged. Nothing is accepted any more. `lost` holds the accepted changes that are not committed. */
  failed(fault: StorageFault, lost: readonly QueuedChange[]): void;
}

/** `unreadable`: only another release or Node can read what is stored. A promise only where a large value has to be expanded. */
export type RecordLookup = DecodedRecord | 'unreadable' | undefined | Promise<DecodedRecord | undefined>;

/**
 * Entries of all lanes in one environment, written behind the caller, within each lane's limits. What was accepted is read
 * from here on, before it is committed.
 */
export class EntryStore {
  private readonly tables: EntryTables;
  private readonly counts: LaneUsage;
  private readonly recency = new RecencyLog();
  private readonly queue: WriteQueue;
  private readonly pending = new PendingChanges();
  private readonly limits: LaneLimits;
  private batchStarted = 0;

  /** Throws `StorageFault` when the environment cannot be read. */
  constructor(private readonly options: EntryStoreOptions) {
    this.tables = new EntryTables(options.environment, options.index);
    this.counts = new LaneUsage(this.tables.usage);
    this.limits = new LaneLimits(this.tables.index, this.counts, options.evicted);
    this.queue = new WriteQueue({
      clock: options.clock,
      commit: (fill) => this.commit(fill),
      isSpent: () => this.isSpent(),
      failed: (fault, lost) => options.failed(fault, lost),
    });
  }

  /** Epoch ms of the last write before this store was opened; 0 for none. */
  get seenAt(): number {
    return this.counts.seenAt;
  }

  /** As `peek`, and notes the use. */
  read(lane: string, key: string): RecordLookup {
    const found = this.peek(lane, key);
    if (found !== undefined && found !== 'unreadable') this.touch(lane, key);
    return found;
  }

  /** As `read`, by a reader that wants the value, and no bytes of the record. What it cannot read is read as by `read`. */
  readValue(lane: string, key: string, reader: RecordReader): RecordLookup {
    if (this.pending.latest(lane, key) !== undefined) return this.read(lane, key);
    const bytes = this.tables.borrow(lane, key);
    if (bytes === undefined) return undefined;
    const record = reader.read(bytes, key);
    if (record === undefined) return this.read(lane, key);
    this.touch(lane, key);
    return record;
  }

  /**
   * What is stored under the key or waits to be, verified; `undefined` for nothing, for another key of the same hash, and
   * for damage.
   */
  peek(lane: string, key: string): RecordLookup {
    try {
      const latest = this.pending.latest(lane, key);
      const bytes = latest === undefined ? this.tables.record(lane, key) : latest.bytes;
      if (bytes === undefined) return undefined;
      const opened = decodeRecordAsync(bytes);
      if (!(opened instanceof Promise)) return opened.key === key ? opened : undefined;
      return opened.then(
        (record) => (record.key === key ? record : undefined),
        (error: unknown) => this.dropDamaged(lane, key, error),
      );
    } catch (error) {
      return error instanceof RecordUnknown ? 'unreadable' : this.dropDamaged(lane, key, error);
    }
  }

  /** Notes a use. It counts from the next batch on, and always before anything is evicted. */
  touch(lane: string, key: string): void {
    this.recency.note(lane, key);
    if (this.recency.areDue && this.queue.isIdle) this.queue.push(new NoChange());
  }

  put(lane: string, record: StoredRecord, settled?: (fault: StorageFault | undefined) => void): 'queued' | 'backlog' {
    const rules = this.options.lanes.get(lane);
    if (rules === undefined) throw new TypeError(`The store has no rules for lane '${lane}'.`);
    if (this.queue.waitingBytes >= MAX_WAITING_BYTES) return 'backlog';
    const put = new QueuedPut({ lane, record, rules }, this.limits, this.pending, settled);
    this.pending.add(put);
    this.queue.push(put);
    return 'queued';
  }

  /** Resolves to whether there was an entry, once it is gone for every later read. */
  async remove(lane: string, key: string): Promise<boolean> {
    return (await this.removeKeys(lane, [key])) > 0;
  }

  /** As `remove`, of a few keys in one transaction. Resolves to how many entries there were. */
  async removeKeys(lane: string, keys: readonly string[]): Promise<number> {
    const keeper = this.options.lanes.get(lane)?.keeper;
    for (const key of keys) keeper?.removed(key);
    const removals: PendingChange[] = [];
    for (const key of keys) {
      if (this.pending.latest(lane, key) === undefined && !this.tables.has(lane, key)) continue;
      removals.push({ lane, key, bytes: undefined });
    }
    if (removals.length === 0) return 0;
    let found = 0;
    for (const removal of removals) this.pending.add(removal);
    try {
      await this.change({ isRemoval: true }, (batch) => {
        for (const { key } of removals) if (batch.remove(lane, key)) found++;
      });
    } finally {
      for (const removal of removals) this.pending.end(removal);
    }
    return found;
  }

  /** Removes entries in slices. Resolves once they are gone for every later read. */
  async removeAll(places: readonly EntryPlace[]): Promise<void> {
    let next = 0;
    await this.change({ isRemoval: true, standsAlone: true }, (batch) => {
      for (const { lane, key } of places.slice(next, next + SLICE_ENTRIES)) batch.remove(lane, key);
      next += SLICE_ENTRIES;
      return next < places.length;
    });
  }

  /** Resolves to how many entries were removed, of those that were there after all that was queued before. */
  async removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number> {
    let removed = 0;
    let from = 0;
    let unseen: number | undefined;
    await this.change({ isRemoval: true, standsAlone: true }, (batch) => {
      unseen ??= this.counts.of(lane).entries;
      do {
        const rows = this.tables.index.leastRecent(lane, from, SLICE_ENTRIES);
        if (rows.length === 0) {
          if (unseen <= 0) return false;
          throw new StorageFault('damaged', `the index of lane '${lane}' misses ${unseen} entries`);
        }
        for (const row of rows) {
          unseen--;
          if (matches(row.key, row.tags) && batch.remove(lane, row.key)) removed++;
          from = row.sequence + 1;
          if (this.isSpent()) return true;
        }
      } while (!this.isSpent());
      return true;
    });
    return removed;
  }

  /** Other rows of the same environment, in order and in one transaction with entries. */
  async append(fill: (batch: EntryBatch) => void): Promise<void> {
    await this.change({ isRemoval: true, sparesEntries: true }, fill);
  }

  /** Writes the rows that the store needs, which also shows that it can write. */
  async begin(fill: (batch: EntryBatch) => void): Promise<void> {
    await this.change({ sparesEntries: true }, (batch) => {
      batch.isProbe = true;
      fill(batch);
    });
  }

  /** One round: removes expired entries, those beyond the limits, and all entries of a lane without rules. */
  async sweep(lane: string): Promise<{ readonly expired: number; readonly evicted: number }> {
    const rules = this.options.lanes.get(lane);
    if (rules === undefined) return { expired: 0, evicted: await this.removeMatching(lane, () => true) };
    const expired = await this.inSweepSlices((batch, isSpent) =>
      this.limits.removeExpired(batch, lane, SWEEP_ENTRIES, isSpent),
    );
    const evicted = await this.inSweepSlices((batch, isSpent) => {
      let gone = 0;
      while (this.limits.enforce(batch, lane, rules, 1) > 0) if (++gone === SWEEP_ENTRIES || isSpent()) break;
      return gone;
    });
    return { expired, evicted };
  }

  /**
   * Removes in slices, until one removes nothing, and returns how many entries went. Each slice queues up for itself: what is
   * accepted meanwhile does not wait for the whole sweep.
   */
  private async inSweepSlices(remove: (batch: EntryBatch, isSpent: () => boolean) => number): Promise<number> {
    let all = 0;
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- one slice after another is the point
      const removed = await this.sweepSlice(remove);
      if (removed === 0) return all;
      all += removed;
    }
  }

  private async sweepSlice(remove: (batch: EntryBatch, isSpent: () => boolean) => number): Promise<number> {
    const { clock } = this.options;
    let removed = 0;
    await this.change({ standsAlone: true }, (batch) => {
      const until = clock.monotonic() + SWEEP_MS;
      removed = remove(batch, () => clock.monotonic() >= until);
    });
    return removed;
  }

  /** Frees what dead readers hold, and shrinks a large file that is mostly unused. */
  async tend(): Promise<void> {
    const { environment } = this.options;
    environment.checkReaders();
    if (!isWorthCompacting(environment)) return;
    await new Promise<void>((resolve, reject) => {
      this.queue.push(new QueuedCompaction(environment, (fault) => (fault === undefined ? resolve() : reject(fault))));
    });
  }

  /** What `keepEviction` was given last. */
  evictionState(lane: string): string | undefined {
    const bytes = this.tables.eviction.get(lane);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
  }

  /** Keeps what the lane's eviction goes on with after a restart. */
  async keepEviction(lane: string, state: string): Promise<void> {
    await this.change({ sparesEntries: true }, (batch) => batch.set(this.tables.eviction, lane, Buffer.from(state)));
  }

  /** As `entries`, of a large lane only those that were used last. */
  recentEntries(lane: string): AsyncGenerator<EntryRow> {
    const { entries, sequence } = this.counts.of(lane);
    return this.entries(lane, entries > MANY_ENTRIES ? sequence - MANY_ENTRIES : 0);
  }

  /** The lane's entries, the least recently used first, each once. Entries that change during the listing may be missing. */
  async *entries(lane: string, first = 0): AsyncGenerator<EntryRow> {
    const seen = new Set<string>();
    for (let from = first; ; await nextTurn()) {
      const rows = this.listed((index) => index.leastRecent(lane, from, SLICE_ENTRIES));
      for (const row of rows) {
        if (seen.has(row.key)) continue;
        seen.add(row.key);
        yield row;
      }
      const last = rows.at(-1);
      if (last === undefined) return;
      from = last.sequence + 1;
    }
  }

  /** At most `limit` entries that were used before sequence `before`, the most recently used first. */
  mostRecent(lane: string, before: number, limit: number): readonly EntryRow[] {
    return this.listed((index) => index.mostRecent(lane, before, limit));
  }

  usage(lane: string): { readonly entries: number; readonly sizeBytes: number } {
    const { entries, sizeBytes } = this.counts.of(lane);
    return { entries, sizeBytes };
  }

  /** Whether the index knows what is stored. It does not know a commit that was given up, and was made all the same. */
  get isIndexed(): boolean {
    const { index } = this.options;
    return index === undefined || this.counts.lanes().every((lane) => index.agrees(lane, this.counts.of(lane)));
  }

  /** No entry is there, and none on its way. */
  get isEmpty(): boolean {
    return !this.queue.changesEntries && this.lanes().length === 0;
  }

  /** Lanes that hold something, known to the options or not. */
  lanes(): readonly string[] {
    return this.counts.lanes().filter((lane) => this.counts.of(lane).entries > 0);
  }

  /** Resolves when all accepted changes are committed or given up. */
  flush(): Promise<void> {
    this.recency.ask();
    if (!this.recency.isEmpty && this.queue.isIdle) this.queue.push(new NoChange());
    return this.queue.drained();
  }

  /** Undefined while not much waits. Else resolves when some of it is committed or given up. */
  whenRoom(): Promise<void> | undefined {
    return this.queue.waitingBytes < MANY_WAITING_BYTES ? undefined : this.queue.progress();
  }

  /** Accepts nothing any more, and gives up what waits. */
  stop(fault: StorageFault): readonly QueuedChange[] {
    return this.queue.stop(fault);
  }

  /** Nobody who lists entries can do anything about a damaged index, which ends the store. */
  private listed(read: (index: EntryIndex) => readonly EntryRow[]): readonly EntryRow[] {
    try {
      return read(this.tables.index);
    } catch (error) {
      if (!(error instanceof StorageFault)) throw error;
      this.options.failed(error, this.stop(error));
      return [];
    }
  }

  private dropDamaged(lane: string, key: string, error: unknown): undefined {
    this.options.damaged(lane, key, error);
    this.remove(lane, key).catch(() => undefined);
  }

  /** If the batch may evict, noted uses are written first, so that the least recently used entry is evicted. */
  private async commit(fill: (batch: EntryBatch) => void): Promise<void> {
    this.limits.startBatch();
    const { lanes } = this.options;
    const batch = new EntryBatch(this.tables, this.counts, this.options.now(), (lane) => lanes.get(lane)?.keeper);
    this.batchStarted = this.options.clock.monotonic();
    const usesFirst = this.recency.areDue || this.limits.mayEvict(this.options.lanes, LARGEST_BATCH);
    if (usesFirst) this.recency.applyTo(batch, () => this.isSpent());
    if (!usesFirst || this.recency.isEmpty) fill(batch);
    if (batch.isEmpty) await nextTurn();
    else await this.options.environment.commit((transaction) => batch.writeTo(transaction));
    batch.committed();
  }

  private isSpent(): boolean {
    return this.options.clock.monotonic() - this.batchStarted > SLICE_MS;
  }

  private change(
    {
      isRemoval = false,
      sparesEntries = false,
      standsAlone = false,
    }: Partial<Pick<QueuedChange, 'isRemoval' | 'sparesEntries' | 'standsAlone'>>,
    apply: (batch: EntryBatch) => unknown,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.queue.push({
        sizeBytes: 0,
        isRemoval,
        sparesEntries,
        standsAlone,
        apply: (batch) => apply(batch) === true,
        settle: (fault) => (fault === undefined ? resolve() : reject(fault)),
      });
    });
  }
}

/** Where an entry lies. */
export interface EntryPlace {
  readonly lane: string;
  readonly key: string;
}

/** The change of a key that waits: the bytes of its record, or none for a removal. */
interface PendingChange extends EntryPlace {
  readonly bytes: Uint8Array | undefined;
}

/** The latest change of each key that was accepted and is not settled. */
class PendingChanges {
  private readonly lanes = new Map<string, Map<string, PendingChange>>();

  latest(lane: string, key: string): PendingChange | undefined {
    return this.lanes.get(lane)?.get(key);
  }

  add(change: PendingChange): void {
    let changes = this.lanes.get(change.lane);
    if (changes === undefined) this.lanes.set(change.lane, (changes = new Map()));
    changes.set(change.key, change);
  }

  /** From now on the tables are read, unless a later change of the key waits. */
  end(change: PendingChange): void {
    const changes = this.lanes.get(change.lane);
    if (changes?.get(change.key) === change) changes.delete(change.key);
  }
}

/** Up to this size, compressing takes a fraction of a millisecond, and is done while the batch is filled. */
const COMPRESS_LATE_BYTES = 32 * 1024;
/** So many entries are evicted in one slice: a large entry can evict thousands of small ones. */
const EVICTED_AT_ONCE = 128;

/** An entry waiting to be written; it is compressed on the way, off the caller's path. */
class QueuedPut implements QueuedChange, PendingChange {
  ready: Promise<void> | undefined;
  readonly lane: string;
  readonly key: string;
  /** As it was accepted. */
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  readonly mayWait: boolean;
  private readonly record: StoredRecord;
  private readonly rules: LaneRules;
  private toStore: Uint8Array;
  private compressLate: Compression | undefined;
  private isPut = false;

  constructor(
    { lane, record, rules }: { readonly lane: string; readonly record: StoredRecord; readonly rules: LaneRules },
    private readonly limits: LaneLimits,
    private readonly pending: PendingChanges,
    private readonly settled: ((fault: StorageFault | undefined) => void) | undefined,
  ) {
    this.lane = lane;
    this.key = record.key;
    this.record = record;
    this.rules = rules;
    this.bytes = record.bytes;
    this.sizeBytes = record.bytes.length;
    this.mayWait = settled === undefined;
    this.toStore = record.bytes;
    const { compression } = rules;
    if (compression === undefined || this.sizeBytes < compression.minBytes) return;
    if (this.sizeBytes <= COMPRESS_LATE_BYTES) this.compressLate = compression;
    else this.ready = this.compressAhead(compression);
  }

  get puts(): EntryPlace {
    return this;
  }

  settle(fault: StorageFault | undefined): void {
    this.pending.end(this);
    this.settled?.(fault);
  }

  apply(batch: EntryBatch): boolean {
    if (!this.isPut) {
      if (this.compressLate !== undefined) this.compressNow(this.compressLate);
      this.put(batch);
      this.isPut = true;
    }
    return this.limits.enforce(batch, this.lane, this.rules, EVICTED_AT_ONCE) === EVICTED_AT_ONCE;
  }

  /** A record larger than the whole lane is not stored, and the one that it would replace is removed. */
  private put(batch: EntryBatch): void {
    if (this.toStore.length > this.rules.maxBytes) batch.remove(this.lane, this.key);
    else batch.put(this.lane, this.record, this.toStore);
  }

  private compressNow(compression: Compression): void {
    try {
      const compressed = compressRecord(this.bytes, compression);
      if (compressed instanceof Uint8Array) this.toStore = compressed;
    } catch {
      // a record that cannot be compressed is stored as it is
    }
  }

  private async compressAhead(compression: Compression): Promise<void> {
    try {
      this.toStore = await compressRecord(this.bytes, compression);
    } catch {
      // a record that cannot be compressed is stored as it is
    }
    this.ready = undefined;
  }
}

const LARGE_BYTES = 64 * 1024 * 1024;
const FREE_SHARE = 0.5;

/** Whether most of a large file holds nothing. */
const isWorthCompacting = (environment: Environment): boolean => {
  const bytes = environment.fileBytes();
  return bytes >= LARGE_BYTES && environment.freeBytes() > bytes * FREE_SHARE;
};

/** Compacts in its turn: after what was queued before, and before what comes later. */
class QueuedCompaction implements QueuedChange {
  readonly sizeBytes = 0;
  readonly sparesEntries = true;
  readonly standsAlone = true;
  private compacted: Promise<void> | undefined;
  private lost: unknown;

  constructor(
    private readonly environment: Environment,
    readonly settle: (fault: StorageFault | undefined) => void,
  ) {}

  get ready(): Promise<void> {
    this.compacted ??= this.environment.compact().catch((fault: unknown) => {
      this.lost = fault;
    });
    return this.compacted;
  }

  apply(): boolean {
    if (this.lost === undefined) return false;
    throw this.lost instanceof StorageFault ? this.lost : new StorageFault('gone', 'compacting failed', this.lost);
  }
}
