import type { Clock } from '../clock/clock.js';
import type { EventSink } from '../events/event-map.js';
import { physicalKey, type RecordReader } from '../entries/record.js';
import type { TierOffReason } from '../events/reasons.js';
import type { LaneRecorder } from '../events/recorder.js';
import type { ResolvedLane } from '../lanes/policy.js';
import type { EntryView } from '../lanes/strategy.js';
import type { EntryBatch, QueuedChange } from '../storage/entries/write-queue.js';
import { type EntryPlace, EntryStore, type RecordLookup } from '../storage/entries/entry-store.js';
import { StorageFault, type Environment } from '../storage/environment.js';
import { type EntryRow, SessionIndex } from '../storage/entries/entry-index.js';
import type { LaneRules } from '../storage/entries/entry-tables.js';
import { type EnvironmentSource, StoreSupervisor } from './store-supervisor.js';
import {
  FoundRecord,
  type Offered,
  type Tier,
  type TierLookup,
  type TierRecord,
  type TierRow,
  type TierState,
  type TierUsage,
} from './tier.js';

/** What a disk tier is given. */
export interface StoredTierOptions {
  readonly lanes: ReadonlyMap<string, ResolvedLane>;
  readonly clock: Clock;
  /** The time by which entries live. */
  readonly life: { now(): number };
  readonly events: EventSink;
  readonly recorder: (lane: string) => LaneRecorder | undefined;
  /** Called for every entry that had to go, or whose time was over. */
  readonly evicted?: (lane: string, key: string, tier: 'l2' | 'l3', reason: string) => void;
  /** How long `close` may take. Default 4,000. */
  readonly closeWithinMs?: number;
}

const MISS: TierLookup = { outcome: 'miss' };
const UNREADABLE: TierLookup = { outcome: 'unreadable' };
const OFF_BY_POLICY: TierLookup = { outcome: 'off', reason: 'policy' };
const NOTHING: TierUsage = { entries: 0, sizeBytes: 0 };
const CLOSE_WITHIN_MS = 4_000;
/** Of a lane with more entries on disk, the books hold a sample. */
const MOST_IN_BOOKS = 50_000;
/** Memory has 1. */
const RANKS = { l2: 2, l3: 3 } as const;

/**
 * A tier on disk. Its writes are behind the caller and in the order of the calls.
 *
 * While it is off it reads and writes nothing, and a removal rejects unless there is nothing to remove from. The caller of
 * the removal must then have the tier emptied.
 */
export abstract class StoredTier implements Tier {
  protected readonly supervisor: StoreSupervisor;
  private readonly rules: Map<string, LaneRules>;
  /** Made with the first of them. */
  private superseded: SupersededEntries | undefined;

  constructor(
    readonly name: 'l2' | 'l3',
    unattached: TierOffReason | undefined,
    protected readonly options: StoredTierOptions,
  ) {
    this.rules = diskRules(name, options.lanes);
    const { clock, events } = options;
    const failed = (lost: readonly QueuedChange[]): void => {
      for (const lane of this.rules.keys()) {
        options.recorder(lane)?.tierError(name);
        options.lanes.get(lane)?.eviction?.ended(name);
      }
      for (const { puts } of lost) if (puts !== undefined) this.supersede(puts.lane, puts.key);
    };
    this.supervisor = new StoreSupervisor({
      tier: name,
      clock,
      events,
      unattached,
      failed,
      admit: (environment) => this.admit(environment),
      serving: (store) => {
        this.superseded?.removeFrom(store);
        this.beginEvictions(store);
        this.serving();
      },
    });
  }

  addLane(lane: string, resolved: ResolvedLane): void {
    if (!resolved.policy[this.name].enabled) return;
    this.rules.set(lane, rulesOf(this.name, lane, resolved));
  }

  get state(): TierState {
    return this.supervisor.tierSwitch.state;
  }

  /** Opens the folder and serves. Never rejects: a folder that cannot be opened turns the tier off, and is tried again. */
  attach(source: EnvironmentSource): Promise<void> {
    return this.supervisor.attach(source);
  }

  /** Off until it is attached. The reason has been reported already. */
  hold(reason: TierOffReason): void {
    this.supervisor.hold(reason);
  }

