import type { TierName } from '../../lib/entries/tier-name.js';
import {
  EMPTY_LOG,
  type ExpiredTag,
  type LogJournal,
  type LogRow,
  type LogState,
} from '../../lib/invalidation/journal.js';
import type { Tier, TierLookup, TierRecord, TierState, TierUsage } from '../../lib/tiers/tier.js';
import type { Jobs } from './jobs.js';

/** What outlives the process: entries, and the log beside them. */
export class ModelDisk {
  entries = new Map<string, TierRecord>();
  ceiling = 0;
  tagFloor = 0;
  expireFloor = 0;
  tagAt = new Map<string, number>();
  expiredTagAt = new Map<string, ExpiredTag>();
  clearAt = new Map<string, number>();
  latestTime = 0;
  /** A process that does not own the disk left word that it invalidated something. */
  hasMissed = false;

  get log(): LogState {
    const { ceiling, tagFloor, expireFloor, latestTime } = this;
    const [tagAt, expiredTagAt, clearAt] = [new Map(this.tagAt), new Map(this.expiredTagAt), new Map(this.clearAt)];
    return { ceiling, tagFloor, expireFloor, latestTime, tagAt, expiredTagAt, clearAt };
  }

  empty(ceiling: number): void {
    this.entries = new Map();
    this.ceiling = ceiling;
    this.tagFloor = this.expireFloor = 0;
    this.tagAt = new Map();
    this.expiredTagAt = new Map();
    this.clearAt = new Map();
  }

  write(row: LogRow): void {
    switch (row.row) {
      case 'ceiling':
        this.ceiling = row.position;
        break;
      case 'tag':
        this.tagAt.set(row.tag, row.position);
        break;
      case 'expired-tag':
        this.expiredTagAt.set(row.tag, { position: row.position, at: row.at });
        break;
      case 'clear':
        this.clearAt.set(row.lane, row.position);
        break;
      case 'tag-floor':
        this.tagFloor = row.position;
        for (const tag of row.dropped) this.tagAt.delete(tag);
        break;
      case 'expire-floor':
        this.expireFloor = row.position;
        for (const tag of row.dropped) this.expiredTagAt.delete(tag);
        break;
      case 'time':
        this.latestTime = Math.max(this.latestTime, row.at);
        break;
    }
  }
}

interface QueuedChange {
  /** What a write puts there. */
  readonly written?: { readonly at: string; readonly record: TierRecord };
  readonly apply: () => void;
  readonly lose: (error: unknown) => void;
}

const MISS: TierLookup = Object.freeze({ outcome: 'miss' });

/**
 * A tier whose every step is a test's: its queue commits one change at a time, in order; a read looks in one step and
 * answers in another. It can break, losing what was queued, and be emptied as a whole.
 */
export class ModelTier implements Tier, LogJournal {
  /** How reads answer. */
  reads: 'at-once' | 'later' = 'at-once';
  /** Whether emptying it fails. */
  isStuck = false;
  isAttached = true;
  /** Whether its process has carried out what it has missed. */
  isFollowed = false;
  private isBroken = false;
  private queue: QueuedChange[] = [];
  private highestCeiling = 0;

  constructor(
    readonly name: Exclude<TierName, 'l1'>,
    private readonly lanes: readonly string[],
    readonly disk: ModelDisk,
    private readonly jobs: Jobs,
  ) {
    this.opened();
  }

  /** The disk is this one's from here on. */
  opened(): void {
    this.highestCeiling = Math.max(this.highestCeiling, this.disk.ceiling);
  }

  get state(): TierState {
    return this.isBroken ? { state: 'off', reason: 'breaker' } : { state: 'on' };
  }

  get isEmpty(): boolean {
    return this.disk.entries.size === 0 && this.queue.length === 0;
  }

  get queued(): number {
    return this.queue.length;
  }

  get initial(): LogState {
    return this.isAttached ? this.disk.log : EMPTY_LOG;
  }

  read(lane: string, key: string): TierLookup | Promise<TierLookup> {
    if (!this.serves(lane)) return { outcome: 'off', reason: 'policy' };
    if (this.isBroken) return Promise.reject(new Error(`${this.name} is broken`));
    if (this.reads === 'at-once') return this.find(lane, key);
    return new Promise((resolve) => {
      this.jobs.add(this, () => {
        const found = this.find(lane, key);
        this.jobs.add(this, () => resolve(found));
      });
    });
  }

