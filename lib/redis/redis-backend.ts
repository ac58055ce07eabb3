import type { CheckpointRecord, CheckpointStore } from '../checkpoints/checkpoint-store.js';
import { LeasedTurns, type Turns } from '../cache/turns.js';
import { type Clock, randomFraction, settledWithin, KeepAlive } from '../clock/clock.js';
import { BackOff } from '../clock/retry.js';
import type { EventSink } from '../events/event-map.js';
import type { LaneRecorder } from '../events/recorder.js';
import type { InstanceReport, SharedReport } from '../metrics/lane-cache-metrics.js';
import type { LogJournal } from '../invalidation/journal.js';
import type { InvalidatedCache, Outbox, SharedRecord } from '../invalidation/shared-log.js';
import type { DistributedTier } from '../tiers/distributed-tier.js';
import { CheckpointConnection, RedisCheckpointStore } from './checkpoints/redis-checkpoint-store.js';
import { CursorHistory, AppliedInvalidations } from './shared-log/applied-records.js';
import { FreshnessWindow, ServerTime, Staleness } from './shared-log/freshness.js';
import { KeySpace } from './keys.js';
import { Instances, type InstanceIdentity } from './instances.js';
import { Leases } from './leases.js';
import { LogSubscriber } from './shared-log/subscriber.js';
import { RecordEnvelope, type SharedLane, RecordSeal } from './tier/record-envelope.js';
import { isRedisClusterPort, type RedisClusterPort, type RedisTemplate } from './client/redis-client.js';
import { RedisSharedLog } from './shared-log/publisher.js';
import { RedisTier, type Spread } from './tier/redis-tier.js';
import { TierStatus } from './tier/tier-status.js';
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

/** From start to close, `disconnected`, `catching-up` and `connected` take turns. */
type Phase =
  | { readonly name: 'disconnected' }
  | { readonly name: 'catching-up'; readonly connection: Connection }
  | { readonly name: 'connected'; readonly connection: Connection }
  /** What was accepted is still written, over the connection that served. */
  | { readonly name: 'closing'; readonly connection: Connection | undefined }
  | { readonly name: 'closed' };

const DISCONNECTED: Phase = { name: 'disconnected' };
const CLOSED: Phase = { name: 'closed' };

const takesTurns = (lanes: ReadonlyMap<string, SharedLane>): boolean =>
  [...lanes.values()].some(({ coalesces }) => coalesces);

/** Everything that an app shares through Redis: the tier, the log, and their connection. */
export class RedisBackend {
  readonly tier: DistributedTier;
  readonly log: RedisSharedLog;
  readonly turns: Turns;
  private readonly leases: Leases;
  private readonly roster: Instances;
  /** Monotonic ms: every record up to then has been followed. */
  private followedUpTo: number;
  private store: CheckpointStore | undefined;
  private readonly cursors = new CursorHistory();
  private readonly applied: AppliedInvalidations;
  /** From which connections to the node of the log are duplicated. */
  private readonly template: RedisTemplate;
  private readonly serverTime = new ServerTime();
  private readonly keys: KeySpace;
  private readonly staleness: Staleness;
  private line: LogSubscriber | undefined;
  private cache: InvalidatedCache | undefined;
  private phase: Phase = DISCONNECTED;
  private readonly hold = new KeepAlive();
  private readonly freshness: FreshnessWindow;
  private readonly status: TierStatus;
  private readonly backOff = new BackOff(RECONNECTS);
  private wake: () => void = () => undefined;
  private running: Promise<void> = Promise.resolve();

  /** Throws OPTIONS_INVALID. */
  static async prepare(settings: RedisBackendOptions): Promise<RedisBackend> {
    return new RedisBackend(settings, clusterOf(settings.client) ?? (await templateClient(settings)));
  }