  read(lane: string, key: string): TierLookup | Promise<TierLookup> {
    const { store } = this.supervisor;
    if (store === undefined || !this.rules.has(lane)) return this.off(lane);
    return this.superseded?.has(lane, key) === true ? MISS : this.lookup(store.read(lane, key));
  }

  readValue(lane: string, key: string, reader: RecordReader): TierLookup | Promise<TierLookup> {
    const { store } = this.supervisor;
    if (store === undefined || !this.rules.has(lane)) return this.off(lane);
    return this.superseded?.has(lane, key) === true ? MISS : this.lookup(store.readValue(lane, key, reader));
  }

  peek(lane: string, key: string): TierLookup | Promise<TierLookup> {
    const { store } = this.supervisor;
    if (store === undefined || !this.rules.has(lane)) return this.off(lane);
    return this.superseded?.has(lane, key) === true ? MISS : this.lookup(store.peek(lane, key));
  }

  /** Accepts the record without waiting for the disk, or returns why not. `settled` is called when it is written or given up. */
  offer(lane: string, record: TierRecord, settled?: (fault: StorageFault | undefined) => void): Offered {
    if (!this.rules.has(lane)) return 'off';
    const { store } = this.supervisor;
    const answer = store?.put(lane, record, settled) ?? (this.state.reason === 'disk-full' ? 'disk-full' : 'off');
    if (answer === 'queued') this.superseded?.forget(lane, record.key);
    else this.supersede(lane, record.key);
    return answer;
  }

  whenRoom(): Promise<void> | undefined {
    return this.supervisor.store?.whenRoom();
  }

  /** What is stored of the key is removed: now, or when the tier serves again. It is not read before that. */
  supersede(lane: string, key: string): void {
    const { supervisor } = this;
    // A removal that is lost taints the folder, so that it is emptied.
    if (supervisor.store !== undefined) supervisor.store.remove(lane, key).catch(() => undefined);
    else if (supervisor.isAttached && !supervisor.isVacant) {
      this.superseded ??= new SupersededEntries();
      if (!this.superseded.add(lane, key)) supervisor.miss();
    }
  }

