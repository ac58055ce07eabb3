import type { CheckpointService } from '../checkpoints/checkpoint-service.js';
import type { CheckpointStatus } from '../checkpoints/checkpoint.js';
import type { Clock } from '../clock/clock.js';
import { inSlices } from '../clock/slices.js';
import { checkKey, checkCompute, checkEntries, checkKeys, CLEAR_OPTIONS, optionsOf } from './validate-call.js';
import { KeyPattern } from '../entries/pattern.js';
import { checkTags } from '../entries/tags.js';
import type { TierName } from '../entries/tier-name.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { LaneCacheEvents, SweepReport } from '../events/event-map.js';
import type { Fault, BypassReason } from '../events/reasons.js';
import type { LaneMetrics } from '../events/lane-metrics.js';
import type { LaneRecorder } from '../events/recorder.js';
import type { CachePolicy, LaneName } from '../lanes/policy.js';
import { MemorySpace } from '../tiers/memory-tier.js';
import {
  ENTRY_OPTIONS,
  READ_OPTIONS,
  WARM_OPTIONS,
  WRITE_OPTIONS,
  type Compute,
  type ComputeContext,
  type ComputeMany,
  type EntryOptions,
  type ReadOptions,
  type WarmOptions,
  type WriteOptions,
} from './call-options.js';
import { EncodedValue } from './encoded-value.js';
import { type EntryInfo, listEntries } from './entry-listing.js';
import {
  type EntryOrder,
  type EntrySearch,
  type FoundEntries,
  countEntries,
  searchEntries,
  topEntries,
} from './entry-search.js';
import { explain, peekValue, type Explanation } from './explain.js';
import { getOrSetMany } from './get-or-set-many.js';
import type { GuardedTier } from './guarded-tier.js';
import { InFlight } from './in-flight/in-flight.js';
import { KeyHistory } from './key-history.js';
import { Examples, type LaneContext, look, type SharedContext } from './lane-context.js';
import type { ManagerContext } from './manager-context.js';
import { OlderValues } from './invalidate.js';
import * as read from './read.js';
import { computeAndSet, type GivenEntry, set as store, setMany as storeMany } from './set.js';
import { DEFAULT_CONCURRENCY, warmAll, type Warming, type WarmReport } from './warm.js';

/** One lane of the cache, as callers use it. */
export class LaneManager {
  /** Durable workflow state, the same for all lanes. */
  readonly snapshots: CheckpointService;
  private readonly inFlight: InFlight;

  /** @internal The app creates it. */
  constructor(
    protected readonly context: LaneContext,
    private readonly shared: ManagerContext,
  ) {
    this.snapshots = shared.checkpoints;
    this.inFlight = new InFlight(context, new OlderValues(context, shared.invalidations));
  }

  /** The name of this lane. */
  get lane(): string {
    return this.context.lane;
  }

  /** The policy of this lane, with every default filled in: milliseconds and bytes. */
  get policy(): CachePolicy {
    return this.context.policy;
  }

  /** The events of the app, of all lanes. */
  get events(): LaneCacheEvents {
    return this.context.shared.events;
  }

  /**
   * Returns the value of `key` from the nearest tier that has it. Otherwise it computes the value, once for all concurrent
   * callers, and stores it. By default the value is deeply frozen: `isolation: 'clone'` gives a copy that can be changed.
   * Rejects with the computation's own error, or with LaneCacheError for a bad key, option or function.
   *
   * @param key - A text of 1 byte to 64 KB.
   * @param compute - Runs if no tier has the key. Its context has `signal`, `setTtl`, `setTags` and `skipCache`.
   * @param options - What differs from the lane: `ttl`, `tags`, `grace`, timeouts and more.
   *
   * @example
   * ```ts
   * const page = await cache.getOrSet('page:7', async () => '<h1>7</h1>', { ttl: '10m', tags: ['pages'] });
   * ```
   */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- with `T` in its place nothing is inferred
  getOrSet<T, Stale = T>(key: string, compute: Compute<T, Stale>, options?: EntryOptions): Promise<Awaited<T>> {
    const hit = typeof compute === 'function' ? read.hitInMemory(this.context, key, options) : undefined;
    const { context, inFlight } = this;
    return (hit ?? read.getOrSet(context, inFlight, key, compute as Compute<unknown>, options)) as Promise<Awaited<T>>;
  }

