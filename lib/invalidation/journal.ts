import type { InvalidationKind } from '../events/reasons.js';

/** One invalidation, in the order of the log. */
export interface LogRecord {
  readonly position: number;
  readonly kind: InvalidationKind;
  /** `null` reaches all lanes (tags). */
  readonly lane: string | null;
  readonly subject: string;
}

/** When a tag's entries were put past their ttl. */
export interface ExpiredTag {
  readonly position: number;
  /** Life time of the call, epoch ms. */
  readonly at: number;
}

/** What of the log outlives the process. Absent numbers are 0. */
export interface LogState {
  /** No entry and no row beside this state was written at a position above it. */
  readonly ceiling: number;
  readonly tagFloor: number;
  readonly expireFloor: number;
  readonly tagAt: ReadonlyMap<string, number>;
  readonly expiredTagAt: ReadonlyMap<string, ExpiredTag>;
  /** lane -> position */
  readonly clearAt: ReadonlyMap<string, number>;
  /** The highest life time seen, epoch ms: a wall clock set back over a restart lengthens no life. */
  readonly latestTime: number;
  /** Up to where the shared log has been followed; absent if it never was. */
  readonly cursor?: StoredCursor | undefined;
}

/** A place in the log that instances share. */
export interface StoredCursor {
  readonly generation: string;
  readonly sequence: number;
}

/** A change of the stored state; all rows of one `append` are stored in one transaction. */
export type LogRow =
  | { readonly row: 'ceiling'; readonly position: number }
  | { readonly row: 'tag'; readonly tag: string; readonly position: number }
  | { readonly row: 'expired-tag'; readonly tag: string; readonly position: number; readonly at: number }
  | { readonly row: 'clear'; readonly lane: string; readonly position: number }
  | { readonly row: 'tag-floor'; readonly position: number; readonly dropped: readonly string[] }
  | { readonly row: 'expire-floor'; readonly position: number; readonly dropped: readonly string[] }
  | { readonly row: 'time'; readonly at: number }
  | ({ readonly row: 'cursor' } & StoredCursor);

/** Where the log is kept beside the entries it judges: the persistent tier. */
export interface LogJournal {
  /** As it was found when the tier was opened; empty for a new or emptied tier. */
  readonly initial: LogState;
  /** In order with the tier's own writes and removals. Resolves when durable; rejects when it is not known to be. */
  append(rows: readonly LogRow[]): Promise<void>;
}

/** The state of a journal that has recorded nothing. */
export const EMPTY_LOG: LogState = Object.freeze({
  ceiling: 0,
  tagFloor: 0,
  expireFloor: 0,
  tagAt: new Map<string, number>(),
  expiredTagAt: new Map<string, ExpiredTag>(),
  clearAt: new Map<string, number>(),
  latestTime: 0,
});
