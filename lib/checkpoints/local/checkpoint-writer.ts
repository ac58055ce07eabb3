import type { TableKey, Environment } from '../../storage/environment.js';
import { CheckpointRows, partCount } from './checkpoint-rows.js';
import {
  storedBytesOf,
  type CheckpointDraft,
  type CheckpointMark,
  type CheckpointRecord,
  type ConflictCause,
  type SaveConditions,
  type SaveOutcome,
  type TrimRule,
  type WorkflowSlice,
} from '../checkpoint-store.js';
import { verdictOf } from '../retention.js';
import {
  EVERYTHING,
  FORMAT,
  PART_BYTES,
  STORE_KEY,
  TOKEN_RING,
  headRow,
  keyOf,
  labelScope,
  laneScope,
  leaseRow,
  placeRow,
  pointerRow,
  ranges,
  recordRow,
  scopeOf,
  scopesOf,
  storeRow,
  tokenRow,
  usageRow,
  versionsIn,
  workflowRow,
  type CheckpointTables,
  type Head,
  type LeaseRow,
  type TokenRow,
  type Pointer,
  type FaultReportingTable,
  type WorkflowRow,
  WriteBatch,
} from './checkpoint-tables.js';
import type { Clock } from '../../clock/clock.js';

/** How many versions one save removes at most. */
const MAX_TRIMMED = 64;
/** How many versions one save examines at most at each end of those that it may remove. */
const MAX_EXAMINED = 256;
/**
 * How many of the last saves are remembered by their token: far more than an owner that goes away leaves unanswered. Their
 * rows take a few megabytes at most, however many ids there are.
 */
const REMEMBERED_SAVES = 16_384;

const recordOf = (
  draft: CheckpointDraft,
  { version, sequence }: { readonly version: number; readonly sequence: number },
): CheckpointRecord => ({ ...draft, version, sequence, pinned: false, damaged: false });

/** Every index row that points to a version. No query asks for expiries by metadata. */
function* indexRowsOf(
  { order, ages, expiries }: CheckpointTables,
  record: CheckpointRecord,
): Generator<readonly [FaultReportingTable, TableKey], void, undefined> {
  const { sequence, savedAt, expiresAt, labels = [] } = record;
  const scopes = scopesOf(record);
  for (const scope of [...scopes, ...labels.map(labelScope)]) {
    yield [order, [scope, sequence]];
    yield [ages, [scope, savedAt, sequence]];
  }
  if (expiresAt === undefined) return;
  for (const scope of scopes) yield [expiries, [scope, expiresAt, sequence]];
}

/** Changes a version together with its state, indexes and counts, in one batch. */
export class CheckpointWriter {
  readonly rows: CheckpointRows;

  constructor(
    private readonly tables: CheckpointTables,
    private readonly batch: WriteBatch,
  ) {
    this.rows = new CheckpointRows(tables, batch);
  }

  save(draft: CheckpointDraft, state: Uint8Array, conditions: SaveConditions): SaveOutcome {
    const idKey = keyOf(draft.id);
    const head = this.rows.head(idKey);
    const before = draft.token === undefined ? undefined : this.rows.saved(idKey, draft.token);
    if (before !== undefined) return { outcome: 'saved', record: recordOf(draft, before) };
    const cause = this.conflictOf(idKey, draft, conditions);
    if (cause !== undefined)
      return { outcome: 'conflict', cause, currentVersion: this.rows.current(idKey, draft.savedAt) };
    const { sequence: last, labelled = 0 } = this.rows.store;
    const sequence = last + 1;
    const version = head.counter + 1;
    const record = recordOf(draft, { version, sequence });
    const store = { format: FORMAT, sequence, labelled: labelled === last ? sequence : labelled };
    this.batch.put(this.tables.store, STORE_KEY, storeRow.seal(store));
    this.putRecord(idKey, record);
    for (let part = 0; part < partCount(storedBytesOf(draft)); part += 1) {
      const bytes = state.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
      this.batch.put(this.tables.states, [idKey, version, part], bytes);
    }
    this.index(record, [idKey, version]);
    if (draft.token !== undefined) this.remember(idKey, draft.token, { version, sequence });
    this.count(idKey, { counter: version, newest: version, lanes: head.lanes }, record, 1);
    if (draft.workflow !== undefined) this.reopen(draft.workflow);
    if (conditions.lease !== undefined) this.batch.remove(this.tables.leases, idKey);
    const trimmed = conditions.trim === undefined ? [] : this.trim(idKey, draft.savedAt, conditions.trim);
    return trimmed.length === 0 ? { outcome: 'saved', record } : { outcome: 'saved', record, trimmed };
  }

