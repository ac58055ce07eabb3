import { RecordReader } from '../entries/record.js';
import { LOWER_TIER_NAMES, TIER_PLACES } from '../entries/tier-name.js';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { LaneManager } from '../cache/lane-manager.js';
import { laneOptions } from '../cache/call-options.js';
import { GuardedTier } from '../cache/guarded-tier.js';
import { Invalidations, RemoteInvalidations } from '../cache/invalidate.js';
import { Examples, type LaneContext, type SharedContext } from '../cache/lane-context.js';
import { CostMeter } from '../cache/in-flight/compute-cost.js';
import { LeasedTurns, type Turns } from '../cache/turns.js';
import { fillMemory } from '../cache/warm.js';
import type { ManagerContext } from '../cache/manager-context.js';
import type { CheckpointService } from '../checkpoints/checkpoint-service.js';
import { withDeadline } from '../clock/clock.js';
import { cachedKeyFor } from '../decorators/keys.js';
import { KeyPattern } from '../entries/pattern.js';
import type { LaneEviction } from '../eviction/lane-eviction.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { CleanupSchedule } from '../housekeeping/checkpoint-cleanup.task.js';
import { Sweeper } from '../housekeeping/sweeper.js';
import { InvalidationLog } from '../invalidation/invalidation-log.js';
import { operationsOf } from '../operations/app-operations.js';
import { EntryService } from '../ipc/entry-service.js';
import { operationAnswers, type Operations } from '../operations/operations.js';
import { type StartedApp, startedText } from '../events/event-texts.js';
import type { CachePolicy, LaneName } from '../lanes/policy.js';
import { toMilliseconds } from '../lanes/units.js';
import { LaneCacheMetrics } from '../metrics/lane-cache-metrics.js';
import { MemoryTier } from '../tiers/memory-tier.js';
import { OffTier } from '../tiers/off-tier.js';
import { DiskTier } from '../tiers/stored-tier.js';
import type { Tier } from '../tiers/tier.js';
import { checkpointsOf, checkpointStoreOf, checkpointUse, checkRetention, cleanupOf } from './app-checkpoints.js';
import {
  addressOf,
  type AppContext,
  type AppParts,
  appRecordOf,
  checkpointsDirectory,
  createContext,
  openDiskFor,
  rootDirectory,
  serverText,
  withEvictions,
  whileStarting,
} from './app-context.js';
import type { Disk } from './disk-port.js';
import type { LaneCacheOptions } from './options.js';
import type { InstanceIdentity } from '../redis/instances.js';
import type { SharedBackend } from './redis-options.js';

/**
 * The public cache of one app: one lane of it, from which the others can be reached.
 *
 * @example
 * ```ts
 * class PageService {
 *   constructor(private readonly cache: CacheManager) {}
 *
 *   render(id: string): Promise<string> {
 *     return this.cache.getOrSet(`page:${id}`, async () => `<h1>${id}</h1>`, { ttl: '5m', tags: ['pages'] });
 *   }
 * }
 * ```
 */
export class CacheManager extends LaneManager {
  /**
   * Opens a cache without Nest. `settings` is the name of a lane, or options. A directory that cannot be used turns tiers
   * off, and does not reject. Rejects with LaneCacheError for bad settings.
   *
   * @example
   * ```ts
   * const cache = await CacheManager.fromSettings({ lane: 'heavy', directory: '/var/cache/my-app' });
   * await cache.close();
   * ```
   */
  static async fromSettings(settings?: LaneName | LaneCacheOptions): Promise<CacheManager> {
    const app = await createLaneCache(settings);
    void app.cleanup.start();
    return app.manager();
  }

  /** The key that `@Cached` without `key` uses for this call. Throws DECORATOR_INVALID if the method is not `@Cached`. */
  keyFor<C extends object, M extends keyof C & string>(
    type: abstract new (...args: never[]) => C,
    method: M,
    args: ArgumentsOf<C[M]>,
  ): string {
    return cachedKeyFor(type, method, args, this);
  }
}

/** The arguments of a method. */
type ArgumentsOf<F> = F extends (...args: infer A) => unknown ? A : never;

