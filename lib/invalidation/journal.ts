import type { InvalidationKind } from '../events/reasons.js';

/** One invalidation, in the order of the log. */
export interface LogRecord {
  readonly position: number;
  readonly kind: InvalidationKind;
  /** `null` reaches all lanes (tags). */
  readonly lane: string | null;
  readonly subject: string;
}

/** When the ttl of a tag's entries was ended. */
export interface ExpiredTag {
  readonly position: number;
  /** Epoch ms, by the life clock. */
  readonly at: number;
}

/** The part of the log that outlives the process. Absent numbers are 0. */
export interface LogState {
  /** No entry and no row was written at a position above it. */
  readonly ceiling: number;
  readonly tagFloor: number;
  readonly expireFloor: number;
  readonly tagAt: ReadonlyMap<string, number>;
  readonly expiredTagAt: ReadonlyMap<string, ExpiredTag>;
  /** lane -> position */
  readonly clearAt: ReadonlyMap<string, number>;
  /** The latest time seen, epoch ms. A wall clock that is set back over a restart lengthens no ttl. */
  readonly latestTime: number;
  /** Up to where the shared log has been followed. Absent if it never was. */
  readonly cursor?: StoredCursor | undefined;
  /** Up to where the log of the host has been followed. Absent if it never was. */
  readonly place?: StoredPlace | undefined;
}

/** A place in the log of the host. The checksum of the record before it shows whether it is a place of this history. */
export interface StoredPlace {
  readonly generation: string;
  readonly position: number;
  readonly checksum: number;
}

/** A place in the shared log. */
export interface StoredCursor {
  readonly generation: string;
  readonly sequence: number;
}

/** A change of the stored state. All rows of one `append` are stored in one transaction. */
export type LogRow =
  | { readonly row: 'ceiling'; readonly position: number }
  | { readonly row: 'tag'; readonly tag: string; readonly position: number }
  | { readonly row: 'expired-tag'; readonly tag: string; readonly position: number; readonly at: number }
  | { readonly row: 'clear'; readonly lane: string; readonly position: number }
  | { readonly row: 'tag-floor'; readonly position: number; readonly dropped: readonly string[] }
  | { readonly row: 'expire-floor'; readonly position: number; readonly dropped: readonly string[] }
  | { readonly row: 'time'; readonly at: number }
  | ({ readonly row: 'cursor' } & StoredCursor)
  | ({ readonly row: 'place' } & StoredPlace);

/** Where the log is stored: in the persistent tier, with the entries that it judges. */
export interface LogJournal {
  /** As it was when the tier was opened. Empty for a new or emptied tier. */
  readonly initial: LogState;
  /** Appends in order with the tier's own writes and removals. Resolves when durable. Rejects when it is not known to be. */
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
