import { randomId } from '../clock/random.js';
import type { TierOffReason } from '../events/reasons.js';
import { EMPTY_LOG, type LogJournal, type LogRow, type LogState } from '../invalidation/journal.js';
import type { EntryBatch } from '../storage/entries/entry-batch.js';
import type { EntryStore } from '../storage/entries/entry-store.js';
import type { Environment } from '../storage/environment.js';
import type { EnvironmentSource } from './environment-source.js';
import { StoredLog } from './stored-log.js';
import { StoredTier, type StoredTierOptions } from './stored-tier.js';

/** L3: entries that outlive the process, beside the part of the invalidation log that judges them. */
export class PersistentTier extends StoredTier implements LogJournal {
  private log: StoredLog | undefined;
  private currentGeneration = randomId();
  /** Survives the emptying of the folder: entries that come afterwards are born under it. */
  private ceiling = 0;

  /** What the folder said when it was opened, and whether somebody has yet to go on from it. */
  private found: LogState = EMPTY_LOG;
  private isFound = false;
  /** Whether a log is kept here: then nothing is invalidated without the folder being told, or voided. */
  isFollowed = false;
  private adopt: (() => void) | undefined;

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
   * From here on `adopt` is called whenever another folder begins to serve than the one of which `initial` tells now:
   * what is stored there must not be judged without its part of the log.
   */
  whenFound(adopt: () => void): void {
    this.adopt = adopt;
    this.isFound = false;
    this.isFollowed = this.keeper.isAttached;
  }

  /** Something was invalidated of which the folder knows nothing: what it holds now is never served. */
  missed(): void {
    this.keeper.miss();
  }

  /** Whether there is no entry, and none on its way. A folder that is not open may hold anything. */
  get isBare(): boolean {
    return this.keeper.store?.isBare ?? this.keeper.isVacant;
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
  void(): Promise<void> {
    return this.keeper.empty();
  }

  protected accepts(environment: Environment, store: EntryStore): boolean {
    const log = new StoredLog(environment);
    const generation = log.generation();
    const isKnown = generation === undefined ? this.isFollowed : generation === this.currentGeneration;
    if (generation === undefined && (store.lanes().length > 0 || !log.isEmpty)) return false;
    this.log = log;
    this.currentGeneration = generation ?? randomId();
    const found = log.read();
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
    this.log?.begin(batch, this.currentGeneration, this.ceiling);
  }
}
