import type { LogFollower, SharedRecord } from '../invalidation/shared-log.js';
import type { Invalidations } from './invalidate.js';
import type { CacheParts, LaneSpace } from './lane-context.js';
import type { TierGate } from './guarded-tier.js';

/** Lets what other instances say take effect in this one. */
export class SharedFollower implements LogFollower {
  constructor(
    private readonly parts: CacheParts,
    private readonly spaces: ReadonlyMap<string, LaneSpace>,
    private readonly invalidations: Invalidations,
  ) {
    // What was stored before this process began is read once it is known what was said meanwhile.
    for (const gate of this.gates('l3')) gate.hold();
  }

  async follow({ kind, lane, subject }: SharedRecord): Promise<void> {
    if (lane === null) return this.everywhere(kind, subject);
    const space = this.spaces.get(lane);
    if (space === undefined || !space.policy.l4.enabled) {
      this.pass();
      return;
    }
    const { invalidations } = this;
    if (kind === 'key') await invalidations.key(space, subject, 'remote');
    else if (kind === 'pattern') await invalidations.pattern(space, subject, 'remote');
    else if (kind === 'expire') await invalidations.expireKey(space, subject, 'remote');
    else await invalidations.clear(space, 'remote');
  }

  pass(): void {
    this.parts.log.pass();
  }

  /** In this step nothing from before counts any more; what is on disk is removed behind it. */
  async drop(): Promise<void> {
    const { log, memory, persistence } = this.parts;
    const isBare = persistence?.isBare() ?? true;
    log.shutAll();
    memory.clearAll();
    for (const gate of this.gates('l2', 'l3')) gate.distrust(log.position);
    for (const gate of this.gates('l2')) {
      for (const lane of this.spaces.keys()) gate.clear(lane).catch(() => undefined);
    }
    if (!isBare) await persistence?.void();
  }

  suspect(): void {
    this.parts.log.shutAll();
  }

  release(): void {
    for (const gate of this.gates('l3')) gate.release();
  }

  private async everywhere(kind: SharedRecord['kind'], subject: string): Promise<void> {
    if (kind === 'tag') await this.invalidations.tags([subject], 'remote');
    else if (kind === 'expire') await this.invalidations.expireTags([subject], 'remote');
    else await Promise.all([...this.spaces.values()].map((space) => this.invalidations.clear(space, 'remote')));
  }

  private gates(...names: readonly TierGate['name'][]): readonly TierGate[] {
    return this.parts.below.filter(({ name }) => names.includes(name));
  }
}