  /** Rejects with `StorageFault` when the record was given up; resolves at once when the tier is off or has too much waiting. */
  write(lane: string, record: TierRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      const settled = (fault: StorageFault | undefined): void => (fault === undefined ? resolve() : reject(fault));
      if (this.offer(lane, record, settled) !== 'queued') resolve();
    });
  }

  remove(lane: string, key: string): Promise<boolean> {
    return this.change((store) => store.remove(lane, key), false);
  }

  removeKeys(lane: string, keys: readonly string[]): Promise<number> {
    return this.change((store) => store.removeKeys(lane, keys), 0);
  }

  removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number> {
    return this.change((store) => store.removeMatching(lane, matches), 0);
  }

  async clear(lane: string): Promise<void> {
    await this.removeMatching(lane, () => true);
  }

  /** Notes a use that the tier did not see, so that it evicts by when entries were used, wherever that was. */
  touch(lane: string, key: string): void {
    if (this.rules.has(lane)) this.supervisor.store?.touch(lane, key);
  }

  usage(lane: string): TierUsage {
    return this.supervisor.store?.usage(lane) ?? NOTHING;
  }

  async *keys(lane: string): AsyncGenerator<string> {
    for await (const { key } of this.entries(lane)) yield key;
  }

  rows(lane: string, before: number, limit: number): readonly TierRow[] {
    return this.supervisor.store?.mostRecent(lane, before, limit) ?? [];
  }

  /** The lane's entries, the least recently used first. Entries that change during the listing may be missing. */
  async *entries(lane: string): AsyncGenerator<EntryView> {
    const { store } = this.supervisor;
    if (store === undefined) return;
    for await (const row of store.entries(lane)) yield viewOf(this.name, row, this.options.life.now());
  }

  /** Also empties the lanes of which something is left but that do not use this tier any more. Ends early when the tier fails. */
  async sweep(lane: string): Promise<{ readonly expired: number; readonly evicted: number }> {
    const { store } = this.supervisor;
    const gone = { expired: 0, evicted: 0 };
    if (store === undefined) return gone;
    const unused = store.lanes().filter((other) => !this.rules.has(other) && other !== lane);
    try {
      for (const each of [lane, ...unused]) {
        const { expired, evicted } = await store.sweep(each);
        gone.expired += expired;
        gone.evicted += evicted;
      }
      await this.keepEviction(store, lane);
      await store.tend();
    } catch (error) {
      if (!(error instanceof StorageFault)) throw error;
    }
    return gone;
  }

  flush(): Promise<void> {
    return this.supervisor.store?.flush() ?? Promise.resolve();
  }

  close(): Promise<void> {
    const { store } = this.supervisor;
    if (store !== undefined) {
      for (const lane of this.rules.keys()) this.keepEviction(store, lane).catch(() => undefined);
    }
    return this.supervisor.close(this.options.closeWithinMs ?? CLOSE_WITHIN_MS);
  }

  /** A change that must not be missed. `ifVacant`: what it comes to when nothing is stored. */
  protected async change<T>(make: (store: EntryStore) => Promise<T>, ifVacant: T): Promise<T> {
    const { store } = this.supervisor;
    if (store !== undefined) return make(store);
    if (this.supervisor.isVacant) return ifVacant;
    throw this.supervisor.offFault;
  }

  /** Where the entries of the environment are found in memory. Undefined where the environment holds that too. */
  protected indexOf(_environment: Environment): SessionIndex | undefined {
    return undefined;
  }

  /** Whether what the environment holds may be served. */
  protected abstract accepts(environment: Environment, store: EntryStore): boolean;

  /** Called in the step in which the tier begins to serve, before anything can be read from it. */
  protected serving(): void {
    // nothing to get ready
  }

  /** What is written before the tier serves. */
  protected abstract begin(batch: EntryBatch): void;

  /** Adaptive lanes learn what the store holds already. */
  private beginEvictions(store: EntryStore): void {
    for (const [lane, { maxEntries, maxBytes }] of this.rules) {
      const eviction = this.options.lanes.get(lane)?.eviction;
      if (eviction === undefined) continue;
      eviction.serves(this.name, {
        maxEntries,
        maxBytes,
        rank: RANKS[this.name],
        mostInBooks: MOST_IN_BOOKS,
        state: store.evictionState(lane),
        entries: () => store.recentEntries(lane),
      });
    }
  }

  /** L2 ends with the process. */
  private async keepEviction(store: EntryStore, lane: string): Promise<void> {
    const state = this.name === 'l3' ? this.options.lanes.get(lane)?.eviction?.stateOf(this.name) : undefined;
    if (state !== undefined) await store.keepEviction(lane, state);
  }

  private async admit(environment: Environment): Promise<EntryStore | undefined> {
    let isAdmitted = false;
    const store: EntryStore = new EntryStore({
      environment,
      index: this.indexOf(environment),
      lanes: this.rules,
      clock: this.options.clock,
      now: () => this.options.life.now(),
      evicted: (lane, key, reason) => this.evicted(lane, key, reason),
      damaged: (lane) => this.options.recorder(lane)?.tierError(this.name),
      failed: (fault, lost) => {
        if (isAdmitted) this.supervisor.fail(fault, lost);
      },
    });
    if (!this.accepts(environment, store)) return undefined;
    await store.begin((batch) => this.begin(batch));
    isAdmitted = true;
    return store;
  }

  private off(lane: string): TierLookup {
    if (!this.rules.has(lane)) return OFF_BY_POLICY;
    return { outcome: 'off', reason: this.state.reason ?? 'breaker' };
  }

  private lookup(found: RecordLookup): TierLookup | Promise<TierLookup> {
    if (found === undefined) return MISS;
    if (found === 'unreadable') return UNREADABLE;
    const { life } = this.options;
    if (found instanceof Promise) {
      return found.then((late) => {
        if (late === undefined || late.staleUntil <= life.now()) return MISS;
        return { outcome: 'hit', record: new FoundRecord(late) };
      });
    }
    const at = life.now();
    return found.staleUntil <= at ? MISS : { outcome: 'hit', record: new FoundRecord(found), at };
  }

  private evicted(lane: string, key: string, reason: 'entries' | 'bytes' | 'expired'): void {
    const { events, recorder } = this.options;
    if (reason === 'expired') recorder(lane)?.expiration(this.name, 1);
    else recorder(lane)?.eviction(this.name, 1);
    this.options.evicted?.(lane, key, this.name, reason);
    if (events.wants('evict')) events.emit('evict', { lane, key, tier: this.name, reason });
  }
}