  /**
   * Returns the stored value, or undefined. It never computes, waits for a computation, or serves past the ttl.
   *
   * @example
   * ```ts
   * const page = await cache.get<string>('page:7');
   * ```
   */
  get<T = unknown>(key: string, options?: ReadOptions): Promise<T | undefined> {
    const hit = options === undefined ? read.hitInMemory(this.context, key, undefined) : undefined;
    return (hit ?? read.get(this.context, key, options)) as Promise<T | undefined>;
  }

  /**
   * Returns the value that memory holds, without a promise, or undefined. It asks no disk and no server, computes nothing,
   * and waits for nothing: while `get` would have to wait, it is a miss. What is returned is as fresh as from `get`. Counts
   * as one request, with its hit or its miss. Throws KEY_INVALID and KEY_TOO_LONG.
   *
   * @example
   * ```ts
   * const flags = cache.getIfPresent<{ beta: boolean }>('flags') ?? { beta: false };
   * ```
   */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as with `get`, the caller knows the type
  getIfPresent<T = unknown>(key: string): T | undefined {
    return read.getIfPresent(this.context, key) as T | undefined;
  }

  /**
   * Whether `get` would return a value. It counts no request and changes no recency.
   *
   * @example
   * ```ts
   * if (await cache.has('page:7')) console.log('warm');
   * ```
   */
  async has(key: string): Promise<boolean> {
    return read.has(this.context, key);
  }

  /**
   * Stores a value. Results of computations that run are not stored. Resolves when memory holds the value and no tier
   * holds an older one; `flush()` waits for the disk. false = it was refused, and no older value is left either.
   *
   * @example
   * ```ts
   * await cache.set('page:7', '<h1>7</h1>', { ttl: '10m', tags: ['pages'] });
   * ```
   */
  async set(key: string, value: unknown, options?: WriteOptions): Promise<boolean> {
    const call = optionsOf(this.context, options, WRITE_OPTIONS);
    checkKey(key, this.lane);
    if (this.isClosed) return false;
    return store(this.context, this.shared.invalidations, { key, value, call });
  }

  /**
   * The hits only, in the order of `keys`. Many keys are read in slices, between which the event loop turns.
   *
   * @example
   * ```ts
   * const pages = await cache.getMany<string>(['page:7', 'page:8']);
   * console.log(pages.get('page:7'));
   * ```
   */
  async getMany<T = unknown>(keys: readonly string[], options?: ReadOptions): Promise<Map<string, T>> {
    const found = new Map<string, T>();
    const given = options === undefined ? undefined : READ_OPTIONS.read(options, { lane: this.lane });
    const get = async (key: string): Promise<readonly [string, T | undefined]> => [key, await this.get<T>(key, given)];
    const values = await inSlices(this.clock, checkKeys(keys, this.lane), get);
    for (const [key, value] of values) if (value !== undefined) found.set(key, value);
    return found;
  }

  /**
   * Stores the last value of each key, in slices, between which the event loop turns. Returns how many were stored. What is
   * invalidated or stored between the call and a key's turn wins over the value of this call.
   *
   * @example
   * ```ts
   * await cache.setMany([['page:7', '<h1>7</h1>'], ['page:8', '<h1>8</h1>']], { ttl: '10m' });
   * ```
   */
  async setMany(entries: Iterable<readonly [key: string, value: unknown]>, options?: WriteOptions): Promise<number> {
    const call = optionsOf(this.context, options, WRITE_OPTIONS);
    const entryOf = ([key, value]: readonly [string, unknown]): GivenEntry => ({
      key: checkKey(key, this.lane),
      value,
      call,
    });
    const list = checkEntries(entries, this.lane);
    const { stored } = await storeMany(this.context, this.shared.invalidations, list, entryOf);
    return stored;
  }

