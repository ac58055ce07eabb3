import { LaneApp } from '../../support/lane-app.js';
import type { Jobs } from '../../support/jobs.js';
import { ModelDisk, ModelTier } from '../../support/model-tier.js';
import type { FakeClock } from '../../../lib/testing/fake-clock.js';
import type { Process } from './oracle.js';

/** What the processes of a model share. */
export interface Machine {
  readonly clock: FakeClock;
  readonly jobs: Jobs;
  /** What survives. One process at a time owns it. */
  readonly disk: ModelDisk;
}

const LANES = { standard: { ttl: '10s' }, docs: { ttl: '10s' } } as const;

/** One process over the disk: the owner of its persistent tier, or one that waits to be. */
export class ModelProcess implements Process {
  ownedFrom = Infinity;
  isAlive = true;
  readonly app: LaneApp;
  readonly l2: ModelTier;
  readonly l3: ModelTier;
  /** Where somebody has left, by lane and key: what they waited for goes on. */
  readonly left = new Set<string>();
  /** Values past their ttl that were served, by lane and key. */
  readonly staleServed = new Map<string, number>();

  constructor(
    private readonly machine: Machine,
    now: number,
    role: 'owner' | 'other',
  ) {
    const { clock, jobs, disk } = machine;
    this.l2 = new ModelTier('l2', ['standard', 'docs'], new ModelDisk(), jobs);
    this.l3 = new ModelTier('l3', ['standard'], disk, jobs);
    this.l3.isAttached = false;
    if (role === 'owner') this.own(now);
    this.app = new LaneApp({
      ...{ clock, lanes: LANES, tagLimit: 1, below: [this.l2, this.l3] },
      journal: role === 'owner' ? this.l3 : undefined,
      persistence: {
        directory: 'l3',
        isEmpty: () => false,
        invalidateAll: () => this.void(),
        noteMissed: () => this.noteMissed(),
      },
    });
    this.app.events.on('stale', ({ lane, key }) => {
      const place = `${lane} ${key}`;
      this.staleServed.set(place, (this.staleServed.get(place) ?? 0) + 1);
    });
  }

  takeOver(now: number): void {
    this.own(now);
    this.app.life.notBefore(this.machine.disk.latestTime);
    this.l2.disk.entries.clear();
    this.app.log.adopt(this.l3);
    this.app.memory.clearAll();
  }

  kill(): void {
    const { jobs, disk } = this.machine;
    this.isAlive = false;
    jobs.forget(this.l2);
    jobs.forget(this.l3);
    this.app.scopes.end();
    if (this.ownedFrom < Infinity) disk.latestTime = Math.max(disk.latestTime, this.app.life.now());
  }

  private own(now: number): void {
    const { disk } = this.machine;
    this.ownedFrom = now;
    if (disk.hasMissed) disk.empty(0);
    disk.hasMissed = false;
    this.l3.isAttached = true;
    this.l3.opened();
  }

  private void(): Promise<void> {
    return this.ownedFrom === Infinity ? Promise.resolve() : this.l3.empty();
  }

  private noteMissed(): Promise<void> | undefined {
    if (this.ownedFrom < Infinity) return undefined;
    this.machine.disk.hasMissed = true;
    return Promise.resolve();
  }
}