/** With more of them, the folder is emptied before the tier serves again. */
const MOST_SUPERSEDED = 65_536;

/** Entries of which a newer value was not written, because the tier was off or lost it. */
class SupersededEntries {
  private readonly entries = new Map<string, EntryPlace>();

  /** False if there are too many. */
  add(lane: string, key: string): boolean {
    if (this.entries.size >= MOST_SUPERSEDED) return false;
    this.entries.set(physicalKey(lane, key), { lane, key });
    return true;
  }

  has(lane: string, key: string): boolean {
    return this.entries.size > 0 && this.entries.has(physicalKey(lane, key));
  }

  /** A newer value is being written. */
  forget(lane: string, key: string): void {
    if (this.entries.size > 0) this.entries.delete(physicalKey(lane, key));
  }

  /** They are not read until they are removed. */
  removeFrom(store: EntryStore): void {
    const removing = [...this.entries];
    if (removing.length === 0) return;
    const removed = store.removeAll(removing.map(([, place]) => place));
    removed
      .then(() => {
        for (const [physical, place] of removing) {
          if (this.entries.get(physical) === place) this.entries.delete(physical);
        }
      })
      .catch(() => undefined);
  }
}

/** The rules of the lanes that use the tier. */
function diskRules(tier: 'l2' | 'l3', lanes: ReadonlyMap<string, ResolvedLane>): Map<string, LaneRules> {
  const rules = new Map<string, LaneRules>();
  for (const [lane, resolved] of lanes) {
    if (resolved.policy[tier].enabled) rules.set(lane, rulesOf(tier, lane, resolved));
  }
  return rules;
}

function rulesOf(tier: 'l2' | 'l3', lane: string, { policy, strategy, eviction }: ResolvedLane): LaneRules {
  const { maxEntries, maxBytes } = policy[tier];
  return {
    maxEntries,
    maxBytes,
    ...(policy.compression.enabled && { compression: policy.compression }),
    ...(eviction !== undefined && { keeper: eviction.keeperOf(tier) }),
    ...(strategy !== undefined && {
      priority: (row, now) => strategy.getEvictionPriority(lane, viewOf(tier, row, now)),
    }),
  };
}

/** A stored entry as a strategy, a listing or a page sees it. */
function viewOf(tier: 'l2' | 'l3', row: EntryRow, now: number): EntryView {
  const { key, tags, sizeBytes, computeMs, accessCount } = row;
  return {
    key,
    tags,
    tier,
    sizeBytes,
    computeMs,
    accessCount,
    ageMs: Math.max(0, now - row.storedAt),
    idleMs: Math.max(0, now - row.touchedAt),
    remainingMs: Math.max(0, row.expiresAt - now),
  };
}

/**
 * L2: entries on disk for as long as the process lives, in a folder of its own.
 *
 * @example
 * ```ts
 * const { state, reason } = app.get(DiskTier).state; // reason: why it is off
 * ```
 */
export class DiskTier extends StoredTier {
  private indexed: { readonly environment: Environment; readonly index: SessionIndex } | undefined;

  /** Never rejects: a folder that cannot be opened turns the tier off, and is tried again. */
  static async open(source: EnvironmentSource, options: StoredTierOptions): Promise<DiskTier> {
    const tier = new DiskTier(options);
    await tier.attach(source);
    return tier;
  }

  /** Off until `attach`. */
  static unattached(options: StoredTierOptions): DiskTier {
    return new DiskTier(options, 'no-directory');
  }

  private constructor(options: StoredTierOptions, unattached?: TierOffReason) {
    super('l2', unattached, options);
  }

  /** Drops all lanes with their folder and starts afresh. Rejects when the folder cannot be dropped; then the tier stays off. */
  discard(): Promise<void> {
    return this.supervisor.empty();
  }

  /** A store that failed has left its index to the next one of the same environment. */
  protected override indexOf(environment: Environment): SessionIndex {
    if (this.indexed?.environment !== environment) this.indexed = { environment, index: new SessionIndex() };
    return this.indexed.index;
  }

  protected accepts(_environment: Environment, store: EntryStore): boolean {
    return store.isIndexed;
  }

  protected begin(): void {
    // nothing beside the entries
  }
}