/** What a caller gets of an open app. */
export interface LaneCacheApp {
  /** The manager of a lane, by default of the default lane. Throws UnknownLaneError. */
  manager(lane?: string): CacheManager;
  readonly checkpoints: CheckpointService;
  readonly tiers: AppTiers;
  readonly metrics: LaneCacheMetrics;
  /** The scheduled cleanup of checkpoints. It runs once it is started. */
  readonly cleanup: CleanupSchedule;
  /** What the command line can ask. */
  readonly operations: Operations;
  close(): Promise<void>;
}

/** The tiers of an app, nearest first. A tier that the app does without is off. */
interface AppTiers {
  readonly l1: MemoryTier;
  readonly l2: Tier;
  readonly l3: Tier;
  readonly l4: Tier;
}

/** What is opened from outside the process, before the app is composed. */
export interface Opened {
  readonly disk: Disk;
  readonly log: InvalidationLog;
  /** Absent without a distributed tier. */
  readonly backend?: SharedBackend | undefined;
}

/**
 * Opens an app. It checks the settings first. Then it opens and claims the directory, or waits for it. The invalidation
 * log continues from what L3 stored. Last, it prepares the server, where one is configured, connects everything and
 * starts. Rejects with LaneCacheError for bad settings, and leaves nothing open.
 */
export async function createLaneCache(
  settings: LaneName | LaneCacheOptions | undefined,
  parts: AppParts = {},
): Promise<LaneCacheApp> {
  const context = await withEvictions(createContext(settings, parts));
  const root = rootDirectory(context.options);
  const disk = await whileStarting(context, `it opens the directory '${root}'`, openDiskFor(context));
  const log = new InvalidationLog({ journal: disk.journal });
  let backend: SharedBackend | undefined;
  try {
    backend = await openBackend(context, disk, log);
    const app = new App(context, { disk, log, backend });
    await app.cleanup.check();
    const checked = checkRetention(context, app.checkpoints);
    await whileStarting(context, 'it asks the store of checkpoints for its lanes', checked);
    await whileStarting(context, `it connects to ${backend ? 'the server of l4' : 'the owner of l3'}`, app.start());
    if (context.purpose === 'serve') context.note(startedText(startedApp(context, app.tiers, disk)));
    warnOfStrangers(context, disk);
    return app;
  } catch (error) {
    await backend?.close();
    await disk.close();
    throw error;
  }
}

/** The server that the settings name, if any. What it takes is loaded only then. */
async function openBackend(context: AppContext, disk: Disk, log: InvalidationLog): Promise<SharedBackend | undefined> {
  const { distributed } = context.options;
  if (distributed === undefined || context.purpose === 'look') return undefined;
  const { openShared } = await import('./redis-options.js');
  return openShared(distributed, context, { disk, log });
}

/** Processes of one directory that share entries through different servers serve less from L3, and do not hear of each other there. */
function warnOfStrangers({ warnOnce, options }: AppContext, { strangers }: Disk): void {
  const [stranger] = strangers;
  if (stranger === undefined) return;
  const { pid, server } = stranger;
  warnOnce(
    'server',
    `Process ${pid} uses the directory '${rootDirectory(options)}' with ${server}, and this process uses it with ${serverText(options)}. Invalidations pass between them, entries of l3 may not, and each publishes to its own server alone. Give all processes of a directory the same 'distributed', or each app a directory of its own.`,
  );
}

/** What the other instances see of this one. */
function identityOf({ clock, options }: AppContext): InstanceIdentity {
  const since = new Date(clock.now()).toISOString();
  return { host: hostname(), pid: process.pid, version: options.version ?? '', since };
}

/** What the log says of an app that has started. */
function startedApp({ options, lanes, defaultLane }: AppContext, tiers: AppTiers, disk: Disk): StartedApp {
  const { distributed } = options;
  const each = Object.values(tiers) as readonly Tier[];
  return {
    lanes: [...lanes.keys()],
    defaultLane,
    directory: rootDirectory(options),
    role: disk.host?.role,
    tiers: each.map(({ name, state }) => ({ name, state })),
    server: distributed && addressOf(distributed.url),
  };
}

const CLOSE_WITHIN_MS = 4_800;
const SWEEP_EVERY_MS = 60_000;
const READ_DEADLINE_MS = 1_000;
const REMOVE_DEADLINE_MS = 10_000;

