import { RedisBackend, type RedisBackendOptions } from '../../../lib/redis/redis-backend.js';
import type { LogRow, LogState, StoredCursor } from '../../../lib/invalidation/journal.js';
import type { Outbox, SharedRecord } from '../../../lib/invalidation/shared-log.js';
import type { FakeClock } from '../../../lib/testing/fake-clock.js';
import type { Jobs } from '../../support/jobs.js';
import { LaneApp, type ShareableApp } from '../../support/lane-app.js';
import type { ModelNetwork } from '../../support/model-network.js';
import { ModelDisk, ModelTier } from '../../support/model-tier.js';
import type { Life } from './oracle.js';

/** A disk that also keeps how far the shared log was followed, and what could not be said. */
export class SharedDisk extends ModelDisk {
  private cursor: StoredCursor | undefined;
  /** Lies apart from what is emptied. */
  readonly outbox = new Map<string, SharedRecord>();

  override get log(): LogState {
    return { ...super.log, cursor: this.cursor };
  }

  override empty(ceiling: number): void {
    super.empty(ceiling);
    this.cursor = undefined;
  }

  override write(row: LogRow): void {
    if (row.row === 'cursor') this.cursor = { generation: row.generation, sequence: row.sequence };
    else super.write(row);
  }
}

/** One process's look at what its disk keeps. Nothing that it still does when it was killed reaches the disk. */
export class ModelOutbox implements Outbox {
  readonly found: ReadonlyMap<string, SharedRecord>;
  private readonly queue: (() => void)[] = [];
  private isAlive = true;

  constructor(
    private readonly kept: Map<string, SharedRecord>,
    private readonly jobs: Jobs,
  ) {
    this.found = new Map(kept);
  }

  keep(records: ReadonlyMap<string, SharedRecord>): Promise<void> {
    return this.soon(() => {
      for (const [id, record] of records) this.kept.set(id, record);
    });
  }

  forget(ids: readonly string[]): void {
    void this.soon(() => {
      for (const id of ids) this.kept.delete(id);
    });
  }

  /** Its process was killed. */
  kill(): void {
    this.isAlive = false;
    this.jobs.forget(this);
  }

  private soon(work: () => void): Promise<void> {
    return new Promise((resolve) => {
      if (!this.isAlive) return;
      this.queue.push(() => {
        work();
        resolve();
      });
      this.jobs.add(this, () => this.queue.shift()?.());
    });
  }
}

export interface InstanceSettings {
  readonly clock: FakeClock;
  readonly jobs: Jobs;
  readonly network: ModelNetwork;
  /** Absent for one that lives in memory alone. */
  readonly disk: SharedDisk | undefined;
  readonly onDisconnect: 'serve' | 'bypass';
  readonly trustPersistence: boolean;
  readonly coalesce: 'process' | 'cluster';
  /** Default 250. */
  readonly commandTimeoutMs?: number | undefined;
}

export const COMMAND_MS = 250;
export const MAX_STALENESS_MS = 5_000;
const UNBOUNDED = 1_000_000;

/** One life of one instance: the library's own code over a modelled disk and a modelled network. */
export class SharedInstance {
  readonly app: LaneApp;
  readonly l3: ModelTier | undefined;
  readonly distributed: RedisBackend;
  private readonly outbox: ModelOutbox | undefined;
  isAlive = true;

  constructor(
    readonly life: Life,
    private readonly settings: InstanceSettings,
  ) {
    const { clock, jobs, disk, coalesce } = settings;
    const l3 = disk === undefined ? undefined : new ModelTier('l3', ['standard', 'docs'], disk, jobs);
    this.l3 = l3;
    this.outbox = disk === undefined ? undefined : new ModelOutbox(disk.outbox, jobs);
    const made: { distributed?: RedisBackend } = {};
    const l4 = { coalesce } as const;
    this.app = new LaneApp({
      ...{ clock, tagLimit: 4, journal: l3, below: l3 === undefined ? [] : [l3] },
      lanes: { standard: { ttl: '1h', l4 }, docs: { ttl: '1h', l4 } },
      ...(l3 !== undefined && {
        persistence: {
          directory: 'l3',
          isEmpty: () => l3.isEmpty,
          invalidateAll: () => l3.empty(),
          noteMissed: () => undefined,
        },
      }),
      share: (app) => {
        made.distributed = this.share(app);
        return { tier: made.distributed.tier, log: made.distributed.log, turns: made.distributed.turns };
      },
    });
    if (made.distributed === undefined || this.app.serverInvalidations === undefined)
      throw new Error('nothing is shared');
    this.distributed = made.distributed;
    void this.distributed.start(this.app.serverInvalidations);
  }

  /** As SIGKILL: nothing it still does reaches anybody. */
  kill(): void {
    this.isAlive = false;
    this.outbox?.kill();
    if (this.l3 !== undefined) this.settings.jobs.forget(this.l3);
    if (this.l3 !== undefined) this.l3.isAttached = false;
    this.app.scopes.end();
    this.settings.network.cut();
    this.settings.network.isDown = true;
    void this.distributed.close();
  }

  private share(app: ShareableApp): RedisBackend {
    return backendOf(app, this.settings, {
      journal: () => this.l3,
      outbox: () => this.outbox,
      unpublished: new Map(),
    });
  }
}

/** What an app shares through the network. */
export function backendOf(
  { clock, life, events, log, lanes, recorder }: ShareableApp,
  settings: Pick<InstanceSettings, 'network' | 'onDisconnect' | 'trustPersistence' | 'coalesce' | 'commandTimeoutMs'>,
  own: Pick<RedisBackendOptions, 'journal' | 'outbox' | 'unpublished'>,
): RedisBackend {
  const { network, onDisconnect, trustPersistence, coalesce, commandTimeoutMs = COMMAND_MS } = settings;
  const lane = { compression: undefined, maxEntryBytes: 1_000, coalesces: coalesce === 'cluster' };
  const server = { url: undefined, client: network.template, prefix: 'p', hmacKey: undefined };
  const times = { commandTimeoutMs, maxStalenessMs: MAX_STALENESS_MS };
  const ofApp = {
    lanes: new Map(lanes.map((name) => [name, lane])),
    clock,
    life,
    events,
    recorder,
  };
  const given = { ...server, ...times, ...ofApp, ...own, onDisconnect, trustPersistence, logLength: UNBOUNDED };
  return new RedisBackend(
    { ...given, position: () => log.position, labelsOf: () => [] },
    network.clusterPort ?? network.template,
  );
}
