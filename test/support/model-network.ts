import { DeadlineError } from '../../lib/clock/clock.js';
import { ConnectionState, type RedisArgument, type RedisPort } from '../../lib/redis/client/redis-client.js';
import type { RedisClusterPort } from '../../lib/redis/client/redis-client.js';
import type { FakeClock } from '../../lib/testing/fake-clock.js';
import type { ModelCluster } from './model-cluster.js';
import { type ModelRedis, ReplyError, type Reply } from './model-redis.js';

interface Command {
  readonly args: readonly Buffer[];
  readonly sentAt: number;
  readonly settle: (reply: () => Reply) => void;
  /** The server has it, and may still wait for news to answer with. */
  heldUntil?: number;
}

interface Answer {
  readonly sentAt: number;
  readonly give: () => void;
}

/** The way from one instance to the server: every message takes its next step when a test says so. */
export class ModelNetwork {
  /** What is sent from here on is lost, and no side learns of it. */
  isHole = false;
  /** No connection can be made. */
  isDown = false;
  readonly template: RedisPort;
  /** The way to all servers of the cluster, if there is one. */
  readonly clusterPort: RedisClusterPort | undefined;
  /** The step of the server as of which the log was followed last. */
  followedAsOf = 0;
  /** Answers to reads of the log do not arrive. */
  isReaderHeld = false;
  /** Answers to commands other than those of the reader of the log do not arrive. */
  isCommandHeld = false;
  /** How often the log was read. */
  reads = 0;
  private connections: ModelConnection[] = [];
  private joining: (() => void)[] = [];

  constructor(
    server: ModelRedis,
    private readonly clock: FakeClock,
    /** Counts the steps of the world. */
    private readonly step: () => number = () => 0,
    readonly cluster?: ModelCluster,
  ) {
    this.clusterPort = cluster && {
      seed: () => Promise.resolve('node:0'),
      open: (address) => this.connect(cluster.at(address)),
    };
    this.template = {
      command: () => Promise.reject(new Error('a template is not asked')),
      duplicate: () => this.connect(server),
      connected: false,
      onStateChange: () => () => undefined,
      close: () => Promise.resolve(),
    };
  }

  /** Steps that can be taken now. */
  get steps(): readonly (() => void)[] {
    return [...this.joining.map((join) => () => this.join(join)), ...this.connections.flatMap(({ steps }) => steps)];
  }

  /** Since when the oldest message has been under way; Infinity if none is. */
  get waitingSince(): number {
    return Math.min(Infinity, ...this.connections.map(({ waitingSince }) => waitingSince));
  }

  /** All connections, or those to one server. */
  cut(server?: ModelRedis): void {
    const cut = this.connections.filter((one) => server === undefined || one.server === server);
    for (const connection of cut) connection.break();
    this.connections = this.connections.filter((one) => !cut.includes(one));
  }

  /** Connections on which nothing was sent for so long, as servers and firewalls do. */
  cutIdle(ms: number): void {
    const idle = this.connections.filter(({ usedAt }) => this.clock.monotonic() - usedAt > ms);
    for (const connection of idle) connection.break();
    this.connections = this.connections.filter((one) => !idle.includes(one));
  }

  private connect(server: ModelRedis): Promise<RedisPort> {
    return new Promise((resolve, reject) => {
      this.joining.push(() => {
        if (this.isDown) return reject(new Error('connection refused'));
        const connection = new ModelConnection(this, server, this.clock, this.step);
        this.connections.push(connection);
        resolve(connection);
      });
    });
  }

  private join(join: () => void): void {
    this.joining = this.joining.filter((other) => other !== join);
    join();
  }
}

/** One connection: commands go and answers come in order. */
class ModelConnection implements RedisPort {
  connected = true;
  /** When a command was sent last (monotonic). */
  usedAt: number;
  private readonly state = new ConnectionState(true);
  private readonly requests: Command[] = [];
  private readonly answers: Answer[] = [];
  private readonly open = new Set<Command>();
  /** As in life, no byte comes behind one that was lost. */
  private hasLost = false;
  private isReader = false;