/** Connects the parts of an app. The constructor does no I/O and starts no timers. */
export class App implements LaneCacheApp {
  readonly tiers: AppTiers;
  readonly metrics: LaneCacheMetrics;
  readonly checkpoints: CheckpointService;
  readonly cleanup: CleanupSchedule;
  /** Applies what the instances that share the server invalidate. */
  readonly serverInvalidations: RemoteInvalidations | undefined;
  /** Applies what other processes of the directory invalidate. */
  private readonly hostInvalidations: RemoteInvalidations;
  private readonly shared: SharedContext;
  private readonly managers: ReadonlyMap<string, CacheManager>;
  private readonly laneContexts: ReadonlyMap<string, LaneContext>;
  private readonly sweeper: Sweeper;
  private closing: Promise<void> | undefined;

  constructor(
    private readonly context: AppContext,
    private readonly opened: Opened,
  ) {
    const { disk, backend } = opened;
    if (disk.journal !== undefined) context.life.notBefore(disk.journal.initial.latestTime);
    this.tiers = tiersOf(context, opened);

    const store = checkpointStoreOf(context, disk, backend);
    const { tracing } = context;
    this.checkpoints = checkpointsOf(context, tracing === undefined ? store : () => tracing.checkpoints(store()));
    this.cleanup = cleanupOf(context, disk, store);
    this.metrics = metricsOf(context, this.tiers, opened, this.checkpoints);
    this.sweeper = sweeperOf(context, this.tiers, opened, () => this.leaveRecord());

    const shared = sharedContextOf(context, this.tiers, opened);
    this.shared = shared;
    const laneContexts = laneContextsOf(context, this.tiers, shared, turnsOf(context, this.tiers, opened));
    this.laneContexts = laneContexts;
    const invalidations = new Invalidations(shared, laneContexts);
    this.serverInvalidations = backend && new RemoteInvalidations(shared, laneContexts, invalidations);
    this.hostInvalidations = new RemoteInvalidations(shared, laneContexts, invalidations, 'host');
    const managerContext: ManagerContext = {
      invalidations,
      metrics: this.metrics,
      checkpoints: this.checkpoints,
      managerOf: (lane) => this.managerNamed(lane),
      laneContexts: () => laneContexts.values(),
      flush: () => this.flush(),
      sweep: () => this.sweeper.sweep(),
      close: () => this.close(),
    };
    this.managers = new Map(
      [...laneContexts].map(([lane, laneContext]) => [lane, new CacheManager(laneContext, managerContext)]),
    );
  }

  /** Answers other processes, follows a new owner's log, starts the sweeps, and joins the other instances. */
  async start(): Promise<void> {
    const { disk, log, backend } = this.opened;
    disk.answer(() => operationAnswers(this.operations));
    void this.leaveRecord();
    disk.whenFound((journal) => {
      log.adopt(journal);
      // Before listeners of evictions can read what was found.
      disk.hostLog?.replay(journal.initial.place);
      this.tiers.l1.clearAll();
      void backend?.takenOver();
    });
    disk.hostLog?.start(this.hostInvalidations, disk.journal?.initial.place);
    const { sweepEvery } = this.context.options.storage ?? {};
    if (sweepEvery !== false) {
      const field = 'storage.sweepEvery';
      this.sweeper.start(sweepEvery === undefined ? SWEEP_EVERY_MS : toMilliseconds(sweepEvery, { field }));
    }
    await Promise.all([this.serverInvalidations && backend?.start(this.serverInvalidations), this.shareEntries()]);
    backend?.announce(identityOf(this.context));
    for (const laneContext of this.laneContexts.values()) fillFromL3(laneContext);
  }

  private async shareEntries(): Promise<void> {
    const { life, lanes } = this.context;
    const { disk, log, backend } = this.opened;
    const l3 = this.shared.below.find(({ name }) => name === 'l3');
    if (l3 === undefined || disk.hostLog === undefined) return;
    const { hostLog } = disk;
    const evictionOf = (lane: string): LaneEviction | undefined => lanes.get(lane)?.eviction;
    const sharedLog = backend?.log;
    const flush = (): Promise<void> => this.tiers.l3.flush();
    const mayStore = disk.mayStore.bind(disk);
    const service = new EntryService({ l3, log, hostLog, sharedLog, life, mayStore, evictionOf, flush });
    await disk.shareEntries({ service, position: () => log.position, sharedLog });
  }

