import type { CheckpointRecord, CheckpointStore } from '../checkpoints/checkpoint-store.js';
import { LeasedTurns, type Turns } from '../cache/turns.js';
import { type Clock, randomFraction } from '../clock/clock.js';
import { settledWithin, KeepAlive } from '../clock/timers.js';
import { BackOff } from '../clock/retry.js';
import type { EventSink } from '../events/event-map.js';
import type { LaneRecorder } from '../events/recorder.js';
import type { InstanceReport, SharedReport } from '../metrics/lane-cache-metrics.js';
import type { LogJournal } from '../invalidation/journal.js';
import type { LogFollower, Outbox, SharedLog, SharedRecord } from '../invalidation/shared-log.js';
import type { DistributedTier } from '../tiers/distributed-tier.js';
import type { TierState } from '../tiers/tier.js';
import { CheckpointConnection, RedisCheckpointStore } from './checkpoints/redis-checkpoint-store.js';
import { CursorHistory, AppliedInvalidations } from './shared-log/applied-records.js';
import { FreshnessWindow, ServerTime, Staleness } from './shared-log/freshness.js';
import { KeySpace } from './keys.js';
import { Instances, type InstanceIdentity } from './instances.js';
import { Leases } from './leases.js';
import { LogSubscriber } from './shared-log/subscriber.js';
import { RecordEnvelope, type SharedLane, RecordSeal } from './tier/record-envelope.js';
import { isRedisClusterPort, type RedisClusterPort, type RedisPort } from './client/redis-client.js';
import { RedisSharedLog } from './shared-log/publisher.js';
import { RedisTier } from './tier/redis-tier.js';
import { Connection } from './client/connection.js';
import { clusterOf, templateClient } from './client/connect.js';
import { ClusterRouter } from './client/cluster-router.js';
import { SpreadEntries } from './tier/spread-entries.js';

export interface RedisBackendOptions {
  readonly url: string | undefined;
  readonly client: object | undefined;
  readonly prefix: string;
  readonly commandTimeoutMs: number;
  readonly onDisconnect: 'serve' | 'bypass';
  readonly maxStalenessMs: number;
  readonly trustPersistence: boolean;
  readonly logLength: number;
  readonly hmacKey: string | Uint8Array | undefined;
  /** Lanes that instances share. */
  readonly lanes: ReadonlyMap<string, SharedLane>;
  readonly clock: Clock;
  readonly life: { now(): number };
  readonly events: EventSink;
  readonly recorder: (lane: string) => LaneRecorder;
  /** The position of this process's log. */
  readonly position: () => number;
  readonly journal: () => LogJournal | undefined;
  readonly outbox: () => Outbox | undefined;
  /** Records that another process of the directory may still publish, by their ids. */
  readonly unpublished: ReadonlyMap<string, SharedRecord>;
  /** The labels of a checkpoint that an earlier release saved. */
  readonly labelsOf: (record: CheckpointRecord) => readonly string[];
}

/** After a longer disconnection, missed records cannot be distinguished from the others. */
const CUT_OFF_AFTER_MS = 1_000;
const CLOSE_WITHIN_MS = 250;
const RECONNECTS = { firstMs: 100, longestMs: 2_000 };
/** How long an app waits at boot for a server that does not answer. */
const BOOT_WITHIN_MS = 1_000;

/** Stands among the codes of errors that were reported. */
const SILENT_NODE = 'silent node';

const routed = (router: ClusterRouter, keys: KeySpace): readonly [ClusterRouter, RedisPort] => [
  router,
  router.templateOf(keys.meta),
];

const takesTurns = (lanes: ReadonlyMap<string, SharedLane>): boolean =>
  [...lanes.values()].some(({ coalesces }) => coalesces);

/** Everything that an app shares through Redis: the tier, the log, and their connection. */
export class RedisBackend {
  readonly tier: DistributedTier;
  readonly log: SharedLog;
  readonly turns: Turns;
  private readonly shared: RedisSharedLog;
  private readonly leases: Leases;
  private readonly roster: Instances;
  /** Monotonic ms: every record up to then has been followed. */
  private followedUpTo: number;
  private store: CheckpointStore | undefined;
  private readonly cursors = new CursorHistory();
  private readonly applied: AppliedInvalidations;
  /** From which connections to the node of the log are duplicated. */
  private readonly template: RedisPort;
  private readonly serverTime = new ServerTime();
  private readonly keys: KeySpace;
  private readonly staleness: Staleness;
  private line: LogSubscriber | undefined;
  private follower: LogFollower | undefined;
  private connection: Connection | undefined;
  private opened: Connection | undefined;
  private current: TierState = { state: 'off', reason: 'disconnected' };
  private readonly hold = new KeepAlive();
  private readonly freshness: FreshnessWindow;
  private hasReported = false;
  /** The codes of errors of the server that were reported since the state changed last. */
  private readonly refusals = new Set<string>();
  private isClosed = false;
  private readonly backOff = new BackOff(RECONNECTS);
  private wake: () => void = () => undefined;
  private running: Promise<void> = Promise.resolve();