  /** Nothing is connected before `start`. `client` is what connections are duplicated from, or a cluster. */
  constructor(
    private readonly settings: RedisBackendOptions,
    client: RedisTemplate | RedisClusterPort,
  ) {
    const { prefix, clock, life, commandTimeoutMs: waitMs } = settings;
    const places = isRedisClusterPort(client) ? 'spread' : 'beside-the-log';
    this.status = new TierStatus(settings.events);
    this.keys = new KeySpace(prefix, places);
    this.applied = new AppliedInvalidations(places);
    const limitMs = settings.onDisconnect === 'bypass' ? CUT_OFF_AFTER_MS : settings.maxStalenessMs;
    this.staleness = new Staleness(clock, limitMs, () => this.cache?.suspect());
    const { keys, hold } = this;
    this.freshness = new FreshnessWindow({ clock, life, holdsForMs: CUT_OFF_AFTER_MS, waitMs, hold });
    const { template, spread } = isRedisClusterPort(client)
      ? this.spreadOver(client)
      : { template: client, spread: undefined };
    this.template = template;
    this.log = this.createLog(spread?.entries);
    this.tier = this.createTier(spread);
    const connection = (): Connection | undefined => this.connection;
    this.leases = new Leases({ keys, connection });
    this.turns = new LeasedTurns({ table: this.leases, clock, written: () => this.tier.flush(), hold });
    this.roster = new Instances({ keys, clock, id: this.log.by, connection, own: () => this.sharedReport });
    this.followedUpTo = clock.monotonic();
  }

  /** The log stays on one node of the cluster. Entries are spread over all of them. */
  private spreadOver(cluster: RedisClusterPort): { readonly template: RedisTemplate; readonly spread: Spread } {
    const { keys, applied, cursors, serverTime, hold } = this;
    const { clock, life, commandTimeoutMs: timeoutMs } = this.settings;
    const changed = (error: Error | undefined): void => this.status.nodeChanged(error);
    const router = new ClusterRouter(cluster, clock, { timeoutMs, hold, changed });
    const entries = new SpreadEntries({ router, keys, applied, cursors, serverTime, life });
    return { template: router.templateOf(keys.meta), spread: { router, entries } };
  }

  private createLog(spread: SpreadEntries | undefined): RedisSharedLog {
    const { keys, cursors, freshness, hold } = this;
    const { clock, commandTimeoutMs: timeoutMs, logLength, lanes, outbox } = this.settings;
    return new RedisSharedLog({
      keys,
      clock,
      timeoutMs,
      logLength,
      lanes,
      outbox,
      cursors,
      isStale: () => this.staleness.isStale,
      freshness,
      hold,
      refused: (error) => this.status.refused(error),
      spread,
    });
  }

  private createTier(spread: Spread | undefined): RedisTier {
    const { keys, cursors, applied, serverTime, log, settings } = this;
    const { lanes, life, position } = settings;
    return new RedisTier({
      keys,
      lanes,
      life,
      cursors,
      applied,
      serverTime,
      log,
      spread,
      position,
      packing: new RecordEnvelope(lanes, new RecordSeal(settings.hmacKey)),
      connection: () => this.connection,
      state: () => this.status.current,
      failed: (lane, error) => {
        settings.recorder(lane).tierError('l4');
        this.status.refused(error);
      },
      close: () => this.close(),
    });
  }

  /** Connects, and reconnects for ever. Resolves when the tier serves, or when the boot need not wait longer. */
  start(cache: InvalidatedCache): Promise<void> {
    const { settings, cursors, applied, serverTime, keys } = this;
    const { clock, life, trustPersistence, position, journal } = settings;
    this.cache = cache;
    for (const [id, record] of settings.unpublished) void this.log.receivedOnHost(record, { id, place: undefined });
    const line = new LogSubscriber({
      keys,
      clock,
      trustPersistence,
      cursors,
      applied,
      serverTime,
      life,
      cache,
      position,
      journal,
      log: this.log,
      leases: takesTurns(this.settings.lanes) ? this.leases : undefined,
      caughtUp: (connection, asOf) => this.caughtUp(connection, asOf),
    });
    this.line = line;
    const started = this.wait(BOOT_WITHIN_MS);
    this.running = this.run(line);
    return this.hold.during(started);
  }

  /** Over which commands are sent. Undefined while records of the others may be missing. */
  private get connection(): Connection | undefined {
    const { phase } = this;
    return phase.name === 'connected' || phase.name === 'closing' ? phase.connection : undefined;
  }

