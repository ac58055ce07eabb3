import { type Clock, nextTurn, withDeadline } from '../../clock/clock.js';
import {
  StorageFault,
  type Durability,
  type Environment,
  type Table,
  type Transaction,
  toFault,
  type StorageReporter,
  type TableKey,
  type TableRow,
} from '../environment.js';
import { PreallocatedSpace, freePageBytes, FreeSpaceLimit } from './free-space.js';
import { LmdbTable, type ReadGate, openNativeTable, tableNames, type NativeRoot, requireKey } from './lmdb-table.js';
import { discard, putInPlace } from '../files/quarantine.js';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { rm } from 'node:fs/promises';

export interface LmdbEnvironmentOptions {
  readonly directory: string;
  readonly durability: Durability;
  readonly clock: Clock;
  /** Free space below which nothing is written. Default: 256 MB or 5 % of the volume, whichever is smaller. */
  readonly minFreeBytes?: number | undefined;
  /** How long a commit and the close may take. Default 5,000. */
  readonly deadlineMs?: number;
  readonly report: StorageReporter;
}

/** What an environment needs of its opener. */
interface Opener {
  /** The directory, by a path that leads to no other one that has taken its place. */
  readonly heldAs: string;
  /** Called when LMDB has closed its files. `gone`: the path no longer names the data file that was open. */
  closed(dataFile: 'in place' | 'gone'): Promise<void>;
  /** Opens a fresh environment of the same kind in another directory. */
  beside(directory: string): Promise<Environment>;
  /** Opens LMDB in the directory again. */
  reopen(): Promise<NativeRoot>;
}

const DEFAULT_DEADLINE_MS = 5_000;
/** Making a table is a synchronous transaction of a few pages. */
const NEW_TABLE_BYTES = 65_536;
const MAX_TABLES = 8;

/** An environment that is open, known to be sound, and ours alone. Made by `openEnvironment`. */
export class LmdbEnvironment implements Environment, ReadGate {
  readonly directory: string;
  readonly durability: Durability;
  isOpen = true;

  private readonly tables = new Map<string, LmdbTable>();
  private readonly inFlight = new Set<Promise<void>>();
  private batches: CommitQueue;
  private readonly freeSpaceLimit: FreeSpaceLimit;
  private preallocated: PreallocatedSpace;
  private readonly deadlineMs: number;
  private dataFile: DataFile;
  private pendingBytes = 0;
  /** Writes that LMDB has taken past their deadline. They cannot be cancelled, and may still succeed. */
  private readonly overdue = new Set<Promise<void>>();
  private compacting: Promise<void> = Promise.resolve();
  private closing: Promise<void> | undefined;
  /** The names of the tables that are there, once they have been read. */
  private stored: Set<string> | undefined;

  constructor(
    private root: NativeRoot,
    private readonly options: LmdbEnvironmentOptions,
    private readonly opener: Opener,
  ) {
    this.directory = options.directory;
    this.durability = options.durability;
    this.deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS;
    this.freeSpaceLimit = new FreeSpaceLimit(options.directory, options.minFreeBytes);
    this.dataFile = new DataFile(options.directory, opener.heldAs);
    this.preallocated = new PreallocatedSpace(root, this.dataFile.heldAs, this.freeSpaceLimit);
    this.batches = new CommitQueue(root, this.preallocated);
  }

  /** Takes the space that tables need which are not there yet. Throws `StorageFault`. */
  makeRoomForTables(): Promise<void> {
    return this.preallocated.make(MAX_TABLES * NEW_TABLE_BYTES);
  }

  table(name: string): Table {
    const known = this.tables.get(name);
    if (known !== undefined) return known;
    this.requireWritable();
    this.stored ??= new Set(tableNames(this.root));
    if (!this.stored.has(name)) this.freeSpaceLimit.requireRoom(NEW_TABLE_BYTES);
    const table = new LmdbTable(name, openNativeTable(this.root, name), this, this.options.report);
    this.stored.add(name);
    this.tables.set(name, table);
    return table;
  }

