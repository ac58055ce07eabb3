import { type Clock, nextTurn } from '../../clock/clock.js';
import { StorageFault, type Table, type TableKey, type Transaction } from '../environment.js';
import type { Keeper } from '../../eviction/lane-eviction.js';
import type { EntryRow, IndexChange } from './entry-index.js';
import {
  type EntryTables,
  type StoredRecord,
  type LaneUsage,
  countParts,
  encodeReference,
  part,
} from './entry-tables.js';

/** One accepted change on its way to disk. */
export interface QueuedChange {
  /** Bytes held in memory until it is settled. */
  readonly sizeBytes: number;
  /** Losing it would leave something in place that must not be read again. */
  readonly isRemoval?: boolean;
  /** The entry that it writes. Losing it leaves an older one in place. */
  readonly puts?: { readonly lane: string; readonly key: string };
  /** Nobody waits for it, so that it may wait for company. */
  readonly mayWait?: boolean;
  /** It changes no entry, but other rows. */
  readonly sparesEntries?: boolean;
  /** Starts a transaction of its own, so that it finds everything that was queued before in the tables. */
  readonly standsAlone?: boolean;
  /** What must have happened before it can be applied; `undefined` once it has. Never rejects. */
  readonly ready?: Promise<void> | undefined;
  /** Returns whether there is more to do: then it is called again with the next batch, before any other change. */
  apply(batch: EntryBatch): boolean;
  settle(fault: StorageFault | undefined): void;
}

/** Holds a place in the queue. */
export class NoChange implements QueuedChange {
  readonly sizeBytes = 0;
  readonly sparesEntries = true;

  constructor(readonly settle: () => void = () => undefined) {}

  apply(): boolean {
    return false;
  }
}

/** No batch changes more. */
export const LARGEST_BATCH = { entries: 256, bytes: 4 * 1024 * 1024 };
/** A batch with this much in it does not wait for more. */
const FULL = { changes: 256, bytes: 1024 * 1024 };
/**
 * How long a put waits for others. Most requests have a turn of the event loop of their own, and a commit for each entry costs
 * more than writing the entry. What waits can be read already.
 */
const GATHER_MS = 10;

interface WriteQueueOptions {
  readonly clock: Clock;
  /** Collects by `fill`, writes, and resolves when committed. */
  commit(fill: (batch: EntryBatch) => void): Promise<void>;
  /** Whether a batch has taken as much of its turn as it may. */
  isSpent(): boolean;
  /** A commit failed; `lost` is everything that was in the queue. */
  failed(fault: StorageFault, lost: readonly QueuedChange[]): void;
}

/** What the queue does. Puts alone wait for company; everything else starts a batch at once. */
type Phase =
  | { readonly phase: 'idle' }
  | { readonly phase: 'gathering'; readonly cancel: () => void }
  | { readonly phase: 'writing' };

const IDLE: Phase = Object.freeze({ phase: 'idle' });
const WRITING: Phase = Object.freeze({ phase: 'writing' });

/** Takes changes in the order of the program and commits them in batches, one after another. */
export class WriteQueue {
  private waiting: QueuedChange[] = [];
  private head = 0;
  /** Bytes that were accepted and are not settled. */
  waitingBytes = 0;
  private state: Phase = IDLE;
  /** How many of the waiting changes must not wait for company. */
  private urgent = 0;
  /** How many accepted changes of entries are not settled. */
  private entryChanges = 0;
  /** The first change goes on with the next batch. */
  private isUnfinished = false;
  private fault: StorageFault | undefined;
  /** Those who wait until something is settled. */
  private awaiting: (() => void)[] = [];

  constructor(private readonly options: WriteQueueOptions) {}

  get isIdle(): boolean {
    return this.state === IDLE;
  }

  /** Whether a change of an entry was accepted and is not settled. */
  get changesEntries(): boolean {
    return this.entryChanges > 0;
  }

  push(change: QueuedChange): void {
    if (this.fault !== undefined) {
      change.settle(this.fault);
      return;
    }
    this.waiting.push(change);
    this.waitingBytes += change.sizeBytes;
    if (change.mayWait !== true) this.urgent++;
    if (change.sparesEntries !== true) this.entryChanges++;
    if (this.state !== WRITING) this.startOrGather();
  }

  /** Resolves when all that was pushed so far is settled. */
  async drained(): Promise<void> {
    if (!this.isIdle) {
      await new Promise<void>((resolve) => {
        this.push(new NoChange(resolve));
      });
    }
  }

  /** Resolves when some of what waits is settled, a turn later if nothing waits. */
  progress(): Promise<void> {
    return this.isIdle ? nextTurn() : new Promise((resolve) => this.awaiting.push(resolve));
  }

  /** Gives up what waits and returns it. Refuses later changes. */
  stop(fault: StorageFault): readonly QueuedChange[] {
    this.fault = fault;
    const lost = this.waiting.slice(this.head);
    this.waiting = [];
    this.head = 0;
    this.waitingBytes = 0;
    this.urgent = 0;
    this.entryChanges = 0;
    this.isUnfinished = false;
    if (this.state.phase === 'gathering') {
      this.state.cancel();
      this.state = IDLE;
    }
    for (const change of lost) change.settle(fault);
    this.wake();
    return lost;
  }

