import type { InvalidationKind } from '../events/reasons.js';

/** One thing that no longer counts, in the order in which it was said. */
export interface LogRecord {
  readonly position: number;
  readonly kind: InvalidationKind;
  /** `null` reaches all lanes (tags). */
  readonly lane: string | null;
  readonly subject: string;
}

/** What of the log outlives the process. Absent numbers are 0. */
export interface LogState {
  /** No entry and no row beside this state was written at a position above it. */
  readonly ceiling: number;
  readonly tagFloor: number;
  readonly expireFloor: number;
  readonly tagAt: ReadonlyMap<string, number>;
  readonly expiredTagAt: ReadonlyMap<string, number>;
  /** lane -> position */
  readonly clearAt: ReadonlyMap<string, number>;
}

/** A change of the stored state; all rows of one `append` are stored in one transaction. */
export type LogRow =
  | { readonly row: 'ceiling'; readonly position: number }
  | { readonly row: 'tag'; readonly tag: string; readonly position: number }
  | { readonly row: 'expired-tag'; readonly tag: string; readonly position: number }
  | { readonly row: 'clear'; readonly lane: string; readonly position: number }
  | { readonly row: 'tag-floor'; readonly position: number; readonly dropped: readonly string[] }
  | { readonly row: 'expire-floor'; readonly position: number; readonly dropped: readonly string[] };

/** Where the log is kept beside the entries it judges: the persistent tier. */
export interface LogJournal {
  /** As it was found when the tier was opened; empty for a fresh or voided tier. */
  readonly initial: LogState;
  /** In order with the tier's own writes and removals. Resolves when durable; rejects when it is not known to be. */
  append(rows: readonly LogRow[]): Promise<void>;
}
