import type { TierOffReason } from '../events/reasons.js';
import type { EnvironmentSource } from './environment-source.js';
import { StoredTier, type StoredTierOptions } from './stored-tier.js';

/** L2: entries on disk for as long as the process lives, in a folder of its own. */
export class DiskTier extends StoredTier {
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
    return this.keeper.empty();
  }

  protected accepts(): boolean {
    return true;
  }

  protected begin(): void {
    // nothing beside the entries
  }
}