  private startOrGather(): void {
    const isFull = this.waiting.length - this.head >= FULL.changes || this.waitingBytes >= FULL.bytes;
    if (this.urgent > 0 || this.isUnfinished || isFull) {
      if (this.state.phase === 'gathering') this.state.cancel();
      void this.run();
    } else if (this.state === IDLE) {
      this.state = {
        phase: 'gathering',
        cancel: this.options.clock.schedule(GATHER_MS, () => void this.run(), 'awaited'),
      };
    }
  }

  private async run(): Promise<void> {
    this.state = WRITING;
    await nextTurn();
    const isDue = (): boolean => this.urgent > 0 || this.isUnfinished;
    for (let isFirst = true; this.head < this.waiting.length && (isFirst || isDue()); isFirst = false) {
      // oxlint-disable-next-line no-await-in-loop -- one commit after another is the point
      if (this.waiting[this.head]?.ready !== undefined) await this.waiting[this.head]?.ready;
      // oxlint-disable-next-line no-await-in-loop
      await this.commitSome();
    }
    this.state = IDLE;
    if (this.head < this.waiting.length) this.startOrGather();
  }

  private async commitSome(): Promise<void> {
    const { waiting } = this;
    let done = this.head;
    try {
      await this.options.commit((batch) => {
        done = this.fill(batch);
      });
    } catch (error) {
      if (this.fault !== undefined) return;
      const fault =
        error instanceof StorageFault ? error : new StorageFault('io', 'a batch could not be written', error);
      this.options.failed(fault, this.stop(fault));
      return;
    }
    if (this.waiting === waiting) this.settleUntil(done);
  }

  /** Returns the index of the first change that is not done with this batch. */
  private fill(batch: EntryBatch): number {
    let bytes = 0;
    let index = this.head;
    this.isUnfinished = false;
    for (; index < this.waiting.length && index - this.head < LARGEST_BATCH.entries; index++) {
      const change = this.waiting[index];
      if (change === undefined) break;
      const isFirst = index === this.head;
      if (!isFirst && (change.standsAlone === true || change.ready !== undefined || this.options.isSpent())) break;
      bytes += change.sizeBytes;
      if (!isFirst && bytes > LARGEST_BATCH.bytes) break;
      if (change.apply(batch)) {
        this.isUnfinished = true;
        break;
      }
      if (change.standsAlone === true) return index + 1;
    }
    return index;
  }

  private settleUntil(done: number): void {
    for (; this.head < done; this.head++) {
      const change = this.waiting[this.head];
      if (change === undefined) continue;
      this.waitingBytes -= change.sizeBytes;
      if (change.mayWait !== true) this.urgent--;
      if (change.sparesEntries !== true) this.entryChanges--;
      change.settle(undefined);
    }
    this.wake();
    if (this.head < 1024 && this.head < this.waiting.length) return;
    this.waiting = this.waiting.slice(this.head);
    this.head = 0;
  }

  private wake(): void {
    for (const resolve of this.awaiting.splice(0)) resolve();
  }
}

/** An entry that changes with this batch: as it is stored, and as it will be. */
interface Draft extends IndexChange {
  /** The bytes to store, if they are new and lie in parts. */
  readonly inParts: Uint8Array | undefined;
}

/**
 * The changes of one transaction, visible to reads of the batch.
 *
 * What is written in the end is only the difference: an entry that came and went within the batch leaves no trace.
 */
export class EntryBatch {
  /** By lane and key, those of a lane in the order of their new sequences. */
  private readonly drafts = new Map<string, Map<string, Draft>>();
  private readonly extra: { readonly table: Table; readonly key: TableKey; readonly value: Uint8Array | undefined }[] =
    [];

  constructor(
    private readonly tables: EntryTables,
    private readonly usage: LaneUsage,
    readonly now: number,
    private readonly keeperOf: (lane: string) => Keeper | undefined,
  ) {}

  /** Whether it is written even if nothing changes, to see that it can be. */
  isProbe = false;

  get isEmpty(): boolean {
    return !this.hasDrafts && this.extra.length === 0 && !this.isProbe;
  }

  find(lane: string, key: string): EntryRow | undefined {
    const draft = this.draftOf(lane, key);
    return draft === undefined ? this.tables.row(lane, key) : draft.row;
  }

  /** Whether the stored row, as read from the tables, still holds within this batch. */
  isUntouched(lane: string, row: EntryRow): boolean {
    return this.draftOf(lane, row.key) === undefined;
  }

  /** The lane's entries that came or were used within this batch, the least recently used first. */
  *newest(lane: string): Iterable<EntryRow> {
    for (const { row } of this.drafts.get(lane)?.values() ?? []) if (row !== undefined) yield row;
  }