  /** The first condition that does not hold. */
  private conflictOf(
    idKey: string,
    { workflow, savedAt }: CheckpointDraft,
    { expectedVersion, epoch, lease, within }: SaveConditions,
  ): ConflictCause | undefined {
    if (epoch !== undefined && workflow !== undefined && this.rows.workflow(workflow).epoch !== epoch)
      return 'workflow';
    if (lease !== undefined && this.rows.lease(idKey)?.token !== lease) return 'lease';
    if (within !== undefined && this.rows.lease(keyOf(within.id))?.token !== within.token) return 'lease';
    if (expectedVersion !== undefined && this.rows.current(idKey, savedAt) !== expectedVersion) return 'version';
    return undefined;
  }

  /** A save takes the place in the ring of the one that came a whole round earlier. */
  private remember(idKey: string, token: string, saved: TokenRow): void {
    const { tokens } = this.tables;
    const place = [TOKEN_RING, saved.sequence % REMEMBERED_SAVES];
    const earlier = placeRow.open(this.batch.get(tokens, place));
    if (earlier !== undefined) this.batch.remove(tokens, [...earlier]);
    this.batch.put(tokens, place, placeRow.seal([idKey, token]));
    this.batch.put(tokens, [idKey, token], tokenRow.seal(saved));
  }

  /**
   * Removes what the rule leaves no place for, at most 64 versions: the next saves remove the rest. It begins with the
   * oldest. Where all that it may examine there stay, as pinned ones do, it goes on with the newest surplus.
   */
  private trim(idKey: string, now: number, { keepVersions, keepUnfinished }: TrimRule): readonly number[] {
    const rule = { now, savedBefore: -Infinity, keepLast: 0, keepUnfinished, keepVersions };
    const surplusBelow = this.rows.restorableAt(idKey, keepVersions, now);
    const trimmed: number[] = [];
    const isDue = (version: number): boolean => {
      const record = this.rows.record(idKey, version);
      // A pinned one stays whatever the others are, which are not read then.
      if (record === undefined || record.pinned) return false;
      // As many newer ones stay.
      const neighbours = { ...this.rows.neighboursOf(idKey, record, now), newer: () => keepVersions };
      return 'remove' in verdictOf(record, rule, neighbours);
    };
    const removeDue = (versions: readonly number[]): void => {
      for (const version of versions) {
        if (trimmed.length === MAX_TRIMMED || version >= surplusBelow) return;
        if (!isDue(version)) continue;
        this.remove(idKey, version);
        trimmed.push(version);
      }
    };
    removeDue(this.rows.oldest(idKey, 0, MAX_EXAMINED));
    if (trimmed.length === 0) removeDue(this.rows.newest(idKey, surplusBelow, MAX_EXAMINED));
    return trimmed;
  }

  private reopen(workflow: string): void {
    const row = this.rows.workflow(workflow);
    if (row.isFinished) this.putWorkflow(workflow, { ...row, isFinished: false });
  }

  finish(workflow: string): void {
    this.putWorkflow(workflow, { ...this.rows.workflow(workflow), isFinished: true });
  }

  /** Begins a new epoch of a workflow. Returns the position up to which its versions go. */
  beginAnew(workflow: string): number {
    const { epoch } = this.rows.workflow(workflow);
    const { sequence } = this.rows.store;
    this.putWorkflow(workflow, { epoch: epoch + 1, isFinished: false, removedUpTo: sequence });
    return sequence;
  }

  /** Removes the first versions of a workflow up to a position, at most `limit`. */
  removeOfWorkflow(workflow: string, upTo: number, limit: number, work: WorkSlice): WorkflowSlice {
    const found = this.rows.firstOf(scopeOf({ workflow }), upTo, limit);
    const removed: { readonly id: string; readonly version: number }[] = [];
    let examined = 0;
    for (const { key, pointer } of found) {
      if (examined > 0 && work.isSpent) break;
      examined += 1;
      const record = pointer && this.remove(...pointer);
      if (record === undefined) this.batch.remove(this.tables.order, key);
      else removed.push({ id: record.id, version: record.version });
    }
    if (examined < found.length || found.length === limit) return { removed, next: upTo };
    const { epoch, isFinished, removedUpTo } = this.rows.workflow(workflow);
    // Unless it was invalidated once more meanwhile.
    if (removedUpTo === upTo) this.putWorkflow(workflow, { epoch, isFinished });
    return { removed };
  }

