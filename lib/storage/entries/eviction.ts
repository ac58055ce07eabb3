import type { Keeper } from '../../eviction/lane-eviction.js';
import type { EntryBatch } from './write-queue.js';
import type { EntryIndex, EntryRow } from './entry-index.js';
import type { LaneRules, LaneCount, LaneUsage } from './entry-tables.js';
import { StorageFault } from '../environment.js';

/** How many of the least recently used a priority chooses among. */
const WINDOW = 64;
const READ_AHEAD = 32;
/** Where only a sample of the keys is known, so many entries are looked at for one that may go. */
const MOST_LOOKED_AT = 64;

/** Who leaves a lane that is beyond its limits, for the length of one batch. */
class Eviction {
  /** Candidates of a lane with a priority. */
  private readonly window: { readonly row: EntryRow; readonly priority: number }[] = [];
  /** Stored rows read ahead, and where to read on. */
  private stored: readonly EntryRow[] = [];
  private index = 0;
  private from = 0;
  /** The last of the batch's own rows that was looked at. */
  private after = 0;

  constructor(
    private readonly entries: EntryIndex,
    private readonly batch: EntryBatch,
    private readonly lane: string,
    private readonly rules: LaneRules,
    /** Where the search for what may go was ended last, for lanes of which only a sample is known. */
    private readonly hand: { sequence: number },
  ) {
    if (rules.keeper?.order === 'scan') this.from = hand.sequence;
  }

  /** Evicts until `count` is within the rules, at most `limit` entries, and reports each. Returns how many. */
  enforce(count: LaneCount, evicted: (row: EntryRow, reason: 'entries' | 'bytes') => void, limit: number): number {
    let gone = 0;
    while (gone < limit) {
      const reason = exceeded(count, this.rules);
      const victim = reason === undefined ? undefined : this.next();
      if (reason === undefined || victim === undefined) break;
      this.batch.evict(this.lane, victim);
      evicted(victim, reason);
      gone++;
    }
    return gone;
  }

  private next(): EntryRow | undefined {
    const { priority, keeper } = this.rules;
    if (keeper?.order === 'named') return this.named(keeper) ?? this.pull();
    if (keeper?.order === 'scan') return this.scanned(keeper);
    if (priority === undefined) return this.pull();
    while (this.window.length < WINDOW) {
      const row = this.pull();
      if (row === undefined) break;
      this.window.push({ row, priority: judge(priority, row, this.batch.now) });
    }
    let chosen = 0;
    for (let index = 1; index < this.window.length; index++) {
      if ((this.window[index]?.priority ?? 0) > (this.window[chosen]?.priority ?? 0)) chosen = index;
    }
    const victim = this.window.splice(chosen, 1)[0]?.row;
    return victim === undefined || this.isCurrent(victim) ? victim : this.next();
  }

  /** Undefined if the lane's policy would keep all that it knows. */
  private named(keeper: Keeper): EntryRow | undefined {
    for (let key = keeper.victim(); key !== undefined; key = keeper.victim()) {
      const row = this.batch.find(this.lane, key);
      if (row !== undefined) return row;
      keeper.evicted(key);
    }
    return undefined;
  }

  /** Goes on from where the last search ended, and passes over what would be kept. */
  private scanned(keeper: Keeper): EntryRow | undefined {
    let row = this.pull();
    if (row === undefined) {
      this.index = this.stored.length;
      this.from = 0;
      row = this.pull();
    }
    for (let looked = 1; row !== undefined && looked < MOST_LOOKED_AT && keeper.keeps(row); looked++) {
      row = this.pull() ?? row;
    }
    if (row !== undefined) this.hand.sequence = row.sequence + 1;
    return row;
  }

  /** The least recently used entry that was not considered yet. Entries of the batch are younger than all others. */
  private pull(): EntryRow | undefined {
    for (let row = this.nextStored(); row !== undefined; row = this.nextStored()) {
      if (this.batch.isUntouched(this.lane, row)) return row;
    }
    for (const row of this.batch.newest(this.lane)) {
      if (row.sequence <= this.after) continue;
      this.after = row.sequence;
      return row;
    }
    return undefined;
  }

  private nextStored(): EntryRow | undefined {
    if (this.index === this.stored.length && this.from !== Infinity) {
      this.stored = this.entries.leastRecent(this.lane, this.from, READ_AHEAD);
      this.index = 0;
      this.from = (this.stored.at(-1)?.sequence ?? Infinity) + 1;
    }
    return this.stored[this.index++];
  }

  /** A row in the window may have been replaced by a later change of the same batch. */
  private isCurrent(row: EntryRow): boolean {
    return this.batch.find(this.lane, row.key)?.sequence === row.sequence;
  }
}

function exceeded(count: LaneCount, rules: LaneRules): 'entries' | 'bytes' | undefined {
  if (count.entries > rules.maxEntries) return 'entries';
  return count.sizeBytes > rules.maxBytes ? 'bytes' : undefined;
}

/** A priority that throws or is not a number is ignored: the least recently used entry is evicted. */
function judge(priority: NonNullable<LaneRules['priority']>, row: EntryRow, now: number): number {
  try {
    const value = priority(row, now);
    return Number.isNaN(value) ? Infinity : value;
  } catch {
    return Infinity;
  }
}

