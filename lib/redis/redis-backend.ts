import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import type { ClusterTurns } from '../cache/lane-context.js';
import type { Clock } from '../clock/clock.js';
import { withDeadline } from '../clock/timers.js';
import { ProcessHold } from '../clock/keep-alive.js';
import { randomFraction } from '../clock/random.js';
import type { EventSink } from '../events/event-map.js';
import type { LaneRecorder } from '../events/recorder.js';
import type { LogJournal } from '../invalidation/journal.js';
import type { LogFollower, Outbox, SharedLog } from '../invalidation/shared-log.js';
import type { DistributedTier } from '../tiers/distributed-tier.js';
import type { TierState } from '../tiers/tier.js';
import { CheckpointLine, RedisCheckpointStore } from './checkpoints/redis-checkpoint-store.js';
import { CursorHistory, Heard } from './shared-log/applied-records.js';
import { Hearing, ServerTime, Staleness } from './shared-log/freshness.js';
import { KeySpace } from './keys.js';
import { Leases } from './leases.js';
import { LogLine } from './shared-log/subscriber.js';
import { Packing, type SharedLane, RecordSeal } from './tier/record-envelope.js';
import type { RedisPort } from './client/redis-client.js';
import { RedisSharedLog } from './shared-log/publisher.js';
import { RedisTier } from './tier/redis-tier.js';
import { Session } from './client/connection.js';
import { templatePort } from './client/connect.js';

export interface DistributedSettings {
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
}

/** Cut off for longer, nothing that was missed can be told from what was not. */
const CUT_OFF_AFTER_MS = 1_000;
const CLOSE_WITHIN_MS = 250;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;
/** How long an app waits at boot for a server that does not answer. */
const BOOT_WITHIN_MS = 1_000;

/** Everything that an app shares through Redis: the tier, the log, and the connection they stand on. */
export class Distributed {
  readonly tier: DistributedTier;
  readonly log: SharedLog;
  readonly turns: ClusterTurns;
  private readonly shared: RedisSharedLog;
  private readonly leases: Leases;
  private store: CheckpointStore | undefined;
  private readonly cursors = new CursorHistory();
  private readonly heard = new Heard();
  private readonly serverTime = new ServerTime();
  private readonly keys: KeySpace;
  private readonly staleness: Staleness;
  private line: LogLine | undefined;
  private follower: LogFollower | undefined;
  private session: Session | undefined;
  private opened: Session | undefined;
  private current: TierState = { state: 'off', reason: 'disconnected' };
  private readonly hold = new ProcessHold();
  private readonly hearing: Hearing;
  private hasSaid = false;
  private isClosed = false;
  private retryMs = FIRST_RETRY_MS;
  private wake: () => void = () => undefined;
  private running: Promise<void> = Promise.resolve();

  /** Throws OPTIONS_INVALID. */
  static async prepare(settings: DistributedSettings): Promise<Distributed> {
    return new Distributed(settings, await templatePort(settings));
  }

  /** Nothing is connected before `start`. `template` is the port from which connections are duplicated. */
  constructor(
    private readonly settings: DistributedSettings,
    private readonly template: RedisPort,
  ) {
    const { prefix, clock, commandTimeoutMs: timeoutMs, logLength, lanes, outbox, life, position } = settings;
    const keys = new KeySpace(prefix);
    this.keys = keys;
    const { cursors, heard, serverTime } = this;
    const limitMs = settings.onDisconnect === 'bypass' ? CUT_OFF_AFTER_MS : settings.maxStalenessMs;
    this.staleness = new Staleness(clock, limitMs, () => this.follower?.suspect());
    const isStale = (): boolean => this.staleness.isStale;
    const { hold } = this;
    const hearing = new Hearing({ clock, life, holdsForMs: CUT_OFF_AFTER_MS, waitMs: timeoutMs, hold });
    this.hearing = hearing;
    const log = new RedisSharedLog({ keys, clock, timeoutMs, logLength, lanes, outbox, isStale, hearing, hold });
    this.shared = log;
    this.log = log;
    this.tier = new RedisTier({
      keys,
      lanes,
      life,
      cursors,
      heard,
      serverTime,
      log,
      position,
      packing: new Packing(lanes, new RecordSeal(settings.hmacKey)),
      session: () => this.session,
      state: () => this.current,
      failed: (lane) => settings.recorder(lane).tierError('l4'),
      close: () => this.close(),
    });
    const session = (): Session | undefined => this.session;
    this.leases = new Leases({ keys, clock, session, written: () => this.tier.flush(), hold: this.hold });
    this.turns = this.leases;
  }