  takeLease(idKey: string, row: LeaseRow): void {
    this.batch.put(this.tables.leases, idKey, leaseRow.seal(row));
  }

  releaseLease(idKey: string, token: string): void {
    if (this.rows.lease(idKey)?.token === token) this.batch.remove(this.tables.leases, idKey);
  }

  /** Adds index rows for metadata that an earlier release saved. `upTo`: everything up to there has them then. */
  label(
    records: readonly CheckpointRecord[],
    labelsOf: (record: CheckpointRecord) => readonly string[],
    upTo: number,
  ): void {
    for (const { id, version } of records) {
      const idKey = keyOf(id);
      const record = this.rows.record(idKey, version);
      if (record === undefined || record.labels !== undefined) continue;
      const labelled = { ...record, labels: labelsOf(record) };
      this.putRecord(idKey, labelled);
      this.index(labelled, [idKey, version]);
    }
    const { store } = this.rows;
    this.batch.put(
      this.tables.store,
      STORE_KEY,
      storeRow.seal({ ...store, labelled: Math.max(upTo, store.labelled ?? 0) }),
    );
  }

  /** Returns the record, if it was readable. */
  remove(idKey: string, version: number): CheckpointRecord | undefined {
    const record = this.rows.record(idKey, version);
    const head = this.rows.head(idKey);
    this.batch.remove(this.tables.versions, [idKey, version]);
    this.batch.remove(this.tables.damaged, [idKey, version]);
    for (const key of this.stateKeys(idKey, version, record)) this.batch.remove(this.tables.states, key);
    const newest = head.newest === version ? this.newestOf(idKey) : head.newest;
    if (record === undefined) {
      this.batch.put(this.tables.heads, idKey, headRow.seal({ ...head, newest }));
      return undefined;
    }
    this.unindex(record);
    this.count(idKey, { ...head, newest }, record, -1);
    return record;
  }

  mark(idKey: string, version: number, mark: CheckpointMark): boolean {
    const record = this.rows.record(idKey, version);
    if (record === undefined) return false;
    if (mark === 'damaged') {
      const pointer: Pointer = [idKey, version];
      this.batch.put(this.tables.damaged, pointer, pointerRow.seal(pointer));
      this.putRecord(idKey, { ...record, damaged: true });
    } else if (record.pinned !== (mark === 'pinned')) {
      this.putRecord(idKey, { ...record, pinned: mark === 'pinned' });
    }
    return true;
  }

  /** Removes an index row that points to no version. */
  removeIndexRow(index: FaultReportingTable, key: TableKey): void {
    this.batch.remove(index, key);
  }

  private stateKeys(idKey: string, version: number, record: CheckpointRecord | undefined): Iterable<TableKey> {
    if (record === undefined) return this.tables.states.keys(ranges.parts(idKey, version));
    return Array.from({ length: partCount(storedBytesOf(record)) }, (_, part) => [idKey, version, part]);
  }

  private newestOf(idKey: string): number {
    const newest = this.rows.versions(idKey).next();
    return newest.done === true ? 0 : newest.value;
  }

  private putRecord(idKey: string, record: CheckpointRecord): void {
    this.batch.put(this.tables.versions, [idKey, record.version], recordRow.seal(record));
  }

  private index(record: CheckpointRecord, pointer: Pointer): void {
    const row = pointerRow.seal(pointer);
    for (const [table, key] of indexRowsOf(this.tables, record)) this.batch.put(table, key, row);
  }

  private putWorkflow(workflow: string, row: WorkflowRow): void {
    this.batch.put(this.tables.workflows, keyOf(workflow), workflowRow.seal(row));
  }

  private unindex(record: CheckpointRecord): void {
    for (const [table, key] of indexRowsOf(this.tables, record)) this.batch.remove(table, key);
  }

  /** Updates the head and the counts for one version more or less. */
  private count(idKey: string, head: Head, record: CheckpointRecord, by: 1 | -1): void {
    const { lane } = record;
    const bytes = by * storedBytesOf(record);
    const before = versionsIn(head, lane);
    const { [lane]: _, ...others } = head.lanes;
    const lanes = before + by > 0 ? { ...others, [lane]: before + by } : others;
    this.batch.put(this.tables.heads, idKey, headRow.seal({ ...head, lanes }));
    const idsInLane = Math.sign(before + by) - Math.sign(before);
    const ids = Math.sign(Object.keys(lanes).length) - Math.sign(Object.keys(head.lanes).length);
    this.addUsage(EVERYTHING, ids, by, bytes);
    this.addUsage(laneScope(lane), idsInLane, by, bytes);
  }

