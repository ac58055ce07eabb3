import type { LogFollower, SharedRecord } from '../invalidation/shared-log.js';
import type { Invalidations } from './invalidate.js';
import type { SharedContext, LaneContext } from './lane-context.js';
import type { GuardedTier } from './guarded-tier.js';

/** Lets what other instances say take effect in this one. */
export class RemoteInvalidations implements LogFollower {
  constructor(
    private readonly shared: SharedContext,
    private readonly spaces: ReadonlyMap<string, LaneContext>,
    private readonly invalidations: Invalidations,
  ) {
    // L3 is read once this process has followed what was invalidated while it did not run.
    for (const gate of this.gates('l3')) gate.hold();
  }

  async follow({ kind, lane, subject }: SharedRecord): Promise<void> {
    if (lane === null) return this.everywhere(kind, subject);
    const context = this.spaces.get(lane);
    if (context === undefined || !context.policy.l4.enabled) {
      this.pass();
      return;
    }
    const { invalidations } = this;
    if (kind === 'key') await invalidations.key(context, subject, 'remote');
    else if (kind === 'pattern') await invalidations.pattern(context, subject, 'remote');
    else if (kind === 'expire') await invalidations.expireKey(context, subject, 'remote');
    else await invalidations.clear(context, 'remote');
  }

  pass(): void {
    this.shared.log.pass();
  }

  /** In this step nothing from before counts any more; what is on disk is removed behind it. */
  async drop(): Promise<void> {
    const { log, memory, persistence } = this.shared;
    const isBare = persistence?.isEmpty() ?? true;
    log.invalidateAll();
    memory.clearAll();
    for (const gate of this.gates('l2', 'l3')) gate.invalidateBefore(log.position);
    for (const gate of this.gates('l2')) {
      for (const lane of this.spaces.keys()) gate.clear(lane).catch(() => undefined);
    }
    if (!isBare) await persistence?.invalidateAll();
  }

  suspect(): void {
    this.shared.log.invalidateAll();
  }

  release(): void {
    for (const gate of this.gates('l3')) gate.release();
  }

  private async everywhere(kind: SharedRecord['kind'], subject: string): Promise<void> {
    if (kind === 'tag') await this.invalidations.tags([subject], 'remote');
    else if (kind === 'expire') await this.invalidations.expireTags([subject], 'remote');
    else await Promise.all([...this.spaces.values()].map((context) => this.invalidations.clear(context, 'remote')));
  }

  private gates(...names: readonly GuardedTier['name'][]): readonly GuardedTier[] {
    return this.shared.below.filter(({ name }) => names.includes(name));
  }
}