  /** `bytes`: those of the record, perhaps compressed. */
  put(lane: string, record: StoredRecord, bytes: Uint8Array): void {
    const draft = this.draftOf(lane, record.key);
    const stored = draft === undefined ? this.tables.index.row(lane, record.key) : draft.stored;
    const count = this.count(lane, draft === undefined ? stored : draft.row, bytes.length);
    const sequence = ++count.sequence;
    const { key, tags, birth, computeMs, expiresAt } = record;
    const row: EntryRow = {
      key,
      tags,
      birth,
      computeMs,
      expiresAt,
      sizeBytes: bytes.length,
      storedAt: this.now,
      touchedAt: this.now,
      accessCount: 0,
      recordSequence: sequence,
      sequence,
      page: 0,
      parts: countParts(bytes.length),
    };
    const isSplit = row.parts > 0;
    const stagedRecord = isSplit ? encodeReference(row) : bytes;
    this.stage(lane, key, { stored, row, record: stagedRecord, inParts: isSplit ? bytes : undefined });
    this.keeperOf(lane)?.stored(row);
  }

  /** Whether there was something to remove. */
  remove(lane: string, key: string): boolean {
    const draft = this.draftOf(lane, key);
    const stored = draft === undefined ? this.tables.row(lane, key) : draft.stored;
    const row = draft === undefined ? stored : draft.row;
    if (row !== undefined) this.drop(lane, stored, row);
    this.keeperOf(lane)?.removed(key);
    return row !== undefined;
  }

  /** Removes the entry of a row that was just found: stored and untouched, or one of `newest`. */
  evict(lane: string, row: EntryRow): void {
    const draft = this.draftOf(lane, row.key);
    this.drop(lane, draft === undefined ? row : draft.stored, row);
    this.keeperOf(lane)?.evicted(row.key);
  }

  /** Moves the entry to the young end of the order of recency. */
  touch(lane: string, key: string, uses: number): void {
    const draft = this.draftOf(lane, key);
    const stored = draft === undefined ? this.tables.row(lane, key) : draft.stored;
    const row = draft === undefined ? stored : draft.row;
    if (row === undefined) return;
    const sequence = ++this.usage.of(lane).sequence;
    this.usage.note(lane);
    const moved: EntryRow = { ...row, sequence, touchedAt: this.now, accessCount: row.accessCount + uses };
    this.stage(lane, key, { stored, row: moved, record: draft?.record, inParts: draft?.inParts });
  }

  /** A row of another table that must come to be together with the entries. */
  set(table: Table, key: TableKey, value: Uint8Array): void {
    this.extra.push({ table, key, value });
  }

  unset(table: Table, key: TableKey): void {
    this.extra.push({ table, key, value: undefined });
  }

  writeTo(transaction: Transaction): void {
    for (const [lane, drafts] of this.drafts) {
      for (const draft of drafts.values()) this.writeParts(transaction, lane, draft);
      this.tables.index.write(transaction, lane, drafts, this.tables.records);
    }
    for (const { table, key, value } of this.extra) {
      if (value === undefined) transaction.remove(table, key);
      else transaction.put(table, key, value);
    }
    this.usage.writeTo(transaction, this.now);
  }

  /** What was written is committed. */
  committed(): void {
    for (const [lane, drafts] of this.drafts) {
      this.tables.index.committed(lane, drafts, this.usage.of(lane).sequence);
    }
  }

  private writeParts(transaction: Transaction, lane: string, { stored, row, inParts }: Draft): void {
    const { parts } = this.tables;
    if (stored !== undefined && stored.recordSequence !== row?.recordSequence) {
      for (let index = 0; index < stored.parts; index++) {
        transaction.remove(parts, [lane, stored.recordSequence, index]);
      }
    }
    if (row === undefined || inParts === undefined) return;
    for (let index = 0; index < row.parts; index++) {
      transaction.put(parts, [lane, row.recordSequence, index], part(inParts, index));
    }
  }

  private drop(lane: string, stored: EntryRow | undefined, row: EntryRow): void {
    this.count(lane, row, undefined);
    this.stage(lane, row.key, { stored, row: undefined, record: undefined, inParts: undefined });
  }

  private draftOf(lane: string, key: string): Draft | undefined {
    return this.drafts.get(lane)?.get(key);
  }

  private get hasDrafts(): boolean {
    for (const drafts of this.drafts.values()) if (drafts.size > 0) return true;
    return false;
  }

  private stage(lane: string, key: string, draft: Draft): void {
    let drafts = this.drafts.get(lane);
    if (drafts === undefined) this.drafts.set(lane, (drafts = new Map()));
    drafts.delete(key);
    drafts.set(key, draft);
  }

  private count(lane: string, old: EntryRow | undefined, newBytes: number | undefined): { sequence: number } {
    const count = this.usage.of(lane);
    count.entries += (newBytes === undefined ? 0 : 1) - (old === undefined ? 0 : 1);
    count.sizeBytes += (newBytes ?? 0) - (old?.sizeBytes ?? 0);
    this.usage.note(lane);
    return count;
  }
}