  private addUsage(scope: string, ids: number, versions: number, bytes: number): void {
    const usage = this.rows.usage(scope);
    const row = { ids: usage.ids + ids, versions: usage.versions + versions, bytes: usage.bytes + bytes };
    if (row.versions > 0) this.batch.put(this.tables.usage, scope, usageRow.seal(row));
    else this.batch.remove(this.tables.usage, scope);
  }
}

const MAX_BATCH_WRITES = 128;
const MAX_BATCH_BYTES = 16 * 1024 * 1024;
/** Writes that are not prepared by then wait for the next commit, so that many writes do not block the event loop. */
const PREPARING_MS = 4;

interface Write {
  readonly bytes: number;
  prepare(batch: WriteBatch): void;
  settle(fault: unknown): void;
}

/** Called after each commit. `fault` is undefined when it succeeded. `bytes` is the announced size of its writes. */
type CommitListener = (fault: unknown, bytes: number) => void;

/**
 * Prepares writes one after the other; each sees the changes of those before it. The writes that wait while a commit
 * runs share the next one, so that durability costs one disk sync per group and not per write.
 */
export class GroupCommit {
  private waiting: Write[] = [];
  private running: Promise<void> | undefined;
  /** A commit that was abandoned may still succeed. No write is prepared before its outcome is known. */
  private isUncertain = false;

  constructor(
    private readonly environment: Environment,
    private readonly clock: Clock,
    private readonly awaitOutcome: () => Promise<void>,
    private readonly onCommit: CommitListener,
  ) {}

  /** Resolves with what `prepare` returned once its changes are durable. If it throws, its whole group fails. */
  run<T>(bytes: number, prepare: (batch: WriteBatch) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let result: () => void;
      this.waiting.push({
        bytes,
        prepare: (batch) => {
          const value = prepare(batch);
          result = () => resolve(value);
        },
        settle: (fault) => (fault === undefined ? result() : reject(fault)),
      });
      this.running ??= this.drain();
    });
  }

  /** Resolves when no write is waiting. */
  async idle(): Promise<void> {
    while (this.running !== undefined) await this.running;
  }

  private async drain(): Promise<void> {
    // The calls of the same turn share the first commit.
    await Promise.resolve();
    while (this.waiting.length > 0) {
      const group = this.nextGroup();
      const fault = await this.commit(group).then(
        () => undefined,
        (error: unknown) => error ?? new Error('the commit failed'),
      );
      this.onCommit(
        fault,
        group.reduce((sum, { bytes }) => sum + bytes, 0),
      );
      for (const write of group) write.settle(fault);
    }
    this.running = undefined;
  }

  private nextGroup(): Write[] {
    let bytes = 0;
    let count = 0;
    for (const write of this.waiting) {
      if (count === MAX_BATCH_WRITES || (count > 0 && bytes + write.bytes > MAX_BATCH_BYTES)) break;
      bytes += write.bytes;
      count += 1;
    }
    return this.waiting.splice(0, count);
  }

  private async commit(group: Write[]): Promise<void> {
    if (this.isUncertain) await this.awaitOutcome();
    this.isUncertain = false;
    const batch = new WriteBatch();
    this.prepare(group, batch);
    if (batch.isEmpty) return;
    this.isUncertain = true;
    await this.environment.commit((transaction) => batch.writeTo(transaction));
    this.isUncertain = false;
  }

  /** Moves the writes that must wait for the next commit from `group` back to `waiting`. */
  private prepare(group: Write[], batch: WriteBatch): void {
    const work = new WorkSlice(this.clock, PREPARING_MS);
    for (const [index, write] of group.entries()) {
      if (index > 0 && work.isSpent) {
        this.waiting.unshift(...group.splice(index));
        return;
      }
      write.prepare(batch);
    }
  }
}

/** Together with the commit the work then takes less than 2 ms. */
const SLICE_MS = 1;

/** Limits a piece of synchronous work, so that it does not block the event loop. */
export class WorkSlice {
  private readonly endsAt: number;

  constructor(
    private readonly clock: Clock,
    ms = SLICE_MS,
  ) {
    this.endsAt = clock.monotonic() + ms;
  }

  get isSpent(): boolean {
    return this.clock.monotonic() >= this.endsAt;
  }
}