/** Called for each entry that was evicted by its lane's limits, or expired. */
export type EntryGone = (lane: string, key: string, reason: 'entries' | 'bytes' | 'expired') => void;

/** Keeps lanes within their rules, batch by batch. */
export class LaneLimits {
  /** Of the batch being filled. */
  private readonly evictions = new Map<string, Eviction>();
  private readonly hands = new Map<string, { sequence: number }>();

  constructor(
    private readonly entries: EntryIndex,
    private readonly usage: LaneUsage,
    private readonly gone: EntryGone,
  ) {}

  /** Starts another batch: what was read for the last one is out of date. */
  startBatch(): void {
    this.evictions.clear();
  }

  /** Whether a batch of this size may evict something. */
  mayEvict(
    lanes: ReadonlyMap<string, LaneRules>,
    batch: { readonly entries: number; readonly bytes: number },
  ): boolean {
    for (const [lane, rules] of lanes) {
      // Such a lane does not go by recency on disk.
      if (rules.keeper?.order === 'named') continue;
      const { entries, sizeBytes } = this.usage.of(lane);
      if (entries + batch.entries > rules.maxEntries || sizeBytes + batch.bytes > rules.maxBytes) return true;
    }
    return false;
  }

  /** Evicts within the batch until the lane is within its rules, at most `limit` entries. Returns how many went. */
  enforce(batch: EntryBatch, lane: string, rules: LaneRules, limit: number): number {
    const count = this.usage.of(lane);
    if (exceeded(count, rules) === undefined) return 0;
    let eviction = this.evictions.get(lane);
    if (eviction === undefined) {
      let hand = this.hands.get(lane);
      if (hand === undefined) this.hands.set(lane, (hand = { sequence: 0 }));
      this.evictions.set(lane, (eviction = new Eviction(this.entries, batch, lane, rules, hand)));
    }
    return eviction.enforce(count, (row, reason) => this.gone(lane, row.key, reason), limit);
  }

  /** Removes at most `limit` entries that have ended, found by index, and one at least. Returns how many went. */
  removeExpired(batch: EntryBatch, lane: string, limit: number, isSpent: () => boolean): number {
    let gone = 0;
    for (const key of this.entries.expired(lane, batch.now, limit)) {
      if (!batch.remove(lane, key)) throw new StorageFault('damaged', `lane '${lane}' has an expiry without its entry`);
      this.gone(lane, key, 'expired');
      gone++;
      if (isSpent()) break;
    }
    return gone;
  }
}

/** So many uses are taken down as they come before they are put in order: most are overtaken by the key's next use. */
const UNORDERED = 16_384;
/** Writing a use down costs about as much as an entry, so it waits until there are so many to write. */
const MANY = 8_192;

interface KeyUses {
  readonly key: string;
  uses: number;
}

/** The uses of one lane. */
class LaneUses {
  /** As they came. */
  unordered: string[] = [];
  /** How often each key was used, the one used last first. */
  ordered: KeyUses[] = [];

  order(): void {
    const { unordered, ordered: earlier } = this;
    if (unordered.length === 0) return;
    const byKey = new Map<string, KeyUses>();
    const ordered: KeyUses[] = [];
    for (let at = unordered.length - 1; at >= 0; at--) {
      const key = unordered[at] ?? '';
      const seen = byKey.get(key);
      if (seen !== undefined) seen.uses++;
      else {
        const first = { key, uses: 1 };
        byKey.set(key, first);
        ordered.push(first);
      }
    }
    for (const before of earlier) {
      const seen = byKey.get(before.key);
      if (seen === undefined) ordered.push(before);
      else seen.uses += before.uses;
    }
    this.ordered = ordered;
    this.unordered = [];
  }
}

/** Uses that are not yet in the order of recency on disk. */
export class RecencyLog {
  private readonly lanes = new Map<string, LaneUses>();
  private unordered = 0;
  private ordered = 0;
  private isAsked = false;

  /** Whether they should be written down before there are more. */
  get areDue(): boolean {
    return this.ordered >= MANY || (this.isAsked && !this.isEmpty);
  }

  /** They are to be written down whether they are many or not. */
  ask(): void {
    this.isAsked = true;
  }

  get isEmpty(): boolean {
    return this.unordered + this.ordered === 0;
  }

  note(lane: string, key: string): void {
    let uses = this.lanes.get(lane);
    if (uses === undefined) this.lanes.set(lane, (uses = new LaneUses()));
    uses.unordered.push(key);
    this.unordered++;
    if (this.unordered === UNORDERED) this.order();
  }

  /** Writes as many uses as fit into the batch, the oldest first. Uses that came later wait for the next batch. */
  applyTo(batch: EntryBatch, isSpent: () => boolean): void {
    if (this.ordered === 0) this.order();
    for (const [lane, { ordered }] of this.lanes) {
      for (let oldest = ordered.at(-1); oldest !== undefined; oldest = ordered.at(-1)) {
        if (isSpent()) return;
        ordered.pop();
        this.ordered--;
        batch.touch(lane, oldest.key, oldest.uses);
      }
    }
    if (this.isEmpty) this.isAsked = false;
  }

  private order(): void {
    if (this.unordered === 0) return;
    for (const uses of this.lanes.values()) uses.order();
    this.unordered = 0;
    this.ordered = 0;
    for (const { ordered } of this.lanes.values()) this.ordered += ordered.length;
  }
}
