import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { TierOffReason } from '../events/reasons.js';
import type { EventSink } from '../events/event-map.js';
import { StorageFault } from '../storage/environment.js';
import type { Environment } from '../storage/environment.js';
import { NO_REMOVAL, cleanSlice, removalBy } from './checkpoint-cleaning.js';
import { CheckpointLedger } from './checkpoint-ledger.js';
import { list, usage } from './checkpoint-listing.js';
import { CheckpointRows } from './checkpoint-rows.js';
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
  SaveOutcome,
  VersionSelector,
} from './checkpoint-store.js';
import { CheckpointTables, FORMAT, keyOf, pointerRow } from './checkpoint-tables.js';
import { committedRows } from './write-batch.js';
import { GroupCommit } from './group-commit.js';

const REASONS: Partial<Record<string, TierOffReason>> = {
  'disk-full': 'disk-full',
  'read-only': 'read-only',
  closed: 'closed',
};

/** Checkpoints in an LMDB environment that this process owns. */
export class LocalCheckpointStore implements CheckpointStore {
  private current: CheckpointStoreState = { state: 'on' };
  private closing: Promise<void> | undefined;
  private readonly tables: CheckpointTables;
  private readonly rows: CheckpointRows;
  private readonly queue: GroupCommit;

  /** `environment` must be durable, and nobody else may write to it. Throws `FORMAT_UNSUPPORTED` on data of a newer release. */
  constructor(
    private readonly environment: Environment,
    private readonly events: EventSink,
  ) {
    this.tables = new CheckpointTables(environment);
    this.rows = new CheckpointRows(this.tables, committedRows);
    const { format } = this.rows.store;
    if (format > FORMAT) {
      throw new LaneCacheError(
        'FORMAT_UNSUPPORTED',
        `The checkpoints in '${environment.directory}' were written in format ${format}; this release reads up to ${FORMAT}. Use the release that wrote them, or another checkpoints.directory.`,
      );
    }
    // once a later write has landed, LMDB's order says that every earlier one has landed or never will
    const settleFate = (): Promise<void> =>
      environment.commit((transaction) => transaction.put(this.tables.store, 'fence', pointerRow.seal(['fence', 0])));
    this.queue = new GroupCommit(environment, settleFate, (fault) => this.noteCommit(fault));
  }

  get state(): CheckpointStoreState {
    return this.current;
  }

  save(draft: CheckpointDraft, state: Uint8Array, expectedVersion?: number): Promise<SaveOutcome> {
    return this.write((ledger) => ledger.save(draft, state, expectedVersion), state.length);
  }

  async read(id: string, selector: VersionSelector): Promise<ReadOutcome> {
    const idKey = keyOf(id);
    const version = 'version' in selector ? selector.version : this.rows.current(idKey, selector.asOf);
    const record = this.rows.record(idKey, version);
    if (record === undefined)
      return this.isThere(idKey, version) ? { outcome: 'damaged', version } : { outcome: 'absent' };
    const state = record.id === id ? this.rows.state(idKey, record) : undefined;
    if (state !== undefined) return { outcome: 'found', record, state };
    // a removal may have committed between the two reads
    return this.isThere(idKey, version) ? { outcome: 'damaged', version } : { outcome: 'absent' };
  }

  async versions(id: string): Promise<readonly number[]> {
    return [...this.rows.versions(keyOf(id))];
  }

  async history(id: string, limit: number): Promise<readonly CheckpointRecord[]> {
    const idKey = keyOf(id);
    const records: CheckpointRecord[] = [];
    for (const version of this.rows.versions(idKey)) {
      if (records.length === limit) break;
      const record = this.rows.record(idKey, version);
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  async list(query: ListQuery): Promise<ListSlice> {
    return list(this.rows, query);
  }

  remove(id: string, version?: number): Promise<readonly number[]> {
    const idKey = keyOf(id);
    return this.write((ledger) => {
      const isPresent = version !== undefined && ledger.rows.has(idKey, version);
      // oldest first: the newest is then looked up anew only once
      const versions =
        version === undefined ? [...ledger.rows.versions(idKey)].toReversed() : isPresent ? [version] : [];
      for (const one of versions) ledger.remove(idKey, one);
      return versions;
    });
  }

  mark(id: string, mark: CheckpointMark, version?: number): Promise<boolean> {
    const idKey = keyOf(id);
    return this.write((ledger) => {
      const all = version === undefined && mark === 'unpinned';
      const versions = all ? [...ledger.rows.versions(idKey)] : [version ?? ledger.rows.head(idKey).newest];
      return versions.filter((one) => ledger.mark(idKey, one, mark)).length > 0;
    });
  }

  async clean(rule: CleanupRule, from: CleanupPosition = { phase: 'expired' }): Promise<CleanupSlice> {
    if (rule.mode === 'dry-run') return cleanSlice(this.rows, rule, from, NO_REMOVAL);
    return this.write((ledger) => cleanSlice(ledger.rows, rule, from, removalBy(ledger)));
  }

  usage(now: number): Promise<CheckpointUsage> {
    return usage(this.rows, now);
  }

  close(): Promise<void> {
    this.closing ??= this.shut();
    return this.closing;
  }

  private async shut(): Promise<void> {
    this.current = { state: 'off', reason: 'closed', detail: 'the app was closed' };
    await this.queue.idle();
    await this.environment.close();
  }

  private write<T>(change: (ledger: CheckpointLedger) => T, bytes = 0): Promise<T> {
    if (this.closing !== undefined) return Promise.reject(new StorageFault('closed', 'the checkpoints are closed'));
    return this.queue.run(bytes, (batch) => change(new CheckpointLedger(this.tables, batch)));
  }

  /** Whether a version is or should be there, readable or not. */
  private isThere(idKey: string, version: number): boolean {
    return version > 0 && (this.rows.has(idKey, version) || this.rows.head(idKey).newest === version);
  }

  private noteCommit(fault: unknown): void {
    if (this.closing !== undefined) return;
    if (fault === undefined) {
      if (this.current.state === 'on') return;
      this.current = { state: 'on' };
      this.events.emit('tier', { tier: 'checkpoints', state: 'on', detail: 'a checkpoint could be written again' });
      return;
    }
    const reason = (fault instanceof StorageFault ? REASONS[fault.kind] : undefined) ?? 'breaker';
    const detail = fault instanceof Error ? fault.message : 'the commit failed';
    const isNews = this.current.state === 'on';
    this.current = { state: 'off', reason, detail };
    if (isNews) this.events.emit('tier', { tier: 'checkpoints', state: 'off', reason, detail, error: fault });
  }
}
