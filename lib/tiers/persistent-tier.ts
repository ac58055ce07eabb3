import { randomId } from '../clock/clock.js';
import type { TierOffReason } from '../events/reasons.js';
import {
  EMPTY_LOG,
  type LogJournal,
  type LogRow,
  type LogState,
  type ExpiredTag,
  type StoredCursor,
  type StoredPlace,
} from '../invalidation/journal.js';
import type { EntryBatch } from '../storage/entries/write-queue.js';
import type { EntryStore } from '../storage/entries/entry-store.js';
import type { Environment, Table } from '../storage/environment.js';
import type { EnvironmentSource } from './store-supervisor.js';
import { StoredTier, type StoredTierOptions } from './stored-tier.js';

/** L3: entries that outlive the process, beside the part of the invalidation log that judges them. */
interface PersistenceParts {
  readonly directory: string;
  /** Resolves when the directory is opened, if this process owns it. */
  readonly whenOpened: () => Promise<void>;
  /** Leaves a note for the next owner that this process has missed an invalidation. */
  readonly noteMissed: () => Promise<void>;
}

/** The log that the processes of the directory share, as L3 needs it. */
interface HostHistory {
  /** Where this process has come to. Undefined while there is no log. */
  readonly place: StoredPlace | undefined;
  /** Whether everything that was invalidated since `place` can be carried out still. */
  knows(place: StoredPlace | undefined): boolean;
}

/**
 * L3: entries on disk that survive restarts. The processes of a directory share them.
 *
 * @example
 * ```ts
 * const { state, reason } = app.get(PersistentTier).state; // reason: why it is off
 * ```
 */
export class PersistentTier extends StoredTier implements LogJournal {
  private log: StoredLog | undefined;
  private currentGeneration = randomId();
  /** It survives the emptying of the folder: later entries take it as their generation. */
  private ceiling = 0;

  /** The log's state in the folder when it was opened, and whether the log has yet to continue from it. */
  private found: LogState = EMPTY_LOG;
  private isFound = false;
  /** Whether this process keeps the log of the folder: every invalidation is stored there, or the folder is emptied. */
  isFollowed = false;
  private adopt: (() => void) | undefined;
  private history: HostHistory | undefined;

  /** Never rejects: a folder that cannot be opened turns the tier off, and is tried again. */
  static async open(source: EnvironmentSource, options: StoredTierOptions): Promise<PersistentTier> {
    const tier = new PersistentTier(options);
    await tier.attach(source);
    return tier;
  }

  /** Off, 'in-use', until `attach`: only the owner of a directory uses what is stored there. */
  static unattached(options: StoredTierOptions): PersistentTier {
    return new PersistentTier(options, 'in-use');
  }

  private constructor(options: StoredTierOptions, unattached?: TierOffReason) {
    super('l3', unattached, options);
  }

  get initial(): LogState {
    return this.found;
  }

  /**
   * From now on `adopt` is called whenever another folder begins to serve than the one that `initial` describes now:
   * what is stored there must not be judged without its part of the log.
   */
  whenFound(adopt: () => void): void {
    this.adopt = adopt;
    this.isFound = false;
    // A folder that could not be opened yet catches up by the history once it can.
    const isOpened = this.supervisor.store !== undefined || this.history === undefined;
    this.isFollowed = this.supervisor.isAttached && isOpened;
  }

  /** A folder that has missed more than `history` knows is set aside. To be called before `attach`. */
  follows(history: HostHistory): void {
    this.history = history;
  }

  /** Something was invalidated of which the folder knows nothing: what it holds now is never served. */
  missed(): void {
    this.supervisor.miss();
  }

  /** What invalidations need of this tier. A process that keeps no log of the tier answers for nothing in it. */
  persistence({ directory, whenOpened, noteMissed }: PersistenceParts): {
    readonly directory: string;
    isEmpty(): boolean;
    invalidateAll(): Promise<void>;
    noteMissed(): Promise<void> | undefined;
  } {
    return {
      directory,
      isEmpty: () => !this.isFollowed || this.isEmpty,
      invalidateAll: async () => {
        await whenOpened();
        await this.invalidateAll();
      },
      noteMissed: () => (this.isFollowed ? undefined : noteMissed()),
    };
  }

  /** Whether there is no entry, and none on its way. A folder that is not open may hold anything. */
  get isEmpty(): boolean {
    return this.supervisor.store?.isEmpty ?? this.supervisor.isVacant;
  }

  /** Names this life of the folder: a voided one starts another. */
  get generation(): string {
    return this.currentGeneration;
  }

  async append(rows: readonly LogRow[]): Promise<void> {
    for (const row of rows) if (row.row === 'ceiling' && row.position > this.ceiling) this.ceiling = row.position;
    await this.change(
      (store) =>
        store.append((batch) => {
          for (const row of rows) this.log?.write(batch, row);
        }),
      undefined,
    );
  }

  /**
   * Sets the folder aside, so that no removal that it missed is ever served again, and starts afresh. Rejects when that
   * is not certain, and in a process that does not own the folder.
   */
  invalidateAll(): Promise<void> {
    return this.supervisor.empty();
  }

  protected accepts(environment: Environment, store: EntryStore): boolean {
    const log = new StoredLog(environment);
    const generation = log.generation();
    const isKnown = generation === undefined ? this.isFollowed : generation === this.currentGeneration;
    if (generation === undefined && (store.lanes().length > 0 || !log.isEmpty)) return false;
    const found = log.read();
    if (generation !== undefined && !isKnown && this.history?.knows(found.place) === false) return false;
    this.log = log;
    this.currentGeneration = generation ?? randomId();
    if (!isKnown) {
      this.found = { ...found, latestTime: Math.max(found.latestTime, store.seenAt) };
      this.isFound = true;
    }
    this.ceiling = Math.max(this.ceiling, this.found.ceiling);
    return true;
  }