  /** Throws OPTIONS_INVALID. */
  static async prepare(settings: RedisBackendOptions): Promise<RedisBackend> {
    return new RedisBackend(settings, clusterOf(settings.client) ?? (await templateClient(settings)));
  }

  /** Nothing is connected before `start`. `client` is the port from which connections are duplicated, or a cluster. */
  constructor(
    private readonly settings: RedisBackendOptions,
    client: RedisPort | RedisClusterPort,
  ) {
    const { prefix, clock, commandTimeoutMs: timeoutMs, logLength, lanes, outbox, life, position } = settings;
    const places = isRedisClusterPort(client) ? 'spread' : 'beside-the-log';
    const keys = new KeySpace(prefix, places);
    const applied = new AppliedInvalidations(places);
    this.keys = keys;
    this.applied = applied;
    const { cursors, serverTime } = this;
    const limitMs = settings.onDisconnect === 'bypass' ? CUT_OFF_AFTER_MS : settings.maxStalenessMs;
    this.staleness = new Staleness(clock, limitMs, () => this.follower?.suspect());
    const isStale = (): boolean => this.staleness.isStale;
    const { hold } = this;
    const changed = (error: Error | undefined): void => this.nodeChanged(error);
    const [router, template] = isRedisClusterPort(client)
      ? routed(new ClusterRouter(client, clock, { timeoutMs, hold, changed }), keys)
      : ([undefined, client] as const);
    this.template = template;
    const entries = router && new SpreadEntries({ router, keys, applied, cursors, serverTime, life });
    const refused = (error: unknown): void => this.refused(error);
    const freshness = new FreshnessWindow({ clock, life, holdsForMs: CUT_OFF_AFTER_MS, waitMs: timeoutMs, hold });
    this.freshness = freshness;
    const log = new RedisSharedLog({
      keys,
      clock,
      timeoutMs,
      logLength,
      lanes,
      outbox,
      cursors,
      isStale,
      freshness,
      hold,
      refused,
      spread: entries,
    });
    this.shared = log;
    this.log = log;
    this.tier = new RedisTier({
      keys,
      lanes,
      life,
      cursors,
      applied,
      serverTime,
      log,
      spread: router && entries && { router, entries },
      position,
      packing: new RecordEnvelope(lanes, new RecordSeal(settings.hmacKey)),
      connection: () => this.connection,
      state: () => this.current,
      failed: (lane, error) => {
        settings.recorder(lane).tierError('l4');
        refused(error);
      },
      close: () => this.close(),
    });
    const connection = (): Connection | undefined => this.connection;
    this.leases = new Leases({ keys, connection });
    this.followedUpTo = clock.monotonic();
    this.roster = new Instances({ keys, clock, id: log.by, connection, own: () => this.sharedReport });
    const written = (): Promise<void> => this.tier.flush();
    this.turns = new LeasedTurns({ table: this.leases, clock, written, hold: this.hold });
  }

  /** Connects, and reconnects for ever. Resolves when the tier serves, or when the boot need not wait longer. */
  start(follower: LogFollower): Promise<void> {
    const { settings, cursors, applied, serverTime, keys } = this;
    const { clock, life, trustPersistence, position, journal } = settings;
    this.follower = follower;
    for (const [id, record] of settings.unpublished) void this.shared.receivedOnHost(record, { id, place: undefined });
    const line = new LogSubscriber({
      keys,
      clock,
      trustPersistence,
      cursors,
      applied,
      serverTime,
      life,
      follower,
      position,
      journal,
      log: this.shared,
      leases: takesTurns(this.settings.lanes) ? this.leases : undefined,
      caughtUp: (connection, asOf) => this.caughtUp(connection, asOf),
    });
    this.line = line;
    const started = this.wait(BOOT_WITHIN_MS);
    this.running = this.run(line);
    return this.hold.during(started);
  }

  /** How this instance follows the others. */
  get sharedReport(): SharedReport {
    const lagMs = Math.max(0, Math.round(this.settings.clock.monotonic() - this.followedUpTo));
    return { isConnected: this.connection !== undefined, lagMs, behind: this.line?.behind ?? 0 };
  }

  /** Reports this instance to the others from now on. */
  announce(identity: InstanceIdentity): void {
    if (!this.isClosed) this.roster.announce(identity);
  }

  /** This instance and the others that report to the server. */
  instances(): Promise<readonly InstanceReport[]> {
    return this.roster.list();
  }

  /** The shared checkpoints. They connect when they are first used. */
  get checkpoints(): CheckpointStore {
    const { clock, events, labelsOf } = this.settings;
    this.store ??= new RedisCheckpointStore(
      new CheckpointConnection(this.template, this.keys.checkpoints, clock, this.hold),
      events,
      labelsOf,
    );
    return this.store;
  }

