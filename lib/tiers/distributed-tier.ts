import type { Tier, TierLookup, TierRecord, TierState, TierUsage } from './tier.js';

/**
 * L4: entries that the instances of an app share. What serves it is loaded only where it is asked for.
 *
 * @example
 * ```ts
 * const { state, reason } = app.get(DistributedTier).state; // reason: why it is off
 * ```
 */
export abstract class DistributedTier implements Tier {
  readonly name = 'l4';
  abstract readonly state: TierState;
  abstract read(lane: string, key: string): TierLookup | Promise<TierLookup>;
  abstract write(lane: string, record: TierRecord): Promise<void>;
  abstract offer(lane: string, record: TierRecord): 'queued' | 'backlog' | 'off';
  abstract remove(lane: string, key: string): Promise<boolean>;
  abstract removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number>;
  abstract clear(lane: string): Promise<void>;
  /** Always nothing: counting would cost a look at every entry. Ask the server. */
  abstract usage(lane: string): TierUsage;
  abstract keys(lane: string): AsyncIterable<string>;
  abstract sweep(lane: string): Promise<{ readonly expired: number; readonly evicted: number }>;
  abstract flush(): Promise<void>;
  abstract close(): Promise<void>;
}