  get operations(): Operations {
    const { metrics, checkpoints } = this;
    const { lanes, defaultLane, clock, life, options } = this.context;
    const manager = (lane?: string): LaneManager => this.manager(lane);
    const root = rootDirectory(options);
    return operationsOf({
      lanes: [...lanes.keys()],
      defaultLane,
      manager,
      metrics,
      checkpoints,
      clock,
      life,
      directory:
        root === false
          ? undefined
          : { path: root, checkpoints: checkpointsDirectory(options) || join(root, 'checkpoints') },
      retention: options.checkpoints === false ? undefined : (options.checkpoints?.retention ?? {}),
      instances: async () => (await this.opened.backend?.instances()) ?? [],
    });
  }

  manager(lane?: string): CacheManager {
    return this.managerNamed(lane ?? this.context.defaultLane);
  }

  /** A name that is missing, as from a setting, is no lane. */
  private managerNamed(lane: string): CacheManager {
    const manager = this.managers.get(lane);
    if (manager === undefined) throw new UnknownLaneError(lane, [...this.managers.keys()]);
    return manager;
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  /**
   * Closes memory first, so that nothing more is served or written, and aborts what is being computed. Then it drains what
   * was accepted: sweeps and cleanup, the log, the server, the directory. What hangs is left behind after 4.8 s.
   */
  private async closeOnce(): Promise<void> {
    const { clock, life, scopes, hold } = this.context;
    const { disk, log, backend } = this.opened;
    const recorded = this.leaveRecord();
    await this.tiers.l1.close();
    const reason = new LaneCacheError('CLOSED', 'The cache was closed while this was being computed.');
    for (const manager of this.managers.values()) manager.abortFlights(reason);
    scopes.end();
    const drain = async (): Promise<void> => {
      await Promise.all([this.sweeper.stop(), this.cleanup.stop()]);
      await log.storeTime(life.now()).catch(() => undefined);
      await recorded;
      await backend?.close();
      await disk.close();
    };
    await hold.during(withDeadline(clock, drain(), CLOSE_WITHIN_MS, 'closing')).catch(() => undefined);
    this.checkpoints.end();
    hold.end();
  }

  /** Writes the app record for the command line, which reads it when the app no longer runs. */
  private leaveRecord(): Promise<void> {
    const { context, metrics, opened } = this;
    return context.purpose === 'look'
      ? Promise.resolve()
      : opened.disk.leaveRecord(appRecordOf(context, metrics.report()));
  }

  private async flush(): Promise<void> {
    await this.opened.disk.hostLog?.flush();
    const working = belowMemory(this.tiers).filter((tier) => tier.state.state === 'on');
    await Promise.allSettled(working.map((tier) => tier.flush()));
  }
}

function tiersOf(context: AppContext, { disk, backend }: Opened): AppTiers {
  const { lanes, codec, life, events, recorder, historyOf } = context;
  const { l2, l3 } = disk;
  const l1 = new MemoryTier({
    lanes,
    codec,
    life,
    evicted: (lane, { key, accessCount }, reason) => {
      if (reason === 'expired') recorder(lane).expiration('l1', 1);
      else recorder(lane).eviction('l1', 1);
      historyOf(lane).evicted(key, 'l1', reason);
      // L2 knows when the others came.
      if (accessCount > 0 && l2 instanceof DiskTier) l2.touch(lane, key);
      if (events.wants('evict')) events.emit('evict', { lane, key, tier: 'l1', reason });
    },
  });
  return { l1, l2, l3, l4: backend?.tier ?? new OffTier('l4', 'policy') };
}

function metricsOf(
  { lanes, counters, clock, events, faults }: AppContext,
  tiers: AppTiers,
  { disk, backend }: Opened,
  checkpoints: CheckpointService,
): LaneCacheMetrics {
  return new LaneCacheMetrics({
    lanes,
    counters,
    tiers: listOf(tiers),
    clock,
    events,
    faults,
    checkpoints: () => checkpointUse(checkpoints),
    host: () => disk.host,
    ...(backend !== undefined && { shared: () => backend.sharedReport }),
  });
}

/** At each sweep, the time by the life clock is stored and the app record is left. */
function sweeperOf(
  { lanes, clock, life, events }: AppContext,
  tiers: AppTiers,
  { disk, log }: Opened,
  leaveRecord: () => Promise<void>,
): Sweeper {
  return new Sweeper({
    clock,
    events,
    tiers: listOf(tiers),
    lanes: [...lanes.keys()],
    leftovers: () => disk.removeLeftovers(),
    alongside: () => Promise.all([log.storeTime(life.now()), leaveRecord()]),
  });
}

const belowMemory = (tiers: AppTiers): readonly Tier[] => LOWER_TIER_NAMES.map((name) => tiers[name]);
const listOf = (tiers: AppTiers): readonly Tier[] => [tiers.l1, ...belowMemory(tiers)];

/** What all lanes share. */
function sharedContextOf(context: AppContext, tiers: AppTiers, { disk, log, backend }: Opened): SharedContext {
  const { clock, life, codec, events, scopes, hold, warnOnce, faults, recorder, options } = context;
  const below = belowMemory(tiers)
    .filter((tier) => !(tier instanceof OffTier))
    .map((tier) => {
      const readDeadlineMs = TIER_PLACES[tier.name] === 'server' ? Infinity : READ_DEADLINE_MS;
      const removeDeadlineMs = REMOVE_DEADLINE_MS;
      return new GuardedTier(tier, { clock, hold, events, recorder, readDeadlineMs, removeDeadlineMs });
    });
  return {
    clock,
    life,
    codec,
    reader: new RecordReader(codec),
    events,
    scopes,
    hold,
    warnOnce,
    fault: faults.report,
    log,
    below,
    memory: tiers.l1,
    persistence: disk.persistence,
    hostLog: disk.hostLog,
    sharedLog: backend?.log,
    tracing: context.tracing,
    appVersion: options.version ?? '',
  };
}

/**
 * Whose turn it is to compute, by lane. Processes of one directory need a tier in which they find each other's values: L4 if
 * there is a server, else L3. A lane without one computes in each process.
 */
function turnsOf(
  { clock, hold }: AppContext,
  { l3, l4 }: AppTiers,
  { disk, backend }: Opened,
): (policy: CachePolicy) => Turns | undefined {
  const { leases } = disk;
  const written = (): Promise<void> => (backend === undefined ? l3 : l4).flush();
  const ofHost = leases && new LeasedTurns({ table: leases, clock, written, hold });
  return (policy) => {
    const { enabled, coalesce } = policy.l4;
    const finds = backend === undefined ? policy.l3.enabled : enabled;
    if (coalesce === 'process' || !finds) return undefined;
    return coalesce === 'cluster' && backend !== undefined ? backend.turns : ofHost;
  };
}

function laneContextsOf(
  { lanes, recorder, historyOf }: AppContext,
  { l1 }: AppTiers,
  shared: SharedContext,
  turnsFor: (policy: CachePolicy) => Turns | undefined,
): ReadonlyMap<string, LaneContext> {
  const costs = [...lanes.values()].some(({ eviction }) => eviction !== undefined)
    ? new CostMeter(shared.clock)
    : undefined;
  const patterns = (texts: readonly string[]): readonly KeyPattern[] => texts.map((text) => new KeyPattern(text));
  return new Map(
    [...lanes].map(([lane, { policy, strategy, eviction }]): [string, LaneContext] => [
      lane,
      {
        lane,
        policy,
        strategy,
        turns: turnsFor(policy),
        eviction,
        costs: eviction && costs,
        shared,
        defaults: laneOptions(policy),
        recorder: recorder(lane),
        history: historyOf(lane),
        examples: new Examples(),
        include: patterns(policy.include),
        exclude: patterns(policy.exclude),
        memory: l1.space(lane),
      },
    ]),
  );
}

/** Behind the start, the memory of an adaptive lane gets what saved most before the restart. */
function fillFromL3(laneContext: LaneContext): void {
  const { eviction, policy } = laneContext;
  if (!policy.l3.enabled) return;
  eviction?.whenLearnt(() => {
    fillMemory(laneContext, eviction.best(policy.l1.maxEntries)).catch(() => undefined);
  });
}