  /** Connects, and goes on connecting. Resolves when the tier serves, or when it is clear that it does not yet. */
  start(follower: LogFollower): Promise<void> {
    const { settings, cursors, heard, serverTime, keys } = this;
    const { clock, life, trustPersistence, position, journal } = settings;
    this.follower = follower;
    const line = new LogLine({
      keys,
      clock,
      trustPersistence,
      cursors,
      heard,
      serverTime,
      life,
      follower,
      position,
      journal,
      log: this.shared,
      leases: this.leases,
      caughtUp: (session, asOf) => this.caughtUp(session, asOf),
    });
    this.line = line;
    const started = new Promise<void>((resolve) => {
      const cancel = clock.schedule(BOOT_WITHIN_MS, resolve);
      this.wake = () => {
        cancel();
        resolve();
      };
      this.running = this.run(line);
    });
    return this.hold.during(started);
  }

  /** Where checkpoints are, when they are shared; connected when they are first asked. */
  get checkpoints(): CheckpointStore {
    const { clock, events } = this.settings;
    this.store ??= new RedisCheckpointStore(
      new CheckpointLine(this.template, this.keys.checkpoints, clock, this.hold),
      events,
    );
    return this.store;
  }

  /** This process has become the owner of a persistent tier whose past it has not followed. */
  async takenOver(): Promise<void> {
    await this.line?.takenOver();
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.tier.flush().catch(() => undefined);
    await this.store?.close();
    this.turn({ state: 'off', reason: 'closed' }, 'closed');
    this.staleness.stop();
    this.opened?.fail(new Error('closed'));
    this.wake();
    // a connection that is being made ends by itself
    await withDeadline(this.settings.clock, this.running, CLOSE_WITHIN_MS, 'Redis').catch(() => undefined);
    await this.template.close();
    this.hold.end();
  }

  private async run(line: LogLine): Promise<void> {
    const { clock, commandTimeoutMs: timeoutMs } = this.settings;
    const { hold } = this;
    while (!this.isClosed) {
      try {
        this.opened = await Session.open(this.template, clock, { timeoutMs, hold });
        if (this.isClosed) this.opened.fail(new Error('closed'));
        await line.follow(this.opened);
      } catch (error) {
        this.cutOff(error);
      }
      if (!this.isClosed) await this.pause();
    }
  }

  private caughtUp(session: Session, asOf: number): void {
    // a session that has failed may still bring what was on its way
    if (this.isClosed || session !== this.opened) return;
    this.staleness.freshAsOf(asOf);
    this.hearing.heardAsOf(asOf);
    if (this.session === session) return;
    this.session = session;
    this.retryMs = FIRST_RETRY_MS;
    this.follower?.release();
    this.turn({ state: 'on' }, 'connected, and up to date with the other instances');
    this.wake();
  }

  private cutOff(error: unknown): void {
    this.opened?.fail(error instanceof Error ? error : new Error(String(error)));
    this.opened = undefined;
    this.session = undefined;
    this.hearing.cutOff();
    this.shared.silence();
    if (this.settings.onDisconnect === 'bypass') this.staleness.expireNow();
    const detail = `Redis cannot be reached: ${error instanceof Error ? error.message : String(error)}`;
    this.turn({ state: 'off', reason: 'disconnected' }, detail, error);
    this.wake();
  }

  private turn(state: TierState, detail: string, error?: unknown): void {
    const isNews = state.state !== this.current.state || state.reason !== this.current.reason || !this.hasSaid;
    if (!isNews || this.current.reason === 'closed') return;
    this.hasSaid = true;
    this.current = state;
    this.settings.events.emit('tier', { tier: 'l4', ...state, detail, ...(error !== undefined && { error }) });
  }

  private pause(): Promise<void> {
    const { clock } = this.settings;
    const waitMs = this.retryMs * (0.5 + randomFraction() / 2);
    this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
    return new Promise((resolve) => {
      const cancel = clock.schedule(waitMs, resolve);
      this.wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
