import type { GuardedTier } from '../cache/guarded-tier.js';
import type { LaneBeside, LaneManager } from '../cache/lane-manager.js';
import { TIER_NAMES, type TierName } from '../entries/tier-name.js';
import { size } from '../lanes/lane-policy.js';
import { parseSize, type Size } from '../lanes/units.js';
import { LaneCounters } from '../metrics/lane-counters.js';
import { count, signal as abortSignal, defineOptions } from '../options/options-shape.js';

/** How `measureCachePerformance` measures. */
export interface PerformanceOptions {
  /** How many calls. Default 1,000. */
  readonly iterations?: number;
  /** How many different keys: so many of the calls miss. Default 100. */
  readonly keys?: number;
  /** Of each value. Default 1 KB. */
  readonly valueBytes?: Size;
  /** Ends it early; what it had stored is removed all the same. */
  readonly signal?: AbortSignal;
}

/** How long calls took, in milliseconds, by who answered them. What is a hit and of which tier is counted, not assumed. */
export interface PerformanceReport {
  readonly iterations: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  /** Percent, one decimal. */
  readonly hitRate: number;
  readonly avgHitTimeMs: number;
  readonly avgMissTimeMs: number;
  readonly tiers: Readonly<Record<TierName, Times & { readonly hits: number }>>;
  readonly miss: Times;
}

const PERFORMANCE_OPTIONS = defineOptions<PerformanceOptions>('measureCachePerformance', {
  iterations: count,
  keys: count,
  valueBytes: size,
  signal: abortSignal,
});

/**
 * Measures a lane's tiers with keys in a space of their own, removed afterwards: the lane's entries, limits and counters
 * are not touched. Every tier that is on gets an equal share of the hits. Throws OPTIONS_INVALID, and CLOSED.
 *
 * @example
 * ```ts
 * const report = await measureCachePerformance(cache, { iterations: 1_000 });
 * console.log(report.avgHitTimeMs, report.avgMissTimeMs);
 * ```
 */
export async function measureCachePerformance(
  cache: LaneManager,
  options?: PerformanceOptions,
): Promise<PerformanceReport> {
  const plan = planOf(options);
  const counters = new LaneCounters();
  // No lane of a user can have this name.
  const bench = new Bench(cache.openBeside(`${cache.lane}#bench`, counters), counters, plan);
  try {
    await bench.clear();
    await bench.missAll();
    await cache.flush();
    await bench.hitEvenly();
  } finally {
    await bench.clear();
  }
  return bench.report();
}

interface Plan {
  readonly iterations: number;
  readonly keys: readonly string[];
  readonly value: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
}

class Bench {
  private readonly hits: Record<TierName, number[]> = { l1: [], l2: [], l3: [], l4: [] };
  private readonly misses: number[] = [];

  constructor(
    private readonly beside: LaneBeside,
    private readonly counters: LaneCounters,
    private readonly plan: Plan,
  ) {}

  async missAll(): Promise<void> {
    for (const key of this.plan.keys) await this.call(key);
  }

  /** Tier after tier: what lies above it is emptied of the key before each call. */
  async hitEvenly(): Promise<void> {
    const { keys, iterations } = this.plan;
    const tiers = ['l1', ...(await this.serving()).map(({ name }) => name)];
    const calls = iterations - keys.length;
    for (let n = 0; n < calls; n++) {
      const key = keys[n % keys.length] ?? '';
      await this.removeAbove(tiers[Math.floor((n * tiers.length) / calls)] ?? 'l1', key);
      await this.call(key);
    }
  }

  async clear(): Promise<void> {
    this.beside.context.memory.clear();
    for (const tier of await this.serving()) await tier.clear(this.beside.context.lane).catch(() => undefined);
  }

  report(): PerformanceReport {
    const { l1, l2, l3, l4 } = this.hits;
    const all = [...l1, ...l2, ...l3, ...l4];
    const { iterations } = this.plan;
    const tiers = { l1: tierTimes(l1), l2: tierTimes(l2), l3: tierTimes(l3), l4: tierTimes(l4) };
    return {
      iterations,
      cacheHits: all.length,
      cacheMisses: this.misses.length,
      hitRate: Math.round((all.length / iterations) * 1_000) / 10,
      avgHitTimeMs: timesOf(all).avgMs,
      avgMissTimeMs: timesOf(this.misses).avgMs,
      tiers,
      miss: timesOf(this.misses),
    };
  }

  private async call(key: string): Promise<void> {
    const { clock } = this.beside.context.shared;
    this.plan.signal?.throwIfAborted();
    const before = TIER_NAMES.map((tier) => this.counters[tier].hits);
    const startedAt = clock.monotonic();
    await this.beside.manager.getOrSet(key, () => this.plan.value);
    const ms = clock.monotonic() - startedAt;
    const answered = TIER_NAMES.find((tier, index) => this.counters[tier].hits > (before[index] ?? 0));
    (answered === undefined ? this.misses : this.hits[answered]).push(ms);
  }

  private async removeAbove(name: string, key: string): Promise<void> {
    if (name === 'l1') return;
    this.beside.context.memory.delete(key);
    for (const tier of this.beside.context.shared.below) {
      if (tier.name === name) return;
      await tier.remove(this.beside.context.lane, key).catch(() => false);
    }
  }

  private async serving(): Promise<readonly GuardedTier[]> {
    const { lane, shared } = this.beside.context;
    const looks = shared.below.map(async (tier) =>
      (await tier.read(lane, '', 'peek')).outcome === 'off' ? [] : [tier],
    );
    return (await Promise.all(looks)).flat();
  }
}

function tierTimes(times: readonly number[]): Times & { readonly hits: number } {
  return { hits: times.length, ...timesOf(times) };
}

function planOf(options: PerformanceOptions | undefined): Plan {
  const { iterations = 1_000, keys = 100, valueBytes = '1KB', signal } = PERFORMANCE_OPTIONS.read(options);
  const names = Array.from({ length: Math.min(keys, iterations) }, (_, index) => `key:${index}`);
  return { iterations, keys: names, value: Object.freeze({ text: 'x'.repeat(parseSize(valueBytes)) }), signal };
}

/** Durations in milliseconds: their mean, the middle one, and one that only a hundredth exceeds. */
interface Times {
  readonly avgMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const NO_TIMES: Times = Object.freeze({ avgMs: 0, p50Ms: 0, p99Ms: 0 });

function timesOf(durations: readonly number[]): Times {
  if (durations.length === 0) return NO_TIMES;
  const sorted = durations.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const sum = durations.reduce((total, one) => total + one, 0);
  return { avgMs: sum / durations.length, p50Ms: at(0.5), p99Ms: at(0.99) };
}