  /** @internal as `setMany`, with options for each entry. Returns the keys that were not stored. */
  async setEach<T>(items: readonly T[], readItem: (item: T) => EntryWithOptions): Promise<ReadonlySet<string>> {
    const entryOf = (item: T): GivenEntry => {
      const { key, value, options } = readItem(item);
      return { key: checkKey(key, this.lane), value, call: optionsOf(this.context, options, WRITE_OPTIONS) };
    };
    const { refused } = await storeMany(this.context, this.shared.invalidations, [...items], entryOf);
    return refused;
  }

  /**
   * All keys, found or computed by one call for the missing ones, in the order of `keys`. A key that the call leaves out
   * is absent.
   *
   * @example
   * ```ts
   * const lengths = await cache.getOrSetMany(['a', 'bb'], (missing) => new Map(missing.map((key) => [key, key.length])));
   * ```
   */
  async getOrSetMany<T>(
    keys: readonly string[],
    computeMissing: ComputeMany<T>,
    options?: EntryOptions,
  ): Promise<Map<string, T>> {
    const call = optionsOf(this.context, options, ENTRY_OPTIONS);
    const checked = checkKeys(keys, this.lane);
    checkCompute(computeMissing, this.lane);
    const asked = { keys: checked, computeMissing, call };
    look(this.context);
    const ready = read.whenReady(this.context, checked, call);
    if (ready !== undefined) await ready;
    return (await getOrSetMany(this.context, this.inFlight, asked)) as Map<string, T>;
  }

  /**
   * Computes and stores the keys that no tier has, a few at a time. What fails is counted, and fails nothing else. It ends
   * early when the cache closes or the signal aborts; then the counts add up to less than the keys.
   *
   * @example
   * ```ts
   * const { computed, failed } = await cache.warm(['page:7', 'page:8'], async (key) => `<h1>${key}</h1>`, { concurrency: 2 });
   * ```
   */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- with `T` in its place nothing is inferred
  async warm<T>(
    keys: readonly string[],
    compute: (key: string, ctx: ComputeContext<T>) => T | PromiseLike<T>,
    options: WarmOptions = {},
  ): Promise<WarmReport> {
    const { concurrency = DEFAULT_CONCURRENCY, ...entry } = WARM_OPTIONS.read(options, { lane: this.lane });
    const items = checkKeys(keys, this.lane);
    checkCompute(compute, this.lane);
    optionsOf(this.context, entry, ENTRY_OPTIONS);
    const warm = async (key: string): Promise<'computed' | 'present'> => {
      if (entry.forceFresh !== true && (await this.has(key))) return 'present';
      await this.getOrSet<T>(key, (ctx) => compute(key, ctx), entry);
      return 'computed';
    };
    return this.warmCalls({ source: 'warm()', items, concurrency, signal: entry.signal, warm });
  }

  /** @internal for `@Cached({ warm })` */
  warmCalls<T>(warming: Warming<T>): Promise<WarmReport> {
    return warmAll(this.context, warming);
  }

  /**
   * Removes a key of this lane. true = it was there. Once it resolves, no later call gets a value whose computation had
   * started before this call. Rejects with InvalidationNotDurableError only if the persistent tier could not even be emptied.
   *
   * @example
   * ```ts
   * const wasThere = await cache.invalidate('page:7');
   * ```
   */
  async invalidate(key: string): Promise<boolean> {
    checkKey(key, this.lane);
    return this.isClosed ? false : this.shared.invalidations.key(this.context, key);
  }

  /**
   * Invalidates what carries one of the tags, in ALL lanes. The cost does not depend on how many entries carry it.
   *
   * @example
   * ```ts
   * await cache.invalidateByTag('customer:7', 'pages');
   * ```
   */
  async invalidateByTag(...tags: readonly string[]): Promise<void> {
    const checked = checkTags(tags, this.lane);
    if (!this.isClosed && checked.length > 0) await this.shared.invalidations.tags(checked);
  }

  /**
   * Removes what matches in this lane, by key or by `tag:key`. `*` is any run, `?` one character. Returns how many keys it
   * removed.
   *
   * @example
   * ```ts
   * const removed = await cache.invalidateByPattern('page:*');
   * ```
   */
  async invalidateByPattern(pattern: string): Promise<number> {
    const checked = new KeyPattern(pattern);
    return this.isClosed ? 0 : this.shared.invalidations.pattern(this.context, checked.text);
  }