  protected override serving(): void {
    if (!this.isFound || this.adopt === undefined) return;
    this.isFound = false;
    this.isFollowed = true;
    this.adopt();
  }

  protected begin(batch: EntryBatch): void {
    this.log?.begin(batch, this.currentGeneration, this.ceiling, this.history?.place);
  }
}

/**
 * Of the tables and of what their rows mean. A folder of another one is set aside, not read. In 1 an entry has its own rows of the
 * index. No release has written 2.
 */
const LAYOUT = 3;
const READ_LAYOUTS: readonly string[] = ['1', '3'];

/** The stored part of the invalidation log, beside the entries that it judges. */
class StoredLog {
  private readonly table: Table;

  constructor(environment: Environment) {
    this.table = environment.table('log');
  }

  get isEmpty(): boolean {
    return this.table.keys({ limit: 1 })[Symbol.iterator]().next().done === true;
  }

  /** Which life of the folder the entries and the log belong to; `undefined` when none is noted, or of another layout. */
  generation(): string | undefined {
    const row = this.table.get('generation');
    const [layout, id] = row === undefined ? [] : Buffer.from(row).toString('utf8').split(' ');
    return layout !== undefined && READ_LAYOUTS.includes(layout) ? id : undefined;
  }

  /** `place` counts for a new folder. An older one has its own. */
  begin(batch: EntryBatch, generation: string, ceiling: number, place: StoredPlace | undefined): void {
    if (place !== undefined && this.place() === undefined) this.write(batch, { row: 'place', ...place });
    batch.set(this.table, 'generation', Buffer.from(`${LAYOUT} ${generation}`));
    batch.set(this.table, 'ceiling', encode(ceiling));
  }

  read(): LogState {
    return {
      ceiling: this.number('ceiling'),
      tagFloor: this.number('tag-floor'),
      expireFloor: this.number('expire-floor'),
      tagAt: new Map(this.marked('tag').map(toPosition)),
      expiredTagAt: new Map(this.marked('expired-tag').map(toExpiredTag)),
      clearAt: new Map(this.marked('clear').map(toPosition)),
      latestTime: this.number('time'),
      cursor: this.cursor(),
      place: this.place(),
    };
  }

  write(batch: EntryBatch, row: LogRow): void {
    switch (row.row) {
      case 'tag':
        return batch.set(this.table, ['tag', JSON.stringify(row.tag)], encode(row.position));
      case 'expired-tag':
        return batch.set(this.table, ['expired-tag', JSON.stringify(row.tag)], encode(row.position, row.at));
      case 'clear':
        return batch.set(this.table, ['clear', JSON.stringify(row.lane)], encode(row.position));
      case 'time':
        return batch.set(this.table, 'time', encode(row.at));
      case 'cursor':
        return batch.set(this.table, 'cursor', Buffer.from(`${row.sequence} ${row.generation}`));
      case 'place':
        return batch.set(this.table, 'place', Buffer.from(`${row.position} ${row.checksum} ${row.generation}`));
      case 'tag-floor':
        this.drop(batch, 'tag', row.dropped);
        break;
      case 'expire-floor':
        this.drop(batch, 'expired-tag', row.dropped);
        break;
      case 'ceiling':
        break;
    }
    batch.set(this.table, row.row, encode(row.position));
  }

  private drop(batch: EntryBatch, kind: string, tags: readonly string[]): void {
    for (const tag of tags) batch.unset(this.table, [kind, JSON.stringify(tag)]);
  }

  private number(name: string): number {
    const row = this.table.get(name);
    return row === undefined ? 0 : decode(row)[0];
  }

  private cursor(): StoredCursor | undefined {
    const row = this.table.get('cursor');
    if (row === undefined) return undefined;
    const [sequence = '', generation = ''] = Buffer.from(row).toString('utf8').split(' ');
    return { generation, sequence: Number(sequence) };
  }

  private place(): StoredPlace | undefined {
    const row = this.table.get('place');
    if (row === undefined) return undefined;
    const [position = '', checksum = '', generation = ''] = Buffer.from(row).toString('utf8').split(' ');
    return { generation, position: Number(position), checksum: Number(checksum) };
  }

  /** Subjects lie as JSON, which keeps lone surrogates that UTF-8 would lose. */
  private marked(kind: string): Marked[] {
    const found: Marked[] = [];
    for (const { key, value } of this.table.range({ start: [kind], end: [kind, '\uffff'] })) {
      const subject = typeof key === 'object' ? key[1] : undefined;
      if (typeof subject === 'string') found.push([JSON.parse(subject), decode(value)]);
    }
    return found;
  }
}

type Marked = readonly [subject: string, numbers: readonly [number, number]];

const toPosition = ([subject, [position]]: Marked): readonly [string, number] => [subject, position];
const toExpiredTag = ([subject, [position, at]]: Marked): readonly [string, ExpiredTag] => [subject, { position, at }];

function encode(first: number, second = 0): Uint8Array {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeDoubleLE(first, 0);
  bytes.writeDoubleLE(second, 8);
  return bytes;
}

function decode(row: Uint8Array): readonly [number, number] {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  return [bytes.readDoubleLE(0), bytes.readDoubleLE(8)];
}
