import { Invalidations } from '../cache/invalidate.js';
import type { LaneManager } from '../cache/lane-manager.js';
import type { ManagerContext } from '../cache/manager-context.js';
import type { LaneContext, SharedContext } from '../cache/lane-context.js';
import { RemoteInvalidations } from '../cache/remote-invalidations.js';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import { CheckpointService } from '../checkpoints/checkpoint-service.js';
import { withDeadline } from '../clock/timers.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import { Sweeper } from '../housekeeping/sweeper.js';
import { InvalidationLog } from '../invalidation/invalidation-log.js';
import type { Disk } from './disk.js';
import { openShared, type SharedBackend } from './redis-options.js';
import { layFoundations, openDiskFor, type AppContext, type Setting, checkpointsDirectory } from './app-context.js';
import type { LaneCacheOptions } from './options.js';
import { toMilliseconds, parseSize } from '../lanes/units.js';
import type { LaneName } from '../lanes/policy.js';
import type { CheckpointUse } from '../metrics/prometheus-metrics.js';
import { LaneCacheMetrics, type MetricsReport } from '../metrics/lane-cache-metrics.js';
import { AppOperations } from '../ipc/app-operations.js';
import { operationAnswers, type Operations } from '../ipc/operations.js';
import type { Tier } from '../tiers/tier.js';
import { laneOptions } from '../cache/call-options.js';
import { GuardedTier } from '../cache/guarded-tier.js';
import { KeyPattern } from '../entries/pattern.js';
import { OffTier } from '../tiers/off-tier.js';
import { DiskTier } from '../tiers/stored-tier.js';
import { MemoryTier } from '../tiers/memory-tier.js';
import { appRecord, type AppRecord } from '../ipc/app-record.js';
import { CheckpointCleaner } from '../checkpoints/checkpoint-cleaner.js';
import { CheckpointCleanupTask, CleanupSchedule, type JobRegistry } from '../housekeeping/checkpoint-cleanup.task.js';

/** Everything of one app, put together. */
export interface LaneCacheApp<M extends LaneManager = LaneManager> {
  /** The lane's manager, the default lane's if none is named. Throws UnknownLaneError. */
  manager(lane?: string): M;
  readonly checkpoints: CheckpointService;
  readonly tiers: AppTiers;
  readonly metrics: LaneCacheMetrics;
  readonly cleanup: Cleanup;
  /** What the command line may ask. */
  readonly operations: Operations;
  close(): Promise<void>;
}

const CLOSE_WITHIN_MS = 4_800;
const SWEEP_EVERY_MS = 60_000;

/** What makes the manager of a lane. */
type MakeManager<M extends LaneManager> = (space: LaneContext, shared: ManagerContext) => M;

/**
 * Puts an app together: settings are checked, the directory is opened and claimed, every lane stands.
 * Rejects with LaneCacheError on bad settings.
 */
export async function createLaneCache<M extends LaneManager>(
  settings: LaneName | LaneCacheOptions | undefined,
  make: MakeManager<M>,
  setting: Setting = {},
): Promise<LaneCacheApp<M>> {
  const context = layFoundations(settings, setting);
  const disk = await openDiskFor(context);
  const log = new InvalidationLog({ journal: disk.journal });
  try {
    const app = new App(context, disk, log, await openShared(context, disk, log), make);
    await app.start();
    return app;
  } catch (error) {
    await disk.close();
    throw error;
  }
}

class App<M extends LaneManager> implements LaneCacheApp<M> {
  readonly tiers: AppTiers;
  readonly metrics: LaneCacheMetrics;
  readonly checkpoints: CheckpointService;
  readonly cleanup: Cleanup;
  private readonly managers: ReadonlyMap<string, M>;
  private readonly sweeper: Sweeper;
  private follower: RemoteInvalidations | undefined;
  private closing: Promise<void> | undefined;

