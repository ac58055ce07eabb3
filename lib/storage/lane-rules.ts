import type { EntryRow } from './entry-row.js';

/** What a lane may hold in a store, and who goes first. */
export interface LaneRules {
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** Records of at least so many bytes are compressed; absent = none. */
  readonly compressFrom?: number;
  /** Among the least recently used the highest goes first; absent = the least recently used itself. */
  readonly priority?: (entry: EntryRow, now: number) => number;
}

/** An entry as it comes into the store. */
export interface StoredRecord {
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
  /** Epoch ms from which the record is of no use at all. */
  readonly expiresAt: number;
  readonly computeMs: number;
  readonly bytes: Uint8Array;
}