  /**
   * Removes all entries of this lane, or of every lane. Never checkpoints. Counters stay.
   *
   * @example
   * ```ts
   * await cache.clearAll({ lanes: 'all' });
   * ```
   */
  async clearAll(options?: { readonly lanes?: 'all' }): Promise<void> {
    const spaces =
      CLEAR_OPTIONS.read(options, { lane: this.lane }).lanes === 'all'
        ? [...this.shared.laneContexts()]
        : [this.context];
    if (this.isClosed) return;
    await Promise.all(spaces.map((context) => this.shared.invalidations.clear(context)));
  }

  /**
   * Ends a key's ttl at once. It can still be served until its grace ends. true = it was there.
   *
   * @example
   * ```ts
   * await cache.expire('rates');
   * ```
   */
  async expire(key: string): Promise<boolean> {
    checkKey(key, this.lane);
    return this.isClosed ? false : this.shared.invalidations.expireKey(this.context, key);
  }

  /**
   * Ends the ttl of what carries one of the tags, in ALL lanes.
   *
   * @example
   * ```ts
   * await cache.expireByTag('rates');
   * ```
   */
  async expireByTag(...tags: readonly string[]): Promise<void> {
    const checked = checkTags(tags, this.lane);
    if (!this.isClosed && checked.length > 0) await this.shared.invalidations.expireTags(checked);
  }

  /**
   * Another lane of the same app; the same object each time. Throws UnknownLaneError.
   *
   * @example
   * ```ts
   * await cache.forLane('docs').set('page:7', '<h1>7</h1>');
   * ```
   */
  forLane(lane: LaneName): this {
    return this.shared.managerOf(lane) as this;
  }

  /**
   * This lane in numbers, since the process started.
   *
   * @example
   * ```ts
   * const { requests, hitRate, l1 } = cache.getMetrics();
   * console.log(`${requests} requests, ${hitRate} % hits, ${l1.entries} entries in memory`);
   * ```
   */
  getMetrics(): LaneMetrics {
    return this.shared.metrics.lane(this.lane);
  }

  /** Whether checkpoints can be saved, and how many there are. */
  getCheckpointCacheStatus(): Promise<CheckpointStatus> {
    return this.shared.checkpoints.getCheckpointCacheStatus();
  }

  /**
   * Explains why the key is served or not, and what the next `getOrSet` would do. It counts no request and moves nothing.
   *
   * @example
   * ```ts
   * console.log(await cache.explain('page:7'));
   * ```
   */
  async explain(key: string): Promise<Explanation> {
    checkKey(key, this.lane);
    return explain(this.context, this.inFlight, key, this.getMetrics());
  }

  /**
   * The entries of this lane in all tiers, each key once. With `pattern`, only keys that match.
   *
   * @example
   * ```ts
   * for await (const { key, sizeBytes } of cache.entries('page:*')) console.log(key, sizeBytes);
   * ```
   */
  entries(pattern?: string): AsyncIterable<EntryInfo> {
    return listEntries(this.context, pattern === undefined ? undefined : new KeyPattern(pattern));
  }

  /**
   * Resolves when everything that was accepted is on disk, or was dropped with an event.
   *
   * @example
   * ```ts
   * await cache.set('page:7', '<h1>7</h1>');
   * await cache.flush();
   * ```
   */
  flush(): Promise<void> {
    return this.shared.flush();
  }

  /** One round of housekeeping in all tiers and lanes. */
  sweep(): Promise<SweepReport> {
    return this.shared.sweep();
  }

  /** Closes all lanes of the app. It drains what was accepted, for at most 5 s. Afterwards reads miss and writes do nothing. */
  close(): Promise<void> {
    return this.shared.close();
  }

  /** @internal for `@CachePut`: always computes, and stores unless the key was invalidated meanwhile */
  async putComputed<T>(key: string, compute: Compute<T>, options?: EntryOptions): Promise<Awaited<T>> {
    const call = optionsOf(this.context, options, ENTRY_OPTIONS);
    checkKey(key, this.lane);
    checkCompute(compute, this.lane);
    const asked = { key, compute: compute as Compute<unknown>, call };
    return (await computeAndSet(this.context, this.shared.invalidations, asked)) as Awaited<T>;
  }