  commit(fill: (transaction: Transaction) => void): Promise<void> {
    const changes = new Changes(this.tables);
    try {
      fill(changes);
      this.requireWritable();
      if (changes.all.length === 0) return Promise.resolve();
      this.dataFile.requirePlace();
      this.requireRoom(changes);
      return this.track(this.write(changes));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  fileBytes(): number {
    return this.dataFile.bytes();
  }

  freeBytes(): number {
    if (!this.isOpen) return 0;
    try {
      return this.spare();
    } catch (error) {
      const fault = toFault(error, `measuring ${this.directory}`);
      this.options.report.fault(fault.kind, fault.message, error);
      return 0;
    }
  }

  checkReaders(): void {
    if (this.isOpen) this.root.readerCheck();
  }

  compact(): Promise<void> {
    this.compacting = this.shrink();
    return this.compacting;
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private requireWritable(): void {
    if (!this.isOpen) throw new StorageFault('closed', `${this.directory} is closed`);
    // every further write would block another of libuv's few threads behind the one that hangs
    if (this.overdue.size > 0)
      throw new StorageFault('deadline', `${this.directory} still has not finished an earlier write`);
  }

  private requireRoom(changes: Changes): void {
    const bytes = this.pendingBytes + changes.bytes;
    if (changes.onlyRemoves) this.freeSpaceLimit.requireRoomToRemove(bytes);
    else this.freeSpaceLimit.requireRoom(bytes, () => this.spare());
  }

  private spare(): number {
    for (const name of tableNames(this.root)) this.table(name);
    return freePageBytes(
      this.root,
      [...this.tables.values()].map(({ native }) => native),
    );
  }

  private apply(changes: readonly Change[]): Promise<unknown> {
    let written: Promise<unknown> = Promise.resolve();
    for (const { table, key, value } of changes) {
      written = value === undefined ? table.native.remove(key) : table.native.put(key, value);
    }
    return written;
  }

  private write(changes: Changes): Promise<void> {
    const submission = this.batches.submit(() => this.apply(changes.all), changes.bytes);
    const outcome = this.outcome(submission, changes.bytes);
    return withDeadline(this.options.clock, outcome, this.deadlineMs, () => {
      const late = new StorageFault('deadline', `writing to ${this.directory} took more than ${this.deadlineMs} ms`);
      if (!submission.withdraw(late)) this.awaitOverdue(outcome);
      return late;
    });
  }

  private awaitOverdue(outcome: Promise<void>): void {
    const ended = outcome.catch(() => undefined).then(() => void this.overdue.delete(ended));
    this.overdue.add(ended);
  }

  private async outcome(submission: Submission, bytes: number): Promise<void> {
    this.pendingBytes += bytes;
    try {
      await submission.outcome;
    } catch (error) {
      throw this.faultOf(error, bytes);
    } finally {
      this.pendingBytes -= bytes;
    }
  }

  /** A full tmpfs shows as a short write, without the reason. */
  private faultOf(cause: unknown, bytes: number): StorageFault {
    const fault = toFault(cause, `writing to ${this.directory}`);
    if (fault.kind !== 'io') return fault;
    try {
      return this.freeSpaceLimit.isFullFor(bytes) ? new StorageFault('disk-full', fault.message, cause) : fault;
    } catch {
      return fault;
    }
  }

  private track(commit: Promise<void>): Promise<void> {
    this.inFlight.add(commit);
    void commit.catch(() => undefined).then(() => this.inFlight.delete(commit));
    return commit;
  }

  private async shrink(): Promise<void> {
    const path = copyPlace(this.directory);
    const tables = tableNames(this.root).map((name) => this.table(name));
    const isCopied = await copyInto(path, tables, () => this.opener.beside(path));
    if (isCopied && this.closing === undefined) await this.moveTo(path);
  }

  /** From here on the environment is the copy, or lost. */
  private async moveTo(copy: string): Promise<void> {
    this.isOpen = false;
    try {
      await Promise.allSettled(this.inFlight);
      this.preallocated.close();
      if (!(await this.isInTime(this.root.close())))
        throw new StorageFault('deadline', `${this.directory} could not be closed`);
      await discard(this.directory, this.options.clock);
      await putInPlace(copy, this.directory);
      this.root = await this.opener.reopen();
      for (const [name, table] of this.tables) table.native = openNativeTable(this.root, name);
      this.dataFile = new DataFile(this.directory);
      this.preallocated = new PreallocatedSpace(this.root, this.dataFile.heldAs, this.freeSpaceLimit);
      this.batches = new CommitQueue(this.root, this.preallocated);
      this.isOpen = true;
    } catch (error) {
      throw new StorageFault('gone', `${this.directory} was lost while it was being compacted`, error);
    }
  }

  private async closeOnce(): Promise<void> {
    await this.compacting.catch(() => undefined);
    this.isOpen = false;
    await Promise.allSettled(this.inFlight);
    const letGo = (): Promise<void> => this.opener.closed(this.dataFile.isInPlace ? 'in place' : 'gone');
    const closeRoot = (): Promise<void> => this.root.close().then(letGo);
    if (this.overdue.size === 0) await this.isInTime(closeRoot());
    // Closing while LMDB hangs would hang as well, so the files are closed when it has ended.
    else void Promise.all(this.overdue).then(() => this.isInTime(closeRoot()));
    this.preallocated.close();
  }

  private async isInTime(closing: Promise<void>): Promise<boolean> {
    const late = (): Error => new StorageFault('deadline', `it took more than ${this.deadlineMs} ms`);
    try {
      await withDeadline(this.options.clock, closing, this.deadlineMs, late);
      return true;
    } catch (error) {
      const fault = toFault(error, `closing ${this.directory}`);
      this.options.report.fault(fault.kind, fault.message, error);
      return false;
    }
  }
}

/** lmdb-js hands out values from here on as live maps of the file; nothing larger is ever written. */
export const MAX_VALUE_BYTES = 16 * 1024 * 1024 - 1;

/** One change of a transaction; without a value it removes. */
interface Change {
  readonly table: LmdbTable;
  readonly key: TableKey;
  readonly value?: Uint8Array;
}

const PAGE_BYTES = 4_096;
/** Branches, lists and meta pages that every transaction writes anew. */
const TRANSACTION_BYTES = 16 * PAGE_BYTES;

/** The changes of a transaction. They are checked as they are collected, so that applying them cannot stop half-way. */
class Changes implements Transaction {
  readonly all: Change[] = [];
  /** An upper bound of what LMDB writes for it: each change can copy a page. */
  bytes = TRANSACTION_BYTES;
  onlyRemoves = true;

  /** `tables` are those of the environment, by name. */
  constructor(private readonly tables: ReadonlyMap<string, LmdbTable>) {}

  put(table: Table, key: TableKey, value: Uint8Array): void {
    requireKey(key);
    if (value.byteLength > MAX_VALUE_BYTES) {
      throw new RangeError(
        `A value for ${table.name} takes ${value.byteLength} bytes; ${MAX_VALUE_BYTES} is the most. Split it.`,
      );
    }
    this.all.push({ table: this.own(table), key, value });
    this.bytes += value.byteLength + 2 * PAGE_BYTES;
    this.onlyRemoves = false;
  }

  remove(table: Table, key: TableKey): void {
    requireKey(key);
    this.all.push({ table: this.own(table), key });
    this.bytes += PAGE_BYTES;
  }

  private own(table: Table): LmdbTable {
    const own = this.tables.get(table.name);
    if (own !== table) throw new TypeError(`Table ${table.name} belongs to another environment.`);
    return own;
  }
}

/** The file that LMDB has open, which others may remove or replace under it. */
class DataFile {
  readonly path: string;
  readonly heldAs: string;
  private readonly identity: string;

  constructor(directory: string, heldAs = directory) {
    this.path = join(directory, 'data.mdb');
    this.heldAs = join(heldAs, 'data.mdb');
    this.identity = identityOf(statSync(this.heldAs));
  }

  bytes(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Whether the file of that name is still the one that LMDB has open. */
  get isInPlace(): boolean {
    try {
      this.requirePlace();
      return true;
    } catch {
      return false;
    }
  }

  /** LMDB would go on writing into a file that was removed. Throws `StorageFault` if the file has no name any more. */
  requirePlace(): void {
    let found;
    try {
      found = statSync(this.path, { throwIfNoEntry: false });
    } catch (error) {
      throw toFault(error, `looking for ${this.path}`);
    }
    if (found !== undefined && identityOf(found) === this.identity) return;
    throw new StorageFault('gone', `${this.path} was removed or replaced while it was in use`);
  }
}

/** The volume counts: one that was mounted anew has the same files. */
const identityOf = ({ dev, ino }: { readonly dev: number; readonly ino: number }): string => `${dev} ${ino}`;

/** Puts all of a transaction's changes, and returns lmdb's promise for them. */
type Write = () => Promise<unknown>;

/** A write that was handed in. */
interface Submission {
  /** Settles when LMDB has committed, or has not; rejects with LMDB's own cause. */
  readonly outcome: Promise<void>;
  /** Takes the write back, which rejects it with `reason`. False if LMDB has it already. */
  withdraw(reason: Error): boolean;
}

interface Waiting {
  readonly bytes: number;
  readonly start: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Room for the next write, see `PreallocatedSpace`. */
export interface Room {
  has(bytes: number): boolean;
  make(bytes: number): Promise<void>;
  spend(bytes: number): void;
}

const ignore = (): void => undefined;

/**
 * The cause of a rejection of lmdb-js. It rejects with an error that carries a promise, which rejects with the cause. That
 * promise must be handled, and is awaited for one turn only, because it does not always settle.
 */
const causeOf = async (rejection: unknown): Promise<unknown> => {
  if (!(rejection instanceof Error) || !('commitError' in rejection)) return rejection;
  const cause = Promise.resolve(rejection.commitError).then(
    () => rejection,
    (reason: unknown) => reason,
  );
  return Promise.race([cause, nextTurn().then(() => rejection)]);
};

/**
 * Hands writes to LMDB one batch at a time. The writes of one turn of the event loop become one LMDB transaction, which
 * fails as a whole. Writes that come while it is written wait, and become the next one. lmdb-js would accept them at once,
 * but does not always reject the right ones when batches fail.
 */
export class CommitQueue {
  private state: 'idle' | 'making-room' | 'collecting' | 'writing' = 'idle';
  private waiting: Waiting[] = [];
  /** The most that the batch being collected may write. */
  private collected = 0;

  constructor(
    private readonly root: NativeRoot,
    private readonly room: Room,
  ) {
    root.on('beforecommit', () => this.close());
  }

  /** `bytes`: the most that LMDB may write for it. */
  submit(write: Write, bytes: number): Submission {
    let entry: Waiting | undefined;
    const outcome = new Promise<void>((resolve, reject) => {
      const start = (): void => void this.write(write).then(resolve, reject);
      this.waiting.push((entry = { bytes, start, reject }));
    });
    if (this.state === 'idle' || this.state === 'collecting') this.startWaiting();
    return { outcome, withdraw: (reason) => entry !== undefined && this.withdraw(entry, reason) };
  }

  private withdraw(entry: Waiting, reason: Error): boolean {
    if (!this.waiting.includes(entry)) return false;
    this.waiting = this.waiting.filter((other) => other !== entry);
    entry.reject(reason);
    return true;
  }

  private startWaiting(): void {
    const wanted = this.waiting.reduce((sum, { bytes }) => sum + bytes, this.collected);
    if (!this.hasRoom(wanted)) {
      // Writes that do not fit beside the running batch become the next one.
      if (this.state === 'idle') void this.makeRoom(wanted);
      return;
    }
    this.collected = wanted;
    for (const { start } of this.waiting.splice(0)) start();
  }

  private hasRoom(bytes: number): boolean {
    try {
      return this.room.has(bytes);
    } catch {
      return false;
    }
  }

  private async makeRoom(bytes: number): Promise<void> {
    this.state = 'making-room';
    try {
      await this.room.make(bytes);
    } catch (error) {
      this.refuseWhatDoesNotFit(error);
    }
    this.next();
  }

  /** Small writes are not refused because of large ones beside them. */
  private refuseWhatDoesNotFit(reason: unknown): void {
    let wanted = 0;
    this.waiting = this.waiting.filter(({ bytes, reject }) => {
      const fits = this.hasRoom(wanted + bytes);
      if (fits) wanted += bytes;
      else reject(reason);
      return fits;
    });
  }

  private async write(write: Write): Promise<void> {
    const opensBatch = this.state === 'idle';
    this.state = 'collecting';
    try {
      await write();
    } catch (rejection) {
      throw await causeOf(rejection);
    } finally {
      if (opensBatch) this.next();
    }
  }

  /** Hands the batch to LMDB. */
  private close(): void {
    this.state = 'writing';
    // lmdb-js opens each batch with an operation whose own promise is not returned. If the batch fails, it would end the
    // process as an unhandled rejection. It exists, and is the one behind `committed`, right after this callback.
    queueMicrotask(() => void this.root.committed.then(ignore, ignore));
  }

  private next(): void {
    this.state = 'idle';
    this.room.spend(this.collected);
    this.collected = 0;
    if (this.waiting.length > 0) this.startWaiting();
  }
}

const SLICE_ROWS = 256;
const SLICE_BYTES = 2 * 1024 * 1024;

/** Where a copy of `directory` is written. A copy that is there was left by a process that died. */
export const copyPlace = (directory: string): string => `${directory}.copy`;

/**
 * Copies `tables` into a new environment in `directory`, and closes it. Nothing may be written to them during the copy.
 * False, and nothing is left, if there is no room for it or it cannot be opened.
 */
const copyInto = async (
  directory: string,
  tables: Iterable<Table>,
  open: () => Promise<Environment>,
): Promise<boolean> => {
  const drop = (): Promise<void> => rm(directory, { recursive: true, force: true }).catch(() => undefined);
  await drop();
  try {
    const target = await open();
    try {
      await copyTables(tables, target);
    } finally {
      await target.close();
    }
    return true;
  } catch {
    await drop();
    return false;
  }
};

/** Copies every row of `tables` into tables of the same names in `target`. */
const copyTables = async (tables: Iterable<Table>, target: Environment): Promise<void> => {
  for (const table of tables) {
    const copy = target.table(table.name);
    for (let from: TableKey | undefined; ; await nextTurn()) {
      const rows = slice(table, from);
      if (rows.length === 0) break;
      await target.commit((transaction) => {
        for (const { key, value } of rows) transaction.put(copy, key, value);
      });
      from = rows.at(-1)?.key;
    }
  }
};

/** The rows after `after`, as many as one turn of the loop may take. */
function slice(table: Table, after: TableKey | undefined): TableRow[] {
  const rows: TableRow[] = [];
  let bytes = 0;
  const known = JSON.stringify(after);
  for (const row of table.range({ ...(after !== undefined && { start: after }), limit: SLICE_ROWS + 1 })) {
    if (after !== undefined && rows.length === 0 && JSON.stringify(row.key) === known) continue;
    rows.push(row);
    bytes += row.value.length;
    if (bytes > SLICE_BYTES) break;
  }
  return rows;
}
