import type { CheckpointService } from '../checkpoints/checkpoint-service.js';
import type { CheckpointStatus } from '../checkpoints/checkpoint.js';
import { checkKey } from '../entries/key.js';
import { KeyPattern } from '../entries/pattern.js';
import { checkTags } from '../entries/tags.js';
import type { LaneCacheEvents, SweepReport } from '../events/event-map.js';
import type { LaneMetrics } from '../events/lane-metrics.js';
import type { BypassReason } from '../events/reasons.js';
import type { CachePolicy, LaneName } from '../lanes/policy.js';
import { checkCompute, checkKeys, reachesAllLanes, optionsOf } from './validate-call.js';
import { computeAndPut, put } from './set.js';
import { listEntries, type EntryInfo } from './entry-listing.js';
import { whenCaughtUp } from './tier-lookup.js';
import { explain, type Explanation } from './explain.js';
import { InFlight } from './in-flight/in-flight.js';
import type { LaneContext } from './lane-context.js';
import { isThere, lookUp, bypass, bypassReason, isBypassed, request, quickHit } from './read.js';
import type { ManagerContext } from './manager-context.js';
import { getOrSetMany } from './get-or-set-many.js';
import type { Compute, ComputeMany, EntryOptions, ReadOptions, WriteOptions } from './call-options.js';

/** What callers ask of one lane. */
export class LaneManager {
  private readonly inFlight: InFlight;

  constructor(
    protected readonly context: LaneContext,
    private readonly shared: ManagerContext,
  ) {
    this.inFlight = new InFlight(context);
  }

  get lane(): string {
    return this.context.lane;
  }

  get policy(): CachePolicy {
    return this.context.policy;
  }

  /** Durable workflow state; the same for all lanes. */
  get snapshots(): CheckpointService {
    return this.shared.checkpoints;
  }

  get events(): LaneCacheEvents {
    return this.context.shared.events;
  }

  /**
   * The value of `key` from the nearest tier that has it, else computed, once for all who ask meanwhile, and stored.
   * Rejects with the computation's own error, and with LaneCacheError for a bad key, option or function only.
   */
  getOrSet<T>(key: string, compute: Compute<T>, options?: EntryOptions): Promise<Awaited<T>> {
    const hit = typeof compute === 'function' ? quickHit(this.context, key, options) : undefined;
    return (hit ?? this.compute(key, compute as Compute<unknown>, options)) as Promise<Awaited<T>>;
  }

  /** The stored value, or undefined: never computes, never waits for a computation, never serves past the ttl. */
  get<T = unknown>(key: string, options?: ReadOptions): Promise<T | undefined> {
    return (quickHit(this.context, key, options) ?? this.look(key, options)) as Promise<T | undefined>;
  }

  /** Whether `get` would find it. Counts no request and changes no recency. */
  async has(key: string): Promise<boolean> {
    checkKey(key, this.lane);
    await whenCaughtUp(this.context);
    return bypassReason(this.context, key) === undefined && isThere(this.context, key);
  }

  /**
   * Stores a value; running computations of the key land nowhere. Resolves when memory holds it and no tier holds an
   * older one; `flush()` waits for the disk. false = it was refused, and then no older value is left either.
   */
  async set(key: string, value: unknown, options?: WriteOptions): Promise<boolean> {
    const call = optionsOf(this.context, options);
    checkKey(key, this.lane);
    if (this.isClosed) return false;
    return put(this.context, this.shared.invalidations, { key, value, call });
  }

  /** Hits only, in the order asked. */
  async getMany<T = unknown>(keys: readonly string[], options?: ReadOptions): Promise<Map<string, T>> {
    const found = new Map<string, T>();
    const get = async (key: string): Promise<readonly [string, T | undefined]> => [
      key,
      await this.get<T>(key, options),
    ];
    const values = await Promise.all(checkKeys(keys, this.lane).map(get));
    for (const [key, value] of values) if (value !== undefined) found.set(key, value);
    return found;
  }

  /** How many were stored. */
  async setMany(entries: Iterable<readonly [key: string, value: unknown]>, options?: WriteOptions): Promise<number> {
    const pairs = [...entries];
    for (const [key] of pairs) checkKey(key, this.lane);
    const stored = await Promise.all(pairs.map(([key, value]) => this.set(key, value, options)));
    return stored.filter(Boolean).length;
  }

  /** All keys, found or computed by one call for the missing ones, in the order asked; a key it left out is absent. */
  async getOrSetMany<T>(
    keys: readonly string[],
    computeMissing: ComputeMany<T>,
    options?: EntryOptions,
  ): Promise<Map<string, T>> {
    const call = optionsOf(this.context, options);
    const checked = checkKeys(keys, this.lane);
    checkCompute(computeMissing, this.lane);
    const asked = { keys: checked, computeMissing, call };
    const heard = whenCaughtUp(this.context);
    if (heard !== undefined) await heard;
    return (await getOrSetMany(this.context, this.inFlight, asked)) as Map<string, T>;
  }

  /**
   * Removes a key of this lane. true = it was there. Once it resolves, no later call gets a value whose computation had
   * started before this call. Rejects with InvalidationNotDurableError only if even voiding the persistent tier failed.
   */
  async invalidate(key: string): Promise<boolean> {
    checkKey(key, this.lane);
    return this.isClosed ? false : this.shared.invalidations.key(this.context, key);
  }