  /** @internal counts a decorated call that ran past the cache */
  bypass(reason: BypassReason, key: string): void {
    this.context.recorder.bypass(key, reason);
  }

  /** @internal the stored name of a listed class whose instance `object` is, for keys */
  get classNameOf(): (object: object) => string | undefined {
    return this.context.shared.codec.classNameOf;
  }

  /** @internal one warning per subject and app */
  warnOnce(subject: string, message: string | (() => string)): void {
    this.context.shared.warnOnce(subject, message);
  }

  /** @internal counts, emits and logs that what the app handed in failed */
  fault(fault: Fault): void {
    this.context.shared.fault(fault);
  }

  /** @internal aborts the signals of what is being computed */
  abortFlights(reason: unknown): void {
    this.inFlight.abortAll(reason);
  }

  /** @internal the clock of the app */
  get clock(): Clock {
    return this.context.shared.clock;
  }

  /** @internal epoch ms by the clock of the app */
  now(): number {
    return this.clock.now();
  }

  /** @internal the value as a caller with `isolation: 'clone'` gets it. One that cannot be stored is returned as it is. */
  copyOf<T>(value: T): T {
    const { codec } = this.context.shared;
    return EncodedValue.of({ lane: this.lane, codec }, value, 'clone').valueFor('clone') as T;
  }

  /** @internal a page of entries that match */
  search(search: EntrySearch): Promise<FoundEntries> {
    return searchEntries(this.context, search);
  }

  /** @internal the entries that are first by `order` */
  top(order: EntryOrder): ReturnType<typeof topEntries> {
    return topEntries(this.context, order);
  }

  /** @internal how many keys match */
  count(matches: EntrySearch['matches']): ReturnType<typeof countEntries> {
    return countEntries(this.context, matches);
  }

  /** @internal the value that would be served, and from where; it counts no request and moves nothing */
  async peek(key: string): Promise<{ readonly tier: TierName; readonly value: unknown } | undefined> {
    checkKey(key, this.lane);
    return peekValue(this.context, key);
  }

  /** @internal the tiers below memory, to check what they hold */
  get tiersBelow(): readonly GuardedTier[] {
    return this.context.shared.below;
  }

  /**
   * @internal opens a lane of another name over the same tiers, with memory and counters of its own and without events, to
   * measure this lane. Throws CLOSED.
   */
  openBeside(lane: string, recorder: LaneRecorder): LaneBeside {
    if (this.isClosed) throw new LaneCacheError('CLOSED', 'The cache is closed.');
    const context = contextBeside(this.context, lane, recorder);
    return { context, manager: new LaneManager(context, this.shared) };
  }

  private get isClosed(): boolean {
    return this.context.shared.memory.state.state === 'off';
  }
}

/** An entry with options of its own. */
export interface EntryWithOptions {
  readonly key: string;
  readonly value: unknown;
  readonly options?: WriteOptions | undefined;
}

/** A lane that is opened only to measure another one. */
export interface LaneBeside {
  readonly context: LaneContext;
  readonly manager: LaneManager;
}

const LEAST_TTL_MS = 3_600_000;
const SILENT: SharedContext['events'] = Object.freeze({
  wantsHits: false,
  wants: () => false,
  emit: () => undefined,
  on: () => () => undefined,
  once: () => Promise.reject(new Error('Measuring emits no events.')),
});

function contextBeside({ policy, shared, defaults }: LaneContext, lane: string, recorder: LaneRecorder): LaneContext {
  for (const tier of shared.below) tier.addLane(lane, { policy, strategy: undefined, eviction: undefined });
  const memory = new MemorySpace({
    lane,
    ...policy.l1,
    strategy: undefined,
    now: () => shared.life.now(),
    evicted: () => undefined,
  });
  return {
    lane,
    policy,
    memory,
    recorder,
    strategy: undefined,
    include: [],
    exclude: [],
    history: new KeyHistory(),
    examples: new Examples(),
    defaults: { ...defaults, ttlMs: Math.max(defaults.ttlMs, LEAST_TTL_MS), jitterMs: 0, refreshAhead: null },
    shared: { ...shared, events: SILENT },
  };
}