  /** This process has become the owner of a persistent tier whose records it has not followed. */
  async takenOver(): Promise<void> {
    await this.line?.takenOver();
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.tier.flush().catch(() => undefined);
    await Promise.all([this.roster.leave(), this.store?.close()]);
    this.turn({ state: 'off', reason: 'closed' }, 'closed');
    this.staleness.stop();
    this.opened?.fail(new Error('closed'));
    this.wake();
    // A connection that is being opened ends by itself.
    await settledWithin(this.settings.clock, this.running, CLOSE_WITHIN_MS);
    // Else the next process follows again what this one has.
    await settledWithin(this.settings.clock, this.line?.stored() ?? Promise.resolve(), CLOSE_WITHIN_MS);
    await this.template.close();
    this.hold.end();
  }

  private async run(line: LogSubscriber): Promise<void> {
    const { clock, commandTimeoutMs: timeoutMs } = this.settings;
    const { hold } = this;
    while (!this.isClosed) {
      try {
        const changed = (error: Error | undefined): void => this.answersChanged(error);
        this.opened = await Connection.open(this.template, clock, { timeoutMs, hold, changed });
        if (this.isClosed) this.opened.fail(new Error('closed'));
        await line.follow(this.opened);
      } catch (error) {
        this.cutOff(error);
      }
      if (!this.isClosed) await this.wait(this.backOff.next() * (0.5 + randomFraction() / 2));
    }
  }

  private caughtUp(connection: Connection, asOf: number): void {
    // A failed connection may still deliver replies that were on their way.
    if (this.isClosed || connection !== this.opened) return;
    this.followedUpTo = Math.max(this.followedUpTo, asOf);
    this.staleness.freshAsOf(asOf);
    this.freshness.caughtUpAsOf(asOf);
    if (this.connection === connection) return;
    this.connection = connection;
    this.backOff.reset();
    this.follower?.release();
    this.turn({ state: 'on' }, 'connected, and up to date with the other instances');
    this.wake();
  }

  private cutOff(error: unknown): void {
    this.opened?.fail(error instanceof Error ? error : new Error(String(error)));
    this.opened = undefined;
    this.connection = undefined;
    this.freshness.lose();
    this.shared.disconnect();
    if (this.settings.onDisconnect === 'bypass') this.staleness.expireNow();
    const detail = `Redis cannot be reached: ${error instanceof Error ? error.message : String(error)}`;
    this.turn({ state: 'off', reason: 'disconnected' }, detail, error);
    this.wake();
  }

  /** Commands are no longer answered in time, or are again. Records are followed over the other connection meanwhile. */
  private answersChanged(error: Error | undefined): void {
    if (this.connection === undefined) return;
    if (error === undefined) this.turn({ state: 'on' }, 'commands are answered in time again');
    else this.turn({ state: 'off', reason: 'disconnected' }, `Redis does not answer commands: ${error.message}`, error);
  }

  /** The server has refused a command. That the connection was lost, or that it is late, is reported elsewhere. */
  private refused(error: unknown): void {
    if (this.isNewRefusal(error)) this.report(this.current, `Redis refuses commands: ${String(error)}`, error);
  }

  /** A node with entries no longer answers in time, or does again. */
  private nodeChanged(error: Error | undefined): void {
    if (error === undefined) this.refusals.delete(SILENT_NODE);
    else if (!this.refusals.has(SILENT_NODE)) {
      this.refusals.add(SILENT_NODE);
      this.report(this.current, `a node of the cluster does not answer: ${error.message}`, error);
    }
  }

  /** Reports each change, and while nothing changes each new refusal of the server. */
  private turn(state: TierState, detail: string, error?: unknown): void {
    if (this.current.reason === 'closed') return;
    const isChange = state.state !== this.current.state || state.reason !== this.current.reason || !this.hasReported;
    if (isChange) this.refusals.clear();
    const isNew = this.isNewRefusal(error);
    if (!isChange && !isNew) return;
    this.hasReported = true;
    this.current = state;
    this.report(state, detail, error);
  }

  /** Whether the server gave a reason that was not reported since the last change. */
  private isNewRefusal(error: unknown): boolean {
    const code = error instanceof Error ? /^[A-Z]{3,}(?= )/.exec(error.message)?.[0] : undefined;
    if (code === undefined || this.refusals.has(code)) return false;
    this.refusals.add(code);
    return true;
  }

  private report(state: TierState, detail: string, error: unknown): void {
    this.settings.events.emit('tier', { tier: 'l4', ...state, detail, ...(error !== undefined && { error }) });
  }

  /** Resolves after `ms`, or at the next call of `wake`. */
  private wait(ms: number): Promise<void> {
    const woken = new Promise<void>((resolve) => (this.wake = resolve));
    return settledWithin(this.settings.clock, woken, ms);
  }
}
