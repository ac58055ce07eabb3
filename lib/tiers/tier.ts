import type { ResolvedLane } from '../lanes/policy.js';
import type { DecodedRecord, RecordReader } from '../entries/record.js';
import type { TierName } from '../entries/tier-name.js';
import type { TierOffReason } from '../events/reasons.js';
import type { StorageFaultKind } from '../storage/environment.js';

/** An entry as tiers hold it: the record's bytes, and beside them what a tier needs to know without decoding. */
export interface TierRecord {
  readonly key: string;
  readonly tags: readonly string[];
  /** Position in the invalidation log at which the computation of the value started. */
  readonly birth: number;
  /** Epoch ms after which the record is of no use at all (its ttl plus its grace). */
  readonly expiresAt: number;
  /** What computing the value took. */
  readonly computeMs: number;
  /** The encoded record, see `entries/record.ts`; the same bytes in every tier. */
  readonly bytes: Uint8Array;
  /** The bytes opened and verified, where the tier had to do that anyway. */
  readonly opened?: DecodedRecord;
  /** The turn in which the value was computed, where processes take turns. */
  readonly turn?: string | undefined;
}

/** What a tier answers when it is asked for a key. */
export type TierLookup =
  /** `at`: when the tier read the record, by the clock by which entries live. Absent in an answer that was waited for. */
  | { readonly outcome: 'hit'; readonly record: TierRecord; readonly at?: number }
  | { readonly outcome: 'miss' }
  /** It has a record of the key that only another release of the library, or another Node, can read. */
  | { readonly outcome: 'unreadable' }
  | { readonly outcome: 'off'; readonly reason: TierOffReason };

/** Whether a tier works, and why it is off. */
export interface TierState {
  readonly state: 'on' | 'off';
  /** Why the tier is off. */
  readonly reason?: TierOffReason;
}

/** How many entries of a lane a tier has, and their bytes. */
export interface TierUsage {
  readonly entries: number;
  readonly sizeBytes: number;
}

/** What becomes of a record that was offered. `backlog`: too much is waiting already; `disk-full`: there is no room for it. */
export type Offered = 'queued' | 'backlog' | 'disk-full' | 'off';

/** What a tier knows of an entry without reading its value. */
export interface TierRow {
  readonly key: string;
  readonly tags: readonly string[];
  readonly sizeBytes: number;
  readonly computeMs: number;
  readonly accessCount: number;
  readonly birth: number;
  readonly expiresAt: number;
  /** Its place in the order of use. */
  readonly sequence: number;
}

/**
 * A place where entries live. All tiers of an app serve all its lanes, each lane a space of its own.
 *
 * Calls take effect in the order in which they were made: a `remove` made after a `write` removes what it wrote. A tier
 * on disk reads what it has accepted; another may miss a `write` that has not settled. Promises of `write`, `remove`, `removeMatching`
 * and `clear` settle when the change is in place for every later `read`; they reject when it is not known to be.
 */
export interface Tier {
  readonly name: TierName;
  readonly state: TierState;
  /** What is away for a moment is waited for, unless that may take longer than `patienceMs`. */
  read(lane: string, key: string, patienceMs?: number): TierLookup | Promise<TierLookup>;
  /** As `read`, for a caller who wants the value, and its bytes only by exception. Absent where that is no faster. */
  readValue?(lane: string, key: string, reader: RecordReader, patienceMs?: number): TierLookup | Promise<TierLookup>;
  /** As `read`, without counting as use. Absent where reading leaves no trace. */
  peek?(lane: string, key: string): TierLookup | Promise<TierLookup>;
  write(lane: string, record: TierRecord): void | Promise<void>;
  /** Like `write`, for callers that do not wait. Returns whether the record was accepted, or why not. Absent where `write` is as cheap. */
  offer?(lane: string, record: TierRecord): Offered;
  /**
   * Undefined while a bulk write may go on. Else resolves when some of what waits is written or given up, after which it is
   * asked again. Absent where nothing waits.
   */
  whenRoom?(): Promise<void> | undefined;
  /** A newer value of the key is not written here, so what is stored of it is never read again. Absent where that cannot be. */
  supersede?(lane: string, key: string): void;
  /** Whether there was something to remove. */
  remove(lane: string, key: string): boolean | Promise<boolean>;
  /** As `remove`, of several keys at once; how many there were. Absent where that is no faster. */
  removeKeys?(lane: string, keys: readonly string[]): Promise<number>;
  /** How many records went. */
  removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number>;
  clear(lane: string): Promise<void>;
  usage(lane: string): TierUsage;
  keys(lane: string): AsyncIterable<string>;
  /**
   * At most `limit` entries of the lane whose place in the order of use is before `before`, the most recently used first.
   * Absent, or undefined, where the tier cannot be read in parts.
   */
  rows?(lane: string, before: number, limit: number): readonly TierRow[] | undefined;
  /** Optional. Accepts a lane that was not there at boot, such as the one in which a lane is measured. */
  addLane?(lane: string, rules: ResolvedLane): void;
  /** One round of housekeeping. Removes what expired, and what is beyond the lane's limits. */
  sweep(lane: string): Promise<{ readonly expired: number; readonly evicted: number }>;
  /** Everything accepted so far is in place, or has been given up with an event. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Removes several keys of a tier. Resolves to how many there were. */
export async function removeKeysFrom(tier: Tier, lane: string, keys: readonly string[]): Promise<number> {
  if (tier.removeKeys !== undefined) return tier.removeKeys(lane, keys);
  const removed = await Promise.all(keys.map(async (key) => tier.remove(lane, key)));
  return removed.filter(Boolean).length;
}

/** A record that was found and opened. Where its bytes have to be made anew, that waits until they are wanted. */
export class FoundRecord implements TierRecord {
  constructor(
    readonly opened: DecodedRecord,
    readonly expiresAt = opened.staleUntil,
  ) {}

  get key(): string {
    return this.opened.key;
  }

  get tags(): readonly string[] {
    return this.opened.tags;
  }

  get birth(): number {
    return this.opened.birth;
  }

  get computeMs(): number {
    return this.opened.computeMs;
  }

  get bytes(): Uint8Array {
    return this.opened.bytes;
  }
}

const REASONS: Partial<Record<StorageFaultKind, TierOffReason>> = {
  'disk-full': 'disk-full',
  'read-only': 'read-only',
  'not-permitted': 'read-only',
  damaged: 'quarantined',
};

/** The reason that a tier or a store shows for a fault of the disk. */
export function offReasonOf(kind: StorageFaultKind): TierOffReason {
  return REASONS[kind] ?? 'breaker';
}