  constructor(
    private readonly context: AppContext,
    private readonly disk: Disk,
    private readonly log: InvalidationLog,
    private readonly shared: SharedBackend | undefined,
    private readonly make: MakeManager<M>,
  ) {
    const { lanes, clock, life, events, counters, options } = context;
    this.tiers = tiersOf(context, disk, shared);
    if (disk.journal !== undefined) life.notBefore(disk.journal.initial.latestTime);
    const tiers = Object.values(this.tiers) as readonly Tier[];
    const store = (): CheckpointStore => storeOf(context, disk, shared);
    this.checkpoints = checkpointsOf(context, store);
    const checkpoints = () => checkpointUse(this.checkpoints);
    this.metrics = new LaneCacheMetrics({ lanes, counters, tiers, clock, events, checkpoints });
    this.cleanup = cleanupOf(context, disk, store);
    this.sweeper = new Sweeper({
      clock,
      events,
      lanes: [...lanes.keys()],
      tiers,
      leftovers: () => disk.removeLeftovers(),
      alongside: () => Promise.all([this.log.storeTime(life.now()), this.leaveRecord()]),
    });
    this.managers = this.openLanes();
    disk.answer(operationAnswers(this.operations));
    void this.leaveRecord();
    disk.whenFound((journal) => {
      this.log.adopt(journal);
      this.tiers.l1.clearAll();
      void shared?.takenOver();
    });
    const { sweepEvery } = options.storage ?? {};
    if (sweepEvery === false) return;
    const everyMs = sweepEvery === undefined ? SWEEP_EVERY_MS : toMilliseconds(sweepEvery, SWEEP_FIELD);
    this.sweeper.start(everyMs);
  }

  /** Joins the other instances, if there are any to join. */
  async start(): Promise<void> {
    if (this.follower !== undefined) await this.shared?.start(this.follower);
  }

  get operations(): Operations {
    const { metrics, checkpoints } = this;
    const { lanes, defaultLane, clock, life } = this.context;
    const manager = (lane?: string): LaneManager => this.manager(lane);
    return new AppOperations({ lanes: [...lanes.keys()], defaultLane, manager, metrics, checkpoints, clock, life });
  }

  manager(lane: string = this.context.defaultLane): M {
    const manager = this.managers.get(lane);
    if (manager === undefined) throw new UnknownLaneError(lane, [...this.managers.keys()]);
    return manager;
  }

  close(): Promise<void> {
    this.closing ??= this.shut();
    return this.closing;
  }

  /** Memory first, so that from here on nothing is served and nothing is written; then what was accepted is drained. */
  private async shut(): Promise<void> {
    const { clock, life, scopes } = this.context;
    const recorded = this.leaveRecord();
    await this.tiers.l1.close();
    const reason = new LaneCacheError('CLOSED', 'The cache was closed while this was being computed.');
    for (const manager of this.managers.values()) manager.abortFlights(reason);
    scopes.end();
    const drain = async (): Promise<void> => {
      await Promise.all([this.sweeper.stop(), this.cleanup.stop()]);
      await this.log.storeTime(life.now()).catch(() => undefined);
      await recorded;
      await this.shared?.close();
      await this.disk.close();
    };
    await withDeadline(clock, drain(), CLOSE_WITHIN_MS, 'closing').catch(() => undefined);
  }

  private leaveRecord(): Promise<void> {
    const { context, metrics, disk } = this;
    return context.purpose === 'look' ? Promise.resolve() : disk.leaveRecord(recordOf(context, metrics.report()));
  }

  private async flush(): Promise<void> {
    await Promise.allSettled([this.tiers.l2.flush(), this.tiers.l3.flush(), this.tiers.l4.flush()]);
  }

  private openLanes(): ReadonlyMap<string, M> {
    const { parts, spaces } = openSpaces(this.context, this.tiers, this.log, this.disk, this.shared);
    const managers = new Map<string, M>();
    const invalidations = new Invalidations(parts, spaces);
    if (this.shared !== undefined) this.follower = new RemoteInvalidations(parts, spaces, invalidations);
    const shared: ManagerContext = {
      invalidations,
      metrics: this.metrics,
      checkpoints: this.checkpoints,
      managerOf: (lane) => this.manager(lane),
      spaces: () => spaces.values(),
      flush: () => this.flush(),
      sweep: () => this.sweeper.sweep(),
      close: () => this.close(),
    };
    for (const [lane, space] of spaces) managers.set(lane, this.make(space, shared));
    return managers;
  }
}

