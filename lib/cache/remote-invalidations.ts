import { KeyPattern } from '../entries/pattern.js';
import type { LogFollower, SharedRecord } from '../invalidation/shared-log.js';
import type { GuardedTier } from './guarded-tier.js';
import type { Invalidations } from './invalidate.js';
import type { SharedContext, LaneContext } from './lane-context.js';

/** `server`: records from Redis, of the lanes that instances share. `host`: records from the processes of the directory, of all lanes. */
type Source = 'server' | 'host';

/** Applies the invalidations of other instances to this one. */
export class RemoteInvalidations implements LogFollower {
  constructor(
    private readonly shared: SharedContext,
    private readonly laneContexts: ReadonlyMap<string, LaneContext>,
    private readonly invalidations: Invalidations,
    private readonly source: Source = 'server',
  ) {
    // L3 is read once this process has followed what was invalidated while it did not run.
    if (source === 'server') for (const tier of this.tiers('l3')) tier.hold();
  }

  follow(record: SharedRecord): Promise<void> {
    const { copy } = record;
    const done =
      copy === undefined || this.source === 'server' ? undefined : this.shared.sharedLog?.receivedOnHost(record, copy);
    if (done === undefined) return this.carryOut(record);
    this.pass();
    return done.then(() => undefined);
  }

  private async carryOut({ kind, lane, subject, at }: SharedRecord): Promise<void> {
    if (lane === null) return this.everywhere(kind, subject, at);
    const context = this.laneContexts.get(lane);
    if (context === undefined && this.source === 'host') return this.ofOtherApps(kind, lane, subject);
    if (context === undefined || (this.source === 'server' && !context.policy.l4.enabled)) {
      this.pass();
      return;
    }
    const { invalidations } = this;
    if (kind === 'key') await invalidations.key(context, subject, 'remote');
    else if (kind === 'pattern') await invalidations.pattern(context, subject, 'remote');
    else if (kind === 'expire') await invalidations.expireKey(context, subject, 'remote', at);
    else await invalidations.clear(context, 'remote');
  }

  pass(): void {
    this.shared.log.pass();
  }

  /** Drops all older entries in this step. The removals on disk follow. */
  async drop(): Promise<void> {
    const { persistence } = this.shared;
    const isEmpty = persistence?.isEmpty() ?? true;
    this.bar();
    for (const tier of this.tiers('l2')) {
      for (const lane of this.laneContexts.keys()) tier.clear(lane).catch(() => undefined);
    }
    if (!isEmpty) await persistence?.invalidateAll();
  }

  bar(): void {
    const { log, memory } = this.shared;
    log.invalidateAll();
    memory.clearAll();
    for (const tier of this.tiers('l2', 'l3')) tier.invalidateBefore(log.position);
  }

  suspect(): void {
    this.shared.log.invalidateAll();
  }

  release(): void {
    for (const tier of this.tiers('l3')) tier.release();
  }

  /** A lane that this app does not have. L3 may hold entries of it, for another app that uses the directory. */
  private async ofOtherApps(kind: SharedRecord['kind'], lane: string, subject: string): Promise<void> {
    const { persistence } = this.shared;
    this.pass();
    if (persistence?.noteMissed() !== undefined) return;
    const pattern = kind === 'pattern' ? new KeyPattern(subject) : undefined;
    const removals = this.tiers('l3').map((tier) => {
      if (pattern !== undefined) return tier.removeMatching(lane, (key, tags) => pattern.matchesEntry(key, tags));
      return kind === 'all' ? tier.clear(lane) : tier.remove(lane, subject);
    });
    await Promise.all(removals).catch(() => persistence?.invalidateAll());
  }

  private async everywhere(kind: SharedRecord['kind'], subject: string, at: number | undefined): Promise<void> {
    if (kind === 'tag') await this.invalidations.tags([subject], 'remote');
    else if (kind === 'expire') await this.invalidations.expireTags([subject], 'remote', at);
    else
      await Promise.all([...this.laneContexts.values()].map((context) => this.invalidations.clear(context, 'remote')));
  }

  private tiers(...names: readonly GuardedTier['name'][]): readonly GuardedTier[] {
    return this.shared.below.filter(({ name }) => names.includes(name));
  }
}