  constructor(
    private readonly network: ModelNetwork,
    readonly server: ModelRedis,
    private readonly clock: FakeClock,
    private readonly step: () => number,
  ) {
    this.usedAt = clock.monotonic();
  }

  command(args: readonly RedisArgument[], { timeoutMs = Infinity } = {}): Promise<unknown> {
    if (!this.connected) return Promise.reject(new Error('the connection is closed'));
    this.usedAt = this.clock.monotonic();
    return new Promise((resolve, reject) => {
      let cancel = (): void => undefined;
      const command: Command = {
        args: args.map((one) => (typeof one === 'string' ? Buffer.from(one) : Buffer.from(one))),
        sentAt: this.clock.monotonic(),
        settle: (reply) => {
          cancel();
          this.open.delete(command);
          try {
            resolve(reply());
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        },
      };
      if (timeoutMs < Infinity) {
        cancel = this.clock.schedule(timeoutMs, () => reject(new DeadlineError('Redis', timeoutMs)));
      }
      this.open.add(command);
      this.isReader ||= args[0] === 'XREAD';
      if (args[0] === 'XREAD') this.network.reads++;
      this.hasLost ||= this.network.isHole;
      if (!this.hasLost) this.requests.push(command);
    });
  }

  duplicate(): Promise<RedisPort> {
    return this.network.template.duplicate();
  }

  onStateChange(listener: (connected: boolean) => void): () => void {
    return this.state.listen(listener);
  }

  close(): Promise<void> {
    this.break();
    return Promise.resolve();
  }

  get steps(): readonly (() => void)[] {
    if (!this.connected) return [];
    const steps: (() => void)[] = [];
    const [request] = this.requests;
    if (request !== undefined && this.isReady(request)) steps.push(() => this.arrive(request));
    const [answer] = this.answers;
    const { isReaderHeld, isCommandHeld } = this.network;
    const isHeld = this.isReader ? isReaderHeld : isCommandHeld;
    if (answer !== undefined && !isHeld) steps.push(() => this.answers.shift()?.give());
    return steps;
  }

  get waitingSince(): number {
    if (!this.connected) return Infinity;
    const requests = this.requests.filter(({ heldUntil }) => heldUntil === undefined);
    return Math.min(Infinity, ...requests.map(({ sentAt }) => sentAt), ...this.answers.map(({ sentAt }) => sentAt));
  }

  break(): void {
    if (!this.connected) return;
    this.connected = false;
    for (const command of this.open) {
      command.settle(() => {
        throw new Error('the connection was lost');
      });
    }
    this.state.become(false);
  }

  /** A read that waits is ready when there is news, or its time is over. */
  private isReady({ args, heldUntil }: Command): boolean {
    if (heldUntil === undefined || this.clock.monotonic() >= heldUntil) return true;
    return this.execute(args) !== null;
  }

  private arrive(command: Command): void {
    const reply = this.run(command);
    if (reply === undefined) return;
    this.requests.shift();
    this.hasLost ||= this.network.isHole;
    if (this.hasLost) return;
    const givenAt = this.step();
    const isOfTheLog = command.args[0]?.toString() === 'XREAD';
    const give = (): void => {
      if (isOfTheLog) this.network.followedAsOf = givenAt;
      command.settle(reply);
    };
    this.answers.push({ sentAt: this.clock.monotonic(), give });
  }

  private execute(args: readonly Buffer[]): Reply {
    const { cluster } = this.network;
    return cluster === undefined ? this.server.execute(args) : cluster.execute(this.server, args);
  }

  /** Undefined while it waits. */
  private run(command: Command): (() => Reply) | undefined {
    const { args, heldUntil } = command;
    try {
      const reply = this.execute(args);
      const at = args.findIndex((one) => one.toString() === 'BLOCK');
      if (reply !== null || at < 0) return () => reply;
      command.heldUntil ??= this.clock.monotonic() + Number(args[at + 1]?.toString());
      return heldUntil !== undefined && this.clock.monotonic() >= heldUntil ? () => null : undefined;
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      return () => {
        throw error;
      };
    }
  }
}