const SWEEP_FIELD = Object.freeze({ field: 'storage.sweepEvery' });

/** Checkpoints by lane, as the page for Prometheus shows them. */
async function checkpointUse(checkpoints: CheckpointService): Promise<ReadonlyMap<string, CheckpointUse>> {
  const { lanes } = await checkpoints.getCheckpointCacheStatus();
  const uses = Object.entries(lanes).map(([lane, { cachedCheckpoints, bytes }]) => {
    return [lane, { checkpoints: cachedCheckpoints, bytes }] as const;
  });
  return new Map(uses);
}

/** Asked anew at each call: ownership of the directory may come later. */
function storeOf({ options }: AppContext, disk: Disk, shared: SharedBackend | undefined): CheckpointStore {
  const isShared = options.checkpoints !== false && options.checkpoints?.store === 'distributed';
  return (isShared ? shared?.checkpoints : undefined) ?? disk.checkpoints();
}

function checkpointsOf(
  { lanes, codec, clock, events, defaultLane, options, warnOnce }: AppContext,
  store: () => CheckpointStore,
): CheckpointService {
  const settings = options.checkpoints === false ? {} : (options.checkpoints ?? {});
  const { maxStateBytes, warnStateBytes } = settings;
  return new CheckpointService({
    codec,
    clock,
    events,
    defaultLane,
    lanes: [...lanes.keys()],
    store,
    ...(maxStateBytes === undefined ? {} : { maxStateBytes: parseSize(maxStateBytes) }),
    ...(warnStateBytes === undefined ? {} : { warnStateBytes: parseSize(warnStateBytes) }),
    warn: (message) => warnOnce(message, message),
  });
}

const READ_DEADLINE_MS = 1_000;
const REMOVE_DEADLINE_MS = 10_000;

/** What the lanes share, and each lane at work over it. */
interface Spaces {
  readonly parts: SharedContext;
  readonly spaces: ReadonlyMap<string, LaneContext>;
}

function openSpaces(
  context: AppContext,
  tiers: AppTiers,
  log: InvalidationLog,
  disk: Disk,
  shared: SharedBackend | undefined,
): Spaces {
  const { clock, life, codec, events, scopes, warnOnce, options } = context;
  const parts: SharedContext = {
    clock,
    life,
    codec,
    events,
    warnOnce,
    log,
    below: gatesOf(context, tiers),
    memory: tiers.l1,
    persistence: disk.persistence,
    shared: shared?.log,
    turns: shared?.turns,
    appVersion: options.version ?? '',
    scopes,
  };
  return { parts, spaces: spacesOf(context, tiers, parts) };
}

function gatesOf({ clock, events, recorder }: AppContext, { l2, l3, l4 }: AppTiers): readonly GuardedTier[] {
  const options = { clock, events, recorder, readDeadlineMs: READ_DEADLINE_MS, removeDeadlineMs: REMOVE_DEADLINE_MS };
  return [l2, l3, l4]
    .filter((tier) => !(tier instanceof OffTier))
    .map((tier) => {
      // the distributed tier has a deadline of its own
      const readDeadlineMs = tier.name === 'l4' ? Infinity : READ_DEADLINE_MS;
      return new GuardedTier(tier, { ...options, readDeadlineMs });
    });
}

function spacesOf(
  { lanes, recorder, recent }: AppContext,
  tiers: AppTiers,
  parts: SharedContext,
): ReadonlyMap<string, LaneContext> {
  const patterns = (texts: readonly string[]): readonly KeyPattern[] => texts.map((text) => new KeyPattern(text));
  const spaces = new Map<string, LaneContext>();
  for (const [lane, { policy, strategy }] of lanes) {
    spaces.set(lane, {
      lane,
      policy,
      strategy,
      shared: parts,
      call: laneOptions(policy),
      recorder: recorder(lane),
      recent: recent(lane),
      include: patterns(policy.include),
      exclude: patterns(policy.exclude),
      memory: tiers.l1.space(lane),
    });
  }
  return spaces;
}

/** The tiers of an app, nearest first; those it does without are off. */
interface AppTiers {
  readonly l1: MemoryTier;
  readonly l2: Tier;
  readonly l3: Tier;
  readonly l4: Tier;
}

