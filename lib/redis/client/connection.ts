import { type Clock, withDeadline } from '../../clock/clock.js';
import type { RedisArgument, RedisPort, RedisTemplate, Script } from './redis-client.js';
import { lengthOf, WatchedPort, type WatchedPortOptions } from './watched-port.js';

/** How long opening two connections may take. */
const OPEN_WITHIN_MS = 3_000;

/** Errors of a node that does not serve the log, or not now. */
const NOT_HERE = /^(?:MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY|MASTERDOWN) /;

/**
 * Two connections that are opened and closed together: one for commands, one that reads the log. A failed pair is never
 * used again; the next one starts with a handshake.
 */
export class Connection {
  /** Rejects when the connection has failed. */
  readonly failure: Promise<never>;
  private readonly commands: WatchedPort;
  private reject: (error: Error) => void = () => undefined;
  private hasFailed = false;

  static async open(template: RedisTemplate, clock: Clock, settings: WatchedPortOptions): Promise<Connection> {
    const opening = [template.duplicate(), template.duplicate()] as const;
    try {
      const both = Promise.all(opening);
      const [commands, reader] = await withDeadline(clock, both, OPEN_WITHIN_MS, 'connecting to Redis');
      return new Connection(commands, reader, clock, settings);
    } catch (error) {
      for (const one of opening) {
        one.then(
          (port) => port.close(),
          () => undefined,
        );
      }
      throw error;
    }
  }

  private constructor(
    private readonly port: RedisPort,
    readonly reader: RedisPort,
    clock: Clock,
    private readonly settings: WatchedPortOptions,
  ) {
    this.commands = new WatchedPort(port, clock, settings, (error) => this.fail(error));
    this.failure = new Promise((_, reject) => (this.reject = reject));
    this.failure.catch(() => undefined);
    for (const one of [port, reader]) {
      one.onStateChange((connected) => {
        if (!connected) this.fail(new Error('the connection to Redis was lost'));
      });
      if (!one.connected) this.fail(new Error('the connection to Redis was lost'));
    }
  }

  /** false from a command that was not answered in time until one is. */
  get isSound(): boolean {
    return this.commands.isSound;
  }

  /** What is in the queue, or was asked for, is so much that it may be on its way still. */
  get isTransferring(): boolean {
    return this.commands.isTransferring;
  }

  /** `entries`: names of those whose bytes are in the answer. */
  async run(
    script: Script,
    keys: readonly string[],
    args: readonly RedisArgument[],
    entries: readonly string[] = [],
  ): Promise<unknown> {
    const answer = script.run(this.port, keys, args, this.settings.timeoutMs);
    return this.here(this.commands.watch(answer, this.measureOf(entries)));
  }

  /**
   * As `run`, for commands of which many are on their way at once: those ahead in the queue are this process's own load. The
   * deadline begins anew as long as the server answers any of them, or so much is sent that it takes longer.
   */
  async runInQueue(script: Script, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown> {
    const bytes = args.reduce((sum, { length }) => sum + length, 0);
    return this.here(this.commands.watchInQueue(script.run(this.port, keys, args, Infinity), bytes));
  }

  async command(args: readonly RedisArgument[]): Promise<unknown> {
    return this.here(this.commands.command(args));
  }

  /** Reads entries by their names. */
  async read(names: readonly string[]): Promise<unknown> {
    return this.here(this.commands.read(['MGET', ...names], this.measureOf(names)));
  }

  private measureOf(names: readonly string[]): (() => Promise<number>) | undefined {
    return names.length === 0 ? undefined : () => lengthOf(this.reader, names);
  }

  fail(error: Error): void {
    if (this.hasFailed) return;
    this.hasFailed = true;
    this.reject(error);
    void this.hangUp();
  }

  private async hangUp(): Promise<void> {
    await Promise.allSettled([this.commands.close(), this.reader.close()]);
  }

  /** In a cluster another node may serve the log now. */
  private async here<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof Error && NOT_HERE.test(error.message)) this.fail(error);
      throw error;
    }
  }
}