  /** Whatever carries one of the tags, in ALL lanes, no longer counts. Costs the same however many entries carry it. */
  async invalidateByTag(...tags: readonly string[]): Promise<void> {
    const checked = checkTags(tags, this.lane);
    if (!this.isClosed && checked.length > 0) await this.shared.invalidations.tags(checked);
  }

  /** Removes what matches in this lane, by key or by `tag:key`; `*` is any run, `?` one character. How many keys went. */
  async invalidateByPattern(pattern: string): Promise<number> {
    const checked = new KeyPattern(pattern);
    return this.isClosed ? 0 : this.shared.invalidations.pattern(this.context, checked.text);
  }

  /** Removes all entries of this lane, or of every lane. Never checkpoints. Counters stay. */
  async clearAll(options?: { readonly lanes?: 'all' }): Promise<void> {
    const spaces = reachesAllLanes(options, this.lane) ? [...this.shared.spaces()] : [this.context];
    if (this.isClosed) return;
    await Promise.all(spaces.map((context) => this.shared.invalidations.clear(context)));
  }

  /** Puts a key past its ttl at once; it can still be served for as long as its grace lasts. true = it was there. */
  async expire(key: string): Promise<boolean> {
    checkKey(key, this.lane);
    return this.isClosed ? false : this.shared.invalidations.expireKey(this.context, key);
  }

  /** Puts whatever carries one of the tags, in ALL lanes, past its ttl. */
  async expireByTag(...tags: readonly string[]): Promise<void> {
    const checked = checkTags(tags, this.lane);
    if (!this.isClosed && checked.length > 0) await this.shared.invalidations.expireTags(checked);
  }

  /** Another lane of the same app; the same object each time. Throws UnknownLaneError. */
  forLane(lane: LaneName): this {
    return this.shared.managerOf(lane) as this;
  }

  /** This lane in numbers, since the process started. */
  getMetrics(): LaneMetrics {
    return this.shared.metrics.lane(this.lane);
  }

  getCheckpointCacheStatus(): Promise<CheckpointStatus> {
    return this.shared.checkpoints.getCheckpointCacheStatus();
  }

  /** Why the key is, or is not, served, and what the next `getOrSet` would do. Counts no request and moves nothing. */
  async explain(key: string): Promise<Explanation> {
    checkKey(key, this.lane);
    return explain(this.context, this.inFlight, key, this.getMetrics());
  }

  /** What the tiers hold of this lane, each key once; keys that match `pattern` if one is given. */
  entries(pattern?: string): AsyncIterable<EntryInfo> {
    return listEntries(this.context, pattern === undefined ? undefined : new KeyPattern(pattern));
  }

  /** Resolves when everything accepted so far is on disk, or has been given up with an event. */
  flush(): Promise<void> {
    return this.shared.flush();
  }

  /** One round of housekeeping in all tiers and lanes. */
  sweep(): Promise<SweepReport> {
    return this.shared.sweep();
  }

  /** Closes all lanes of the app: drains what was accepted, at most 5 s. Afterwards reads miss and writes do nothing. */
  close(): Promise<void> {
    return this.shared.close();
  }

  /** @internal what `@CachePut` does: always computes, and stores unless something was invalidated on the way */
  async putComputed<T>(key: string, compute: Compute<T>, options?: EntryOptions): Promise<Awaited<T>> {
    const call = optionsOf(this.context, options);
    checkKey(key, this.lane);
    checkCompute(compute, this.lane);
    const asked = { key, compute: compute as Compute<unknown>, call };
    return (await computeAndPut(this.context, this.shared.invalidations, asked)) as Awaited<T>;
  }

  /** @internal counts a decorated call that ran past the cache */
  bypass(reason: BypassReason, key: string): void {
    bypass(this.context, key, reason);
  }

  /** @internal one warning per subject and app */
  warnOnce(subject: string, message: string): void {
    this.context.shared.warnOnce(subject, message);
  }

  /** @internal aborts the signals of what is being computed */
  abortFlights(reason: unknown): void {
    this.inFlight.abortAll(reason);
  }

  /** @internal for measuring, and for looking into the tiers */
  get insides(): { readonly context: LaneContext; readonly shared: ManagerContext } {
    return { context: this.context, shared: this.shared };
  }

  private get isClosed(): boolean {
    return this.context.shared.memory.state.state === 'off';
  }

  private async look(key: string, options: ReadOptions | undefined): Promise<unknown> {
    const call = optionsOf(this.context, options);
    checkKey(key, this.lane);
    const heard = whenCaughtUp(this.context);
    if (heard !== undefined) await heard;
    return isBypassed(this.context, key) ? undefined : lookUp(this.context, key, call);
  }

  private compute(key: string, compute: Compute<unknown>, options: EntryOptions | undefined): Promise<unknown> {
    try {
      const call = optionsOf(this.context, options);
      checkKey(key, this.lane);
      checkCompute(compute, this.lane);
      const asked = { key, compute, call };
      const heard = whenCaughtUp(this.context);
      if (heard === undefined) return request(this.context, this.inFlight, asked);
      return heard.then(() => request(this.context, this.inFlight, asked));
    } catch (error) {
      return Promise.reject(error);
    }
  }
}