function tiersOf(context: AppContext, disk: Disk, shared: SharedBackend | undefined): AppTiers {
  const { lanes, codec, life, events, recorder, recent } = context;
  const { l2, l3 } = disk;
  const l1 = new MemoryTier({
    lanes,
    codec,
    life,
    evicted: (lane, { key }, reason) => {
      if (reason === 'expired') recorder(lane).expiration('l1', 1);
      else recorder(lane).eviction('l1', 1);
      recent(lane).evicted(key, 'l1', reason);
      if (l2 instanceof DiskTier) l2.touch(lane, key);
      if (events.wants('evict'))
        events.emit('evict', {
          lane,
          key,
          tier: 'l1',
          reason,
        });
    },
  });
  return { l1, l2, l3, l4: shared?.tier ?? new OffTier('l4', 'policy') };
}

const RETENTION_DAYS = 7;

type Retention = AppRecord['retentionDays'];

/** JSON has no Infinity, which means the same as false. */
function retentionOf(days: Retention = RETENTION_DAYS): Retention {
  const finite = (each: number | false): number | false => (each === Infinity ? false : each);
  if (typeof days !== 'object') return finite(days);
  return Object.fromEntries(Object.entries(days).map(([lane, each]) => [lane, finite(each)]));
}

/** What the app leaves in its directory. */
function recordOf(context: AppContext, metrics: MetricsReport): AppRecord {
  const { options, lanes, defaultLane, clock } = context;
  return appRecord({
    savedAt: new Date(clock.now()).toISOString(),
    pid: process.pid,
    defaultLane,
    version: options.version ?? '',
    policies: [...lanes.values()].map(({ policy }) => policy),
    checkpoints: checkpointsDirectory(options),
    retentionDays: options.checkpoints === false ? false : retentionOf(options.checkpoints?.retentionDays),
    metrics,
  });
}

/** The cleanup of one app's checkpoints: the task, and the hour at which it runs by itself. */
interface Cleanup {
  readonly task: CheckpointCleanupTask;
  /** Plans the task, also in `registry` if there is one. Once. */
  plan(registry?: JobRegistry): void;
  /** Resolves when nothing is planned and nothing runs. */
  stop(): Promise<void>;
}

/** Throws OPTIONS_INVALID for a schedule that is none. */
function cleanupOf(
  { options, clock, events, warnOnce }: AppContext,
  disk: Disk,
  store: () => CheckpointStore,
): Cleanup {
  const { retentionDays, cleanup, timeZone } = options.checkpoints === false ? {} : (options.checkpoints ?? {});
  const isShared = options.checkpoints !== false && options.checkpoints?.store === 'distributed';
  const isAlone = isShared || options.directory === false;
  const task = new CheckpointCleanupTask({
    cleaner: new CheckpointCleaner(store, clock, events),
    events,
    isOwner: () => (isAlone || disk.journal !== undefined) && store().state.state === 'on',
    ...(retentionDays === undefined ? {} : { retentionDays }),
  });
  const isOff = cleanup === false || options.checkpoints === false;
  const isNowhere = options.directory === false && !isShared;
  const onFailure = (error: unknown): void => {
    const text = error instanceof Error ? error.message : String(error);
    warnOnce(`cleanup:${text}`, `The cleanup of checkpoints failed and will be tried again as planned: ${text}`);
  };
  const plan = (registry?: JobRegistry): CleanupSchedule =>
    new CleanupSchedule({
      task,
      onFailure,
      ...(cleanup === undefined || cleanup === false ? {} : { cron: cleanup }),
      ...(timeZone === undefined ? {} : { timeZone }),
      ...(registry === undefined ? {} : { registry }),
    });
  // A schedule that is none must fail at boot, whoever plans it later.
  if (!isOff) plan();
  let planned: CleanupSchedule | undefined;
  return {
    task,
    plan: (registry) => {
      if (isOff || isNowhere || planned !== undefined) return;
      planned = plan(registry);
      planned.start();
    },
    stop: async () => {
      await (planned === undefined ? task.stop() : planned.stop());
    },
  };
}