  private get isOpen(): boolean {
    return this.phase.name !== 'closing' && this.phase.name !== 'closed';
  }

  /** How this instance follows the others. */
  get sharedReport(): SharedReport {
    const lagMs = Math.max(0, Math.round(this.settings.clock.monotonic() - this.followedUpTo));
    return { isConnected: this.connection !== undefined, lagMs, behind: this.line?.behind ?? 0 };
  }

  /** Reports this instance to the others from now on. */
  announce(identity: InstanceIdentity): void {
    if (this.isOpen) this.roster.announce(identity);
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
    if (!this.isOpen) return;
    const { connection } = this;
    const followed = this.phase.name === 'catching-up' ? this.phase.connection : connection;
    this.phase = { name: 'closing', connection };
    await this.tier.flush().catch(() => undefined);
    await Promise.all([this.roster.leave(), this.store?.close()]);
    this.status.turn({ state: 'off', reason: 'closed' }, 'closed');
    this.staleness.stop();
    this.phase = CLOSED;
    followed?.fail(new Error('closed'));
    this.wake();
    // A connection that is being opened ends by itself.
    await settledWithin(this.settings.clock, this.running, CLOSE_WITHIN_MS);
    // Else the next process follows again what this one has.
    await settledWithin(this.settings.clock, this.line?.stored() ?? Promise.resolve(), CLOSE_WITHIN_MS);
    await this.template.close();
    this.hold.end();
  }

  private async run(line: LogSubscriber): Promise<void> {
    while (this.isOpen) {
      try {
        await this.connectAndFollow(line);
      } catch (error) {
        this.cutOff(error instanceof Error ? error : new Error(String(error)));
      }
      if (this.isOpen) await this.wait(this.backOff.next() * (0.5 + randomFraction() / 2));
    }
  }

  /** Rejects when the connection cannot be opened, or has failed. */
  private async connectAndFollow(line: LogSubscriber): Promise<never> {
    const { clock, commandTimeoutMs: timeoutMs } = this.settings;
    const { hold } = this;
    const changed = (error: Error | undefined): void => this.answersChanged(error);
    const connection = await Connection.open(this.template, clock, { timeoutMs, hold, changed });
    if (this.isOpen) this.phase = { name: 'catching-up', connection };
    else connection.fail(new Error('closed'));
    try {
      return await line.follow(connection);
    } catch (error) {
      connection.fail(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  private caughtUp(connection: Connection, asOf: number): void {
    const { phase } = this;
    const isFollowed = phase.name === 'catching-up' || phase.name === 'connected';
    // A failed connection may still deliver replies that were on their way.
    if (!isFollowed || connection !== phase.connection) return;
    this.followedUpTo = Math.max(this.followedUpTo, asOf);
    this.staleness.freshAsOf(asOf);
    this.freshness.caughtUpAsOf(asOf);
    if (phase.name === 'connected') return;
    this.phase = { name: 'connected', connection };
    this.backOff.reset();
    this.cache?.release();
    this.status.turn({ state: 'on' }, 'connected, and up to date with the other instances');
    this.wake();
  }

  private cutOff(error: Error): void {
    this.phase = this.isOpen ? DISCONNECTED : CLOSED;
    this.freshness.lose();
    this.log.disconnect();
    if (this.settings.onDisconnect === 'bypass') this.staleness.expireNow();
    this.status.turn({ state: 'off', reason: 'disconnected' }, `Redis cannot be reached: ${error.message}`, error);
    this.wake();
  }

  /** Commands are no longer answered in time, or are again. Records are followed over the other connection meanwhile. */
  private answersChanged(error: Error | undefined): void {
    if (this.connection === undefined) return;
    if (error === undefined) this.status.turn({ state: 'on' }, 'commands are answered in time again');
    else
      this.status.turn(
        { state: 'off', reason: 'disconnected' },
        `Redis does not answer commands: ${error.message}`,
        error,
      );
  }

  /** Resolves after `ms`, or at the next call of `wake`. */
  private wait(ms: number): Promise<void> {
    const woken = new Promise<void>((resolve) => (this.wake = resolve));
    return settledWithin(this.settings.clock, woken, ms);
  }
}
