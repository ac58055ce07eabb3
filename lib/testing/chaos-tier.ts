import { systemClock, type Clock } from '../clock/clock.js';
import type { TierName } from '../entries/tier-name.js';
import { finite, flag, fromZero, proportion, defineOptions } from '../options/options-shape.js';
import type { Offered, Tier, TierLookup, TierRecord, TierState, TierUsage } from '../tiers/tier.js';
import { seededRandom } from './seeded-random.js';

/** The faults, and how often they happen. Rates are shares of the calls, from 0 (never) to 1 (always). */
export interface ChaosPlan {
  /** Calls that throw. Default 0. */
  readonly failRate?: number;
  /** No call ever answers. */
  readonly hang?: boolean;
  /** Every call waits this long first. Default 0. */
  readonly delayMs?: number;
  /** Hits with one bit of the record flipped. Default 0. */
  readonly corruptRate?: number;
  /** The same seed makes the same calls fail. Default 1. */
  readonly seed?: number;
}

const CHAOS_PLAN = defineOptions<ChaosPlan>('A chaos plan', {
  failRate: proportion,
  hang: flag,
  delayMs: fromZero,
  corruptRate: proportion,
  seed: finite,
});

/**
 * The error of a call that the plan lets fail.
 *
 * @example
 * ```ts
 * const flaky = chaosTier(app.get(MemoryTier), { failRate: 1 }); // each call fails with a ChaosError
 * ```
 */
export class ChaosError extends Error {
  constructor(call: string, tier: TierName) {
    super(`The plan makes this ${call}() of tier ${tier} fail.`);
    this.name = new.target.name;
  }
}

/**
 * A tier that fails as planned, around one that works. Delays run by `clock`.
 *
 * @example
 * ```ts
 * const flaky = chaosTier(app.get(MemoryTier), { failRate: 0.1, seed: 7 });
 * flaky.setPlan({ hang: true });
 * ```
 */
export function chaosTier(
  tier: Tier,
  plan: ChaosPlan,
  clock: Clock = systemClock,
): Tier & { setPlan(plan: ChaosPlan): void } {
  return new ChaosTier(tier, CHAOS_PLAN.read(plan), clock);
}

class ChaosTier implements Tier {
  readonly peek?: (lane: string, key: string) => TierLookup | Promise<TierLookup>;
  readonly offer?: (lane: string, record: TierRecord) => Offered;
  private random: () => number;

  constructor(
    private readonly tier: Tier,
    private plan: ChaosPlan,
    private readonly clock: Clock,
  ) {
    this.random = seededRandom(plan.seed ?? 1);
    // a port's optional calls are there only where the tier has them
    if (tier.peek !== undefined) this.peek = (lane, key) => this.lookUp('peek', () => tier.peek?.(lane, key));
    if (tier.offer !== undefined) this.offer = (lane, record) => this.accept(lane, record);
  }

  /** Sets the faults from now on. Running calls keep the plan with which they started. */
  setPlan(plan: ChaosPlan): void {
    this.plan = CHAOS_PLAN.read(plan);
    if (this.plan.seed !== undefined) this.random = seededRandom(this.plan.seed);
  }

  get name(): TierName {
    return this.tier.name;
  }

  get state(): TierState {
    return this.tier.state;
  }

  read(lane: string, key: string): TierLookup | Promise<TierLookup> {
    return this.lookUp('read', () => this.tier.read(lane, key));
  }

  write(lane: string, record: TierRecord): void | Promise<void> {
    return this.suffer('write', () => this.tier.write(lane, record));
  }

  remove(lane: string, key: string): boolean | Promise<boolean> {
    return this.suffer('remove', () => this.tier.remove(lane, key));
  }

  async removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number> {
    return this.suffer('removeMatching', () => this.tier.removeMatching(lane, matches));
  }

  async clear(lane: string): Promise<void> {
    return this.suffer('clear', () => this.tier.clear(lane));
  }

  usage(lane: string): TierUsage {
    return this.tier.usage(lane);
  }

  async *keys(lane: string): AsyncIterable<string> {
    await this.suffer('keys', () => undefined);
    yield* this.tier.keys(lane);
  }

  async sweep(lane: string): Promise<{ readonly expired: number; readonly evicted: number }> {
    return this.suffer('sweep', () => this.tier.sweep(lane));
  }

  async flush(): Promise<void> {
    return this.suffer('flush', () => this.tier.flush());
  }

  async close(): Promise<void> {
    return this.suffer('close', () => this.tier.close());
  }

  /** Runs `call` late, never, or not at all; at once, and in step with the tier, when the plan leaves it alone. */
  private suffer<T>(name: string, call: () => T | Promise<T>): T | Promise<T> {
    const { hang = false, delayMs = 0 } = this.plan;
    const fails = this.strikes(this.plan.failRate);
    if (hang) return new Promise<T>(() => {});
    if (delayMs === 0) return fails ? this.fail(name) : call();
    return new Promise<T>((resolve, reject) => {
      this.clock.schedule(delayMs, () => {
        if (fails) reject(new ChaosError(name, this.name));
        else Promise.resolve().then(call).then(resolve, reject);
      });
    });
  }

  /** Fails as the tier itself would: memory throws, what answers by promise rejects. */
  private fail(name: string): Promise<never> {
    const error = new ChaosError(name, this.name);
    if (this.name === 'l1') throw error;
    return Promise.reject(error);
  }

  private accept(lane: string, record: TierRecord): Offered {
    if (this.plan.hang === true) return 'queued';
    if (this.strikes(this.plan.failRate)) throw new ChaosError('offer', this.name);
    return this.tier.offer?.(lane, record) ?? 'off';
  }

  private lookUp(
    name: string,
    call: () => TierLookup | Promise<TierLookup> | undefined,
  ): TierLookup | Promise<TierLookup> {
    const damages = this.strikes(this.plan.corruptRate);
    const found = this.suffer<TierLookup>(name, () => call() ?? { outcome: 'miss' });
    if (!damages) return found;
    return found instanceof Promise ? found.then((lookup) => this.damage(lookup)) : this.damage(found);
  }

  /** Flips one bit in a copy: the tier's own bytes stay sound. */
  private damage(lookup: TierLookup): TierLookup {
    if (lookup.outcome !== 'hit' || lookup.record.bytes.length === 0) return lookup;
    const { key, tags, birth, expiresAt, computeMs } = lookup.record;
    const bytes = Uint8Array.from(lookup.record.bytes);
    const at = Math.floor(this.random() * bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(this.random() * 8));
    return { outcome: 'hit', record: { key, tags, birth, expiresAt, computeMs, bytes } };
  }

  /** Draws a number only where something may happen, so that a seed's faults don't move with unrelated rates. */
  private strikes(rate = 0): boolean {
    return rate > 0 && this.random() < rate;
  }
}
