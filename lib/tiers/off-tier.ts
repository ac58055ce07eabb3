import type { TierName } from '../entries/tier-name.js';
import type { TierOffReason } from '../events/reasons.js';
import type { Tier, TierLookup, TierState, TierUsage } from './tier.js';

/** A tier that an app does without: it holds nothing, so that removing from it has always succeeded. */
export class OffTier implements Tier {
  readonly state: TierState;
  private readonly off: TierLookup;

  constructor(
    readonly name: TierName,
    reason: TierOffReason,
  ) {
    this.state = { state: 'off', reason };
    this.off = { outcome: 'off', reason };
  }

  read(): TierLookup {
    return this.off;
  }

  write(): void {
    // nowhere to write to
  }

  remove(): boolean {
    return false;
  }

  removeMatching(): Promise<number> {
    return Promise.resolve(0);
  }

  clear(): Promise<void> {
    return Promise.resolve();
  }

  usage(): TierUsage {
    return { entries: 0, sizeBytes: 0 };
  }

  async *keys(): AsyncIterable<string> {
    // holds none
  }

  sweep(): Promise<{ readonly expired: number; readonly evicted: number }> {
    return Promise.resolve({ expired: 0, evicted: 0 });
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