  offer(lane: string, record: TierRecord): 'queued' | 'off' {
    if (!this.serves(lane) || this.isBroken) return 'off';
    void this.write(lane, record).catch(() => undefined);
    return 'queued';
  }

  write(lane: string, record: TierRecord): Promise<void> {
    const at = place(lane, record.key);
    return this.change(lane, () => void this.disk.entries.set(at, record), undefined, { at, record });
  }

  remove(lane: string, key: string): Promise<boolean> {
    return this.change(lane, () => this.disk.entries.delete(place(lane, key)), false);
  }

  removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number> {
    return this.change(
      lane,
      () => {
        let removed = 0;
        for (const [at, { key, tags }] of this.disk.entries)
          if (at === place(lane, key) && matches(key, tags) && this.disk.entries.delete(at)) removed++;
        return removed;
      },
      0,
    );
  }

  async clear(lane: string): Promise<void> {
    await this.removeMatching(lane, () => true);
  }

  append(rows: readonly LogRow[]): Promise<void> {
    for (const row of rows)
      if (row.row === 'ceiling') this.highestCeiling = Math.max(this.highestCeiling, row.position);
    return this.enqueue(() => {
      for (const row of rows) this.disk.write(row);
    });
  }

  usage(lane: string): TierUsage {
    const entries = [...this.disk.entries].filter(([at, { key }]) => at === place(lane, key));
    return { entries: entries.length, sizeBytes: entries.reduce((sum, [, { bytes }]) => sum + bytes.length, 0) };
  }

  async *keys(lane: string): AsyncIterable<string> {
    for (const [at, { key }] of [...this.disk.entries]) if (at === place(lane, key)) yield key;
  }

  sweep(): Promise<{ readonly expired: number; readonly evicted: number }> {
    return Promise.resolve({ expired: 0, evicted: 0 });
  }

  flush(): Promise<void> {
    return this.enqueue(() => undefined).catch(() => undefined);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The next change in the queue takes effect. */
  commit(): void {
    this.queue.shift()?.apply();
  }

  /** From here on it fails, and what was queued is lost; or it works again, with what it had. */
  fail(how: 'broken' | 'mended'): void {
    this.isBroken = how === 'broken';
    if (this.isBroken) this.lose();
  }

  /** Sets aside everything it holds. */
  empty(): Promise<void> {
    if (!this.isAttached || this.isStuck) return Promise.reject(new Error(`${this.name} cannot be emptied`));
    this.lose();
    this.isBroken = true;
    return new Promise((resolve) => {
      this.jobs.add(this, () => {
        this.disk.empty(this.highestCeiling);
        this.isBroken = false;
        resolve();
      });
    });
  }

  private serves(lane: string): boolean {
    return this.isAttached && this.lanes.includes(lane);
  }

  /** A write that waits is found, also behind a removal: what was removed is for the log to know until it is committed. */
  private find(lane: string, key: string): TierLookup {
    const at = place(lane, key);
    const waiting = this.queue.findLast(({ written }) => written?.at === at);
    const record = waiting?.written?.record ?? this.disk.entries.get(at);
    return record === undefined ? MISS : { outcome: 'hit', record };
  }

  private change<T>(lane: string, apply: () => T, ifElsewhere: T, written?: QueuedChange['written']): Promise<T> {
    return this.serves(lane) ? this.enqueue(apply, written) : Promise.resolve(ifElsewhere);
  }

  private enqueue<T>(apply: () => T, written?: QueuedChange['written']): Promise<T> {
    if (this.isBroken) return Promise.reject(new Error(`${this.name} is broken`));
    return new Promise((resolve, reject) =>
      this.queue.push({ ...(written && { written }), apply: () => resolve(apply()), lose: reject }),
    );
  }

  private lose(): void {
    const lost = this.queue;
    this.queue = [];
    for (const change of lost) change.lose(new Error(`${this.name} lost a change`));
  }
}

const place = (lane: string, key: string): string => `${lane} ${key}`;
