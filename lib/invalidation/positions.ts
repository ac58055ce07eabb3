import type { LogJournal, LogRow } from './journal.js';

/** Positions reserved ahead in the journal at a time. */
const CEILING_STEP = 65_536;
export const STORED = Promise.resolve();

/**
 * The counter of the log, and its journal.
 *
 * Positions are reserved in the journal ahead of use, and so ahead of every entry that is born at them: after a restart
 * the count goes on above all that was ever used.
 */
export class Positions {
  private at = 0;
  private ceiling = 0;

  constructor(private journal: LogJournal | undefined) {}

  get current(): number {
    return this.at;
  }

  next(): number {
    this.at++;
    this.reserve();
    return this.at;
  }

  /** Goes on above what `journal` has seen, and stores there from now on. */
  goOn(journal: LogJournal): void {
    this.journal = journal;
    this.at = Math.max(this.at, journal.initial.ceiling);
    this.ceiling = this.at;
    this.reserve();
  }

  /** Rejects when the journal could not store the rows. Resolved already where there is no journal. */
  store(rows: readonly LogRow[]): Promise<void> {
    return this.journal === undefined || rows.length === 0 ? STORED : this.journal.append(rows);
  }

  private reserve(): void {
    if (this.journal === undefined || this.at + CEILING_STEP / 2 < this.ceiling) return;
    this.ceiling = this.at + CEILING_STEP;
    // A journal that fails has its tier voided by whoever owns it; a lost reservation is then without effect.
    this.store([{ row: 'ceiling', position: this.ceiling }]).catch(() => undefined);
  }
}
